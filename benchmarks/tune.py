"""Score variants of the settings on the validation period, on which settings are tuned.

    python benchmarks/tune.py --config config/europe.yaml --vary reanalyse.steps=4,6,8 [--untrained]

Needs a run made by `make europe` (or its preprocessing). Prints, for each network and value, RMSE and fair CRPS in
standard deviations, spread/skill, network evaluations per frame and member, and seconds. `--untrained` takes the linear
prior alone, fitted with these settings; the default is the run's prior.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import cases
import numpy as np
import torch
import yaml

from hindsight import settings
from hindsight.baselines import covariance
from hindsight.baselines.optimal_interpolation import OptimalInterpolation
from hindsight.fields import store
from hindsight.fields.frames import Frames
from hindsight.fields.grid import Grid
from hindsight.operators.rows import normalise
from hindsight.prior import Prior
from hindsight.settings import Settings
from hindsight.train import linear_prior
from hindsight.train.prior import build
from hindsight.train.windows import scaling_for


def changed(config: dict, key: str, value: str) -> dict:
    """The configuration with one setting changed."""
    config = json.loads(json.dumps(config, default=str))
    *path, last = key.split(".")
    inner = config
    for name in path:
        inner = inner.setdefault(name, {})
    inner[last] = yaml.safe_load(value)
    return config


def made_of(run: Path) -> list[Path]:
    """The files that preprocessing made."""
    return [run / "preprocess" / name for name in ("fields.zarr", "climatology.nc", "statistics.nc")]


def untrained(chosen: Settings, run: Path) -> Prior:
    """The linear prior with these settings, and a network whose output is zero."""
    with tempfile.TemporaryDirectory() as folder:
        fitted = Path(folder) / "linear_prior.safetensors"
        fields, climatology, statistics = made_of(run)
        linear_prior.run(
            chosen.domain,
            chosen.train,
            fields=fields,
            climatology=climatology,
            statistics=statistics,
            linear_prior=fitted,
        )
        grid = Grid.of(store.read(fields))
        seen = scaling_for(chosen.train, grid, climatology, statistics)
        return build(chosen.domain, chosen.train, grid, seen, run / "preprocess/static.nc", fitted, {}).eval()


def interpolated(case: cases.Case, chosen: Settings, run: Path) -> np.ndarray:
    """Optimal interpolation of the same observations; fields in physical units."""
    fields, *made = made_of(run)
    training = Frames(fields, chosen.domain.train, scaling_for(chosen.train, case.prior.metadata.grid, *made))
    method = OptimalInterpolation.from_covariance(covariance.lagged_covariance(training, 1), 1)
    about, step = case.prior.metadata, chosen.domain.step_hours
    rows = normalise(case.table, about.channels, about.grid, case.prior.scaling)
    analysis = np.stack([method.members(rows, t, step, chosen.product) for t in case.times], 1)
    return case.prior.scaling.restore(analysis.reshape(*analysis.shape[:2], *case.truth.shape[1:]), case.times)


def line(scores: dict[str, list[float]]) -> str:
    """One line of scores."""
    return "  ".join(f"{name} {' '.join(f'{v:.4f}' for v in values)}" for name, values in scores.items())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--vary", required=True, help="SECTION.KEY=VALUE,VALUE,…")
    parser.add_argument("--untrained", action="store_true")
    parser.add_argument("--days", type=int, default=366)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = yaml.safe_load(arguments.config.read_text())
    key, _, values = arguments.vary.partition("=")
    base = settings.read(config)
    run, members = Path("results") / base.run, base.product.members
    frames = arguments.days * 24 // base.domain.step_hours
    for name in base.observe.networks:
        case = cases.validation(run, name, frames, untrained(base, run) if arguments.untrained else None)
        print(f"{name:9} {'optimal interpolation':32} {line(case.scores(interpolated(case, base, run)))}", flush=True)
        for value in values.split(","):
            chosen = settings.read(changed(config, key, value))
            if arguments.untrained:
                case.prior = untrained(chosen, run)
            began = time.monotonic()
            made = case.analysed(chosen.reanalyse, members)
            cost = f"{made.cost.evaluations / members / len(case.times):.1f} evaluations"
            print(
                f"{name:9} {f'{key}={value}':32} {line(case.scores(made.fields))}  {cost}  "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
