"""Test cases that benchmarks share: a truth, its observations, a prior, and scores in standard deviations."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from hindsight import machine
from hindsight import prior as priors
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.modes import Values
from hindsight.dynamics.lorenz96 import advance
from hindsight.fields import observations as tables
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.observe import networks, simulate
from hindsight.prior import Metadata, Prior
from hindsight.reanalyse import shard
from hindsight.reanalyse.assimilation import Task
from hindsight.scores import ensemble
from hindsight.settings import Reanalyse, Settings, Train
from hindsight.train import batches, loop
from hindsight.train.batches import Loader
from hindsight.train.team import Team
from hindsight.train.windows import Windows

ROOT = Path(__file__).parents[1]
FIRST = np.datetime64("2001-01-01T00", "ns")
CONFIGURATION = "settings/configuration.json"  # of a run
SQUARE = "config/navier_stokes.yaml"
SHORT_SQUARE = {  # overrides config/navier_stokes.yaml: two months of training data, a network that trains in seconds
    "run": "resume",
    "download": {
        "dataset": "resume",
        "synthetic": {"start": "2000-01-01", "end": "2000-04-30T18:00", "spin_up_days": 5, "segments": 1},
    },
    "domain": {
        "train": {"start": "2000-01-01", "end": "2000-02-29T18:00"},
        "validation": {"start": "2000-03-01", "end": "2000-03-31T18:00"},
        "test": {"start": "2000-04-01", "end": "2000-04-30T18:00"},
    },
    "train": {
        "steps": 300,
        "batch": 4,
        "window": 6,
        "warmup": 10,
        "checkpoint_every": 3,
        "validate_every": 40,
        "backbone": {"width": 8, "multipliers": [1, 2], "patch": 4, "dropout": 0.1},
    },
}


@dataclass
class Case:
    """Consecutive frames, their truth (T, C, H, W) and observations; scores are over the frames in `scored`."""

    prior: Prior
    times: np.ndarray
    truth: np.ndarray
    table: pd.DataFrame
    scored: slice

    def analysed(
        self, settings: Reanalyse, members: int, seed: int = 1, progress: object = lambda done: None
    ) -> object:
        """Sample an analysis; see `shard.reanalyse`."""
        task = Task(self.times, self.table, list(range(members)), seed)
        return shard.reanalyse(self.prior, task, settings, progress)

    def scores(self, fields: np.ndarray) -> dict[str, list[float]]:
        """RMSE and fair CRPS of each channel in standard deviations, and spread/skill."""
        scaling, flat = self.prior.scaling, lambda x: x.reshape(*x.shape[: x.ndim - 2], -1)[..., self.scored, :, :]
        climatology = scaling.climatology(self.times)
        found = ensemble.statistics(
            flat(fields), flat(self.truth), flat(climatology), self.prior.metadata.grid.weights.ravel()
        )
        scores = ensemble.scores({name: value.mean(0) for name, value in found.items()})
        unit = {"rmse": scaling.spread, "crps": scaling.spread, "spread_skill": 1.0}
        return {name: (scores[name] / divisor).tolist() for name, divisor in unit.items()}


def ring(prior: Prior, frames: int, every: int, scored: slice, seed: int = 2026) -> Case:
    """Lorenz-96 in which one variable of `every` is observed, with unit error, in every frame."""
    truth = simulated(frames, seed)[1:]
    generator = np.random.default_rng(every)
    observations = truth[:, ::every] + generator.standard_normal(truth[:, ::every].shape)
    when = FIRST + np.arange(frames) * np.timedelta64(6, "h")
    return Case(prior, when, truth[:, None, None], tabled(observations, when, every), scored)


def simulated(frames: int, seed: int = 2026) -> np.ndarray:
    """A Lorenz-96 trajectory that is in no training period, (T + 1, 40)."""
    generator = torch.Generator().manual_seed(seed)
    x = advance(8.0 + torch.randn(40, dtype=torch.float64, generator=generator), 8.0, 50.0, 1000)
    kept = [x]
    for _ in range(frames):
        kept.append(x := advance(x, 8.0, 0.05, 1))
    return torch.stack(kept).numpy()


def tabled(observations: np.ndarray, when: np.ndarray, every: int) -> pd.DataFrame:
    """Observations (T, n) of the ring as the pipeline's table."""
    frames, count = observations.shape
    return pd.DataFrame(
        {
            "time": np.repeat(when, count),
            "latitude": 0.0,
            "longitude": np.tile(9.0 * every * np.arange(count), frames),
            "channel": "x",
            "value": observations.ravel(),
            "error": 1.0,
        }
    )


def validation(run: Path, network: str, frames: int, prior: Prior | None = None) -> Case:
    """The first frames of a run's validation period, observed as its network would observe them."""
    return observed(run, network, "validation", frames, prior)


def observed(run: Path, network: str, split: str, frames: int, prior: Prior | None = None) -> Case:
    """The first frames of a run's period `split`, observed as its network would observe them."""
    chosen = Settings.model_validate_json((run / CONFIGURATION).read_text())
    domain, spec = chosen.domain, chosen.observe.networks[network]
    trained = prior or priors.load(run / "train/prior.safetensors", machine.device("auto"))
    period = domain.splits[split]
    truth = store.read(run / "preprocess/fields.zarr")["fields"].sel(time=slice(period.start, period.end))[:frames]
    scaling = Scaling.read(run / "preprocess/climatology.nc", run / "preprocess/statistics.nc")
    generator = np.random.default_rng(7)
    static = xr.load_dataset(run / "preprocess/static.nc")
    stations = networks.stations(spec, Grid.of(truth), generator, None, static)
    error = simulate.error_std(spec, domain.channels, scaling.spread)
    seed = np.random.SeedSequence(7)
    table = simulate.simulate(truth, stations, error, seed, spec, domain.step_hours).assign(source=split)
    usable = tables.usable(tables.check(table, network))
    return Case(trained, truth["time"].values, truth.values, usable, slice(None))


def make(target: str, config: str, more: dict | None = None) -> Path:
    """Return a file of a run; make it with the workflow if it is missing or out of date.

    Args:
        target: the file, relative to the repository.
        config: the configuration file.
        more: settings that override it.
    """
    workflow = [sys.executable, "-m", "snakemake", "--profile", "profiles/local", "--quiet", "rules", "host"]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as overlay:
        json.dump(more or {}, overlay)
        overlay.flush()
        configurations = [config, *([overlay.name] if more else [])]
        subprocess.run(
            [*workflow, "--configfile", *configurations, "--", target],
            cwd=ROOT,
            check=True,
            stdout=sys.stderr,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        )
    return ROOT / target


def device_name(device: torch.device) -> str:
    """The name of a device, for the figures."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"


def blank(settings: Train, shape: tuple[int, int, int], edges: list[str]) -> Prior:
    """A prior whose linear part is white noise, so that timings are those of the network."""
    count, rows, columns = shape
    about = Metadata(
        [f"c{k}" for k in range(count)],
        [float(k) for k in range(rows)],
        [float(k) for k in range(columns)],
        edges,
        6,
        settings.window,
        machine.precision(settings.precision, machine.device("auto")),
        False,
        settings.backbone.model_dump(mode="json"),
        0,
        0,
        {},
        settings.design,
    )
    values = count * rows * columns
    process = GaussMarkov(Values(torch.tensor(values)), torch.ones(values), torch.zeros(0, 0, 0), torch.zeros(values))
    return Prior(about, process, Scaling(0.0, 1.0, 0, 0), torch.zeros(0, rows, columns))


def waiting(windows: Windows, model: Prior, settings: Train, steps: int) -> dict[str, float]:
    """Run training steps on windows of a store; return the share of the time spent waiting for batches.

    One step runs before the clock starts.
    """
    device, shape = model.maps.device, (len(model.metadata.channels), *model.metadata.grid.shape)
    loss = loop.Loss(model.train(), settings)
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    make = lambda step: batches.make(windows, settings, shape, step, range(settings.batch))
    loader, began, before = Loader(make, 0, steps + 1, device), 0.0, 0.0
    for step, batch in loader:
        loop.optimiser_step(loss, batch, settings, optimiser, step, Team())
        if step == 0:
            began, before = time.perf_counter(), loader.wait_seconds
    seconds = time.perf_counter() - began
    return {"waiting_share": (loader.wait_seconds - before) / seconds, "seconds_per_step": seconds / steps}


def write(found: object, path: Path | None) -> None:
    """Write figures as JSON if a path is given."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1))
