"""Train the prior: diffusion forcing from the closed-form start."""

import csv
import hashlib
import json
from pathlib import Path

import torch
import xarray as xr
from safetensors.torch import load_file

from hindsight import prior as priors
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.settings import Domain, Train
from hindsight.train import loop
from hindsight.train.windows import Windows, departures, scaling


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
    curve: Path,
) -> None:
    """Train the prior by diffusion forcing; a killed job resumes from its checkpoint."""
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    inputs = (fields, climatology, statistics)
    times, grid, values = departures(domain, settings, "train", *inputs)
    training = Windows(times, values, settings.window, "training")
    times, _, values = departures(domain, settings, "validation", *inputs)
    validation = Windows(times, values, settings.window, "validation")
    made_from = {
        path.name if path.name != "zarr.json" else path.parent.name: _digest(path) for path in (*inputs, static, colour)
    }
    seen = scaling(settings, grid, climatology, statistics)
    start = build(domain, settings, grid, seen, static, colour, made_from)
    recipe = hashlib.sha256(json.dumps([made_from, settings.model_dump(mode="json")], sort_keys=True).encode())
    try:
        trained, rows = loop.train(
            start.to(torch.device(priors.device(settings.device))),
            training,
            validation,
            settings,
            checkpoint,
            recipe.hexdigest(),
        )
    except RuntimeError as error:
        raise UserError(
            f"training stopped: {error}; lower train.learning_rate, or train.batch if memory ran out"
        ) from error
    _write_curve(rows, curve)
    priors.save(trained, prior)


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


def _write_curve(rows: list[dict], path: Path) -> None:
    def write(partial: Path) -> None:
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)

    store.replace(path, write)
