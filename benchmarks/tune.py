"""Score variants of the settings on the validation period, which is what choices are tuned on.

    python benchmarks/tune.py --config config/europe.yaml --vary train.colour.ridge=0.0,0.1,0.2 [--untrained]

Needs a run made by `make europe` (or its preprocessing). Prints, for each network and value, RMSE and fair CRPS in
standard deviations, spread/skill, and seconds. `--untrained` takes the closed form alone; otherwise the run's prior.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import yaml

from hindsight import prior as priors
from hindsight import settings
from hindsight.baselines import covariance
from hindsight.baselines.optimal_interpolation import OptimalInterpolation, normalised
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.fields import observations as tables
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.observe import networks, simulate
from hindsight.reanalyse.shard import reanalyse
from hindsight.scores import ensemble
from hindsight.train import colour
from hindsight.train.prior import build
from hindsight.train.windows import departures


def changed(config: dict, key: str, value: str) -> dict:
    """The configuration with one setting changed."""
    config = json.loads(json.dumps(config, default=str))
    *path, last = key.split(".")
    inner = config
    for name in path:
        inner = inner.setdefault(name, {})
    inner[last] = yaml.safe_load(value)
    return config


class Bench:
    """The validation period, observed."""

    def __init__(self, config: dict, days: int) -> None:
        self.chosen = settings.read(config)
        self.folder = Path("results") / self.chosen.run
        self.made = [self.folder / "preprocess" / n for n in ("fields.zarr", "climatology.nc", "statistics.nc")]
        self.scaling = Scaling.read(*self.made[1:])
        domain = self.chosen.domain
        self.truth = store.read(self.made[0])["fields"].sel(time=slice(domain.validation.start, domain.validation.end))
        self.truth = self.truth[:days]
        self.grid, self.times = Grid.of(self.truth), self.truth["time"].values

    def observe(self, name: str) -> object:
        """What a network would have seen of it."""
        spec = self.chosen.observe.networks[name]
        generator = np.random.default_rng(7)
        stations = networks.stations(spec, self.grid, generator, None)
        error = simulate.error_of(spec, self.chosen.domain.channels, self.scaling.spread)
        table = simulate.simulate(self.truth, stations, error, generator, spec).assign(source="validation")
        return tables.usable(tables.check(table, name))

    def prior(self, chosen: settings.Settings, untrained: bool) -> priors.Prior:
        """The run's prior, or the closed form with these settings."""
        if not untrained:
            return priors.load(self.folder / "train/prior.safetensors")
        path = Path("results") / chosen.run / "train" / "colour-of-benchmark.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        _, _, values = departures(chosen.domain, "train", *self.made)
        process = colour.fit(values.reshape(len(values), -1), chosen.train.colour)
        from safetensors.torch import save_file

        save_file({n: v.contiguous() for n, v in vars(process).items()}, path)
        made = build(
            chosen.domain, chosen.train, self.grid, self.scaling, self.folder / "preprocess/static.nc", path, {}
        )
        path.unlink()
        assert isinstance(made.process, GaussMarkov)
        return made.eval()

    def score(self, values: np.ndarray) -> str:
        """One line of scores, in standard deviations."""
        flat = lambda x: x.reshape(*x.shape[: x.ndim - 2], -1)
        found = ensemble.statistics(
            flat(values), flat(self.truth.values), flat(self.scaling.climatology(self.times)), self.grid.weights.ravel()
        )
        scores = ensemble.scores({name: value.mean(0) for name, value in found.items()}, len(values))
        show = lambda name, scale: " ".join(f"{v:.4f}" for v in scores[name] / scale)
        return (
            f"rmse {show('rmse', self.scaling.spread)}  crps {show('crps', self.scaling.spread)}  "
            f"spread/skill {show('spread_skill', 1)}"
        )


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
    bench = Bench(config, arguments.days)
    members = list(range(bench.chosen.product.members))
    for name in bench.chosen.observe.networks:
        table = bench.observe(name)
        print(f"{name:9} {'optimal interpolation':32} {bench.score(_interpolated(bench, table))}", flush=True)
        for value in values.split(","):
            chosen = settings.read(changed(config, key, value))
            prior, began = bench.prior(chosen, arguments.untrained), time.monotonic()
            analysis = reanalyse(prior, bench.times, table, members, 1, chosen.reanalyse)
            print(
                f"{name:9} {f'{key}={value}':32} {bench.score(analysis)}  {time.monotonic() - began:.0f} s", flush=True
            )


def _interpolated(bench: Bench, table: object) -> np.ndarray:
    _, _, values = departures(bench.chosen.domain, "train", *bench.made)
    method = OptimalInterpolation(covariance.lagged(values.reshape(len(values), -1), 1), 1)
    rows = normalised(table, bench.chosen.domain.channels, bench.grid, bench.scaling)
    step = bench.chosen.domain.step_hours
    analysis = np.stack([method.members(rows, t, step, bench.chosen.product) for t in bench.times], 1)
    return bench.scaling.restore(analysis.reshape(*analysis.shape[:2], *bench.truth.shape[1:]), bench.times)


if __name__ == "__main__":
    main()
