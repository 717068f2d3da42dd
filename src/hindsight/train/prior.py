"""Train the prior: diffusion forcing from the closed-form start."""

import hashlib
from pathlib import Path

import torch
import xarray as xr
from safetensors.torch import load_file

from hindsight import machine
from hindsight import prior as priors
from hindsight.backbones import size
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.frames import Frames
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.settings import Train
from hindsight.settings.domain import Training
from hindsight.train import diary, loop
from hindsight.train.team import join
from hindsight.train.windows import Windows, scaling

IDLE = {"cache_mb", "checkpoint_every"}  # settings that change no weight


def run(
    training: Training,
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
    team, device = join(settings.processes, machine.device(settings.device))
    grid = Grid.of(store.read(fields))
    seen = scaling(settings, grid, climatology, statistics)
    learnt, looked_at = (windows(training, settings, split, fields, seen) for split in ("train", "validation"))
    # Not of `fields`: a year more to test on changes it, but nothing that is learnt. Climatology, statistics and colour
    # are sums over the training frames, and change with each of them.
    made_from = {path.name: _digest(path) for path in (climatology, statistics, static, colour)}
    start = build(training, settings, grid, seen, static, colour, made_from)
    asked = {"training": training, "train": settings}
    recipe = {name: section.model_dump(mode="json", exclude=IDLE) for name, section in asked.items()}
    recipe["made_from"] = made_from
    if team.leads:
        print(f"{_sizes(start)}; {start.precision} on {machine.called(device)}", flush=True)
    book = lambda done: diary.Diary(curve, figure, tensorboard, done)
    try:
        trained, _ = loop.train(start.to(device), learnt, looked_at, settings, checkpoint, recipe, team, book)
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


def windows(training: Training, settings: Train, split: str, fields: Path, seen: Scaling) -> Windows:
    """The windows of a split."""
    frames = Frames(fields, training.splits[split], seen, settings.cache_mb)
    name = "training" if split == "train" else split
    return Windows(frames.times, frames, settings.window, name, frames.stretch)


def _sizes(start: priors.Prior) -> str:
    """What the network is, in a line for the log."""
    inputs, told = priors.shown(start.about, start.maps)
    work = size.flops(start.network, inputs, told, start.about.window, tuple(start.maps.shape[-2:]))
    count = size.parameters(start.network)
    return f"{start.about.backbone['kind']}: {count / 1e6:.2f} M parameters, {work / 1e9:.3g} GFLOP a frame forward"


def build(
    training: Training,
    settings: Train,
    grid: Grid,
    seen: Scaling,
    static: Path,
    colour: Path,
    made_from: dict[str, str],
) -> priors.Prior:
    """A prior with fresh weights: at this point it is the closed form."""
    about = priors.About(
        channels=training.channels,
        latitude=list(grid.latitude),
        longitude=list(grid.longitude),
        edges=[training.latitude_edges, training.longitude_edges],
        step_hours=training.step_hours,
        window=settings.window,
        precision=machine.precision(settings.precision, machine.device(settings.device)),
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
    return priors.Prior(
        about, GaussMarkov.from_tensors(load_file(colour)), seen, priors.maps(grid, settings.place, **layers)
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
