"""Train the prior: diffusion forcing from the closed-form start."""

import hashlib
import json
from pathlib import Path

import torch
import xarray as xr
from safetensors.torch import load_file

from hindsight import prior as priors
from hindsight.backbones import size
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.settings import Domain, Train
from hindsight.train import diary, loop
from hindsight.train.team import join
from hindsight.train.windows import Frames, Windows, scaling

IDLE = {"cache_mb", "checkpoint_every"}  # settings that change no weight


def run(
    domain: Domain,
    settings: Train,
    *,
    fields: Path,
    climatology: Path,
    statistics: Path,
    static: Path,
    colour: Path,
    checkpoint: Path,
    prior: Path,
    tensorboard: Path,
    curve: Path,
    figure: Path,
) -> None:
    """Train the prior by diffusion forcing; a killed job resumes from its checkpoint."""
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    team, device = join(settings.processes, priors.device(settings.device))
    grid = Grid.of(store.read(fields))
    seen = scaling(settings, grid, climatology, statistics)
    training, validation = (windows(domain, settings, split, fields, seen) for split in ("train", "validation"))
    made_from = {
        path.name if path.name != "zarr.json" else path.parent.name: _digest(path)
        for path in (fields, climatology, statistics, static, colour)
    }
    start = build(domain, settings, grid, seen, static, colour, made_from)
    recipe = {"made_from": made_from, "train": settings.model_dump(mode="json", exclude=IDLE)}
    if team.leads:
        print(_sizes(start), flush=True)
    book = lambda done: diary.Diary(curve, figure, tensorboard, done)
    try:
        trained, _ = loop.train(start.to(device), training, validation, settings, checkpoint, recipe, team, book)
    except FloatingPointError as error:
        raise UserError(f"training stopped: {error}; lower train.learning_rate") from error
    except RuntimeError as error:
        if "memory" not in str(error):
            raise
        raise UserError(
            f"memory ran out ({error}); lower train.batch, raise train.accumulate, or set train.recompute: true"
        ) from error
    if team.leads:
        priors.save(trained, prior)
    team.leave()


def windows(domain: Domain, settings: Train, split: str, fields: Path, seen: Scaling) -> Windows:
    """The windows of a split."""
    frames = Frames(fields, domain.splits[split], seen, settings.cache_mb)
    name = "training" if split == "train" else split
    return Windows(frames.times, frames, settings.window, name, frames.joints)


def _sizes(start: priors.Prior) -> str:
    """What the network is, in a line for the log."""
    inputs, told = priors.shown(start.about, start.maps)
    work = size.flops(start.network, inputs, told, start.about.window, tuple(start.maps.shape[-2:]))
    count = size.parameters(start.network)
    return f"{start.about.backbone['kind']}: {count / 1e6:.2f} M parameters, {work / 1e9:.3g} GFLOP a frame forward"


def build(
    domain: Domain, settings: Train, grid: Grid, seen: Scaling, static: Path, colour: Path, made_from: dict[str, str]
) -> priors.Prior:
    """A prior with fresh weights: at this point it is the closed form."""
    about = priors.About(
        channels=domain.channels,
        latitude=list(grid.latitude),
        longitude=list(grid.longitude),
        edges=[domain.latitude_edges, domain.longitude_edges],
        step_hours=domain.step_hours,
        window=settings.window,
        bfloat16=settings.bfloat16,
        points=settings.points.share > 0,
        backbone=settings.backbone.model_dump(mode="json"),
        annual_harmonics=seen.annual,
        daily_harmonics=seen.daily,
        made_from=made_from,
        design=settings.design,
    )
    given = xr.load_dataset(static)
    layers = {name: given[name].values for name in ("land", "orography") if name in given}
    torch.manual_seed(settings.seed)
    return priors.Prior(about, GaussMarkov.of(load_file(colour)), seen, priors.maps(grid, settings.place, **layers))


def _digest(path: Path) -> str:
    """What a file holds; of a store, the digest that its metadata carries."""
    if path.name == "zarr.json":
        return json.loads(path.read_text())["attributes"]["digest"]
    return hashlib.sha256(path.read_bytes()).hexdigest()
