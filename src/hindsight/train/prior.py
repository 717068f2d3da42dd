"""Train the prior: a network that corrects the linear prior, trained by diffusion forcing."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
import xarray as xr
from safetensors.torch import load_file

from hindsight import machine
from hindsight import prior as priors
from hindsight.backbones import size
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.errors import UserError
from hindsight.fields import calendar, store
from hindsight.fields.frames import Frames
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.settings import Train
from hindsight.settings.domain import TrainingDomain
from hindsight.train import loop, metrics
from hindsight.train.team import join
from hindsight.train.windows import Windows, scaling_for

NOT_IN_RECIPE = {"cache_mb", "checkpoint_every", "audit"}  # settings that do not affect the weights


def run(
    training: TrainingDomain,
    settings: Train,
    *,
    fields: Path,
    climatology: Path,
    statistics: Path,
    static: Path,
    linear_prior: Path,
    checkpoint: Path,
    prior: Path,
    tensorboard: Path,
    curve: Path,
    figure: Path,
) -> None:
    """Train the prior by diffusion forcing; a killed job resumes from its checkpoint."""
    machine.compute_reproducibly(settings.threads)
    team, device = join(settings.processes, machine.device(settings.device))
    grid = Grid.of(store.read(fields))
    scaling = scaling_for(settings, grid, climatology, statistics)
    splits = [windows(training, settings, split, fields, scaling) for split in ("train", "validation")]
    # Without `fields`, which changes when the test period grows. Climatology, statistics and linear prior are sums over
    # the training frames, and change with any of them.
    made_from = {path.name: _digest(path) for path in (climatology, statistics, static, linear_prior)}
    learnt = calendar.segment_ends(splits[0].times, splits[0].segment)
    initial = build(training, settings, grid, scaling, static, linear_prior, made_from, learnt)
    sections = {"training": training, "train": settings}
    recipe = {name: section.model_dump(mode="json", exclude=NOT_IN_RECIPE) for name, section in sections.items()}
    recipe["made_from"] = made_from
    if team.leads:
        print(f"{_summary(initial)}; {initial.precision} on {machine.device_name(device)}", flush=True)
    open_metrics = lambda done: metrics.MetricsWriter(curve, figure, tensorboard, done)
    try:
        trained, _ = loop.train(initial.to(device), *splits, settings, checkpoint, recipe, team, open_metrics)
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


def windows(training: TrainingDomain, settings: Train, split: str, fields: Path, scaling: Scaling) -> Windows:
    """All windows of a split."""
    frames = Frames(fields, training.splits[split], scaling, settings.cache_mb)
    name = "training" if split == "train" else split
    return Windows(frames.times, frames, settings.window, name, frames.segment)


def _summary(prior: priors.Prior) -> str:
    """Kind, size and cost of the network, in a line for the log."""
    inputs, conditions = priors.input_sizes(prior.metadata, prior.maps)
    work = size.flops(prior.network, inputs, conditions, prior.metadata.window, tuple(prior.maps.shape[-2:]))
    kind, count = prior.metadata.backbone["kind"], size.parameters(prior.network)
    return f"{kind}: {count / 1e6:.2f} M parameters, {work / 1e9:.3g} GFLOP per frame and forward pass"


def build(
    training: TrainingDomain,
    settings: Train,
    grid: Grid,
    scaling: Scaling,
    static: Path,
    linear_prior: Path,
    made_from: dict[str, str],
    trained_on: Sequence[Sequence[str]] = (),
) -> priors.Prior:
    """Build a prior with initial weights, which equals the linear prior.

    `trained_on` are the ends of the segments of training frames, which the prior records.
    """
    metadata = priors.Metadata(
        channels=training.channels,
        latitude=list(grid.latitude),
        longitude=list(grid.longitude),
        edges=[training.latitude_edges, training.longitude_edges],
        step_hours=training.step_hours,
        window=settings.window,
        precision=machine.precision(settings.precision, machine.device(settings.device)),
        points=settings.points.share > 0,
        backbone=settings.backbone.model_dump(mode="json"),
        annual_harmonics=scaling.annual,
        daily_harmonics=scaling.daily,
        transforms=scaling.transforms.to_json() if scaling.transforms else "",
        made_from=made_from,
        design=settings.design,
        trained_on=[list(ends) for ends in trained_on],
    )
    dataset = xr.load_dataset(static)
    layers = {name: dataset[name].values for name in ("land", "orography") if name in dataset}
    torch.manual_seed(settings.seed)
    maps = priors.maps(grid, settings.coordinates, **layers)
    return priors.Prior(metadata, GaussMarkov.from_tensors(load_file(linear_prior)), scaling, maps)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
