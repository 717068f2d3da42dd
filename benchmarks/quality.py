"""Quality control against planted errors of known kind and size: detection, false alarms, drifts.

    make barometers DATA=../shared/data     (or the linear prior of it: `--until linear_prior`)
    python benchmarks/quality.py [--run results/barometers --config config/barometers.yaml] [--json FILE]
    python benchmarks/quality.py --quick

Simulated networks observe the fields of the test period with Gaussian errors. Gross errors are added to one report in
a hundred; in single channels of other stations a sensor drifts by two observation errors a year, steps by three, or
stands still. All goes through the functions that screen real reports: `observe.screen` and `observe.denials`.

A check that knows no more than the neighbours cannot see every error of five observation errors: the departure from
what all others say has the observation error and that of the others' estimate. So gross errors are planted twice, of
some sizes in observation errors (`errors`), and of five standard deviations of the departure (`departures`). `expected`
is the share that is found by a check whose departures are normal with the variance that it claims, Phi(size - limit).
`--quick` needs no data: the fields are drawn from the prior itself, where `expected` is exact.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
import yaml
from scipy.special import ndtr

from hindsight import machine, settings
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.modes import Empirical
from hindsight.fields import store
from hindsight.fields.grid import Grid, great_circle
from hindsight.fields.scaling import Scaling
from hindsight.fields.usage import CODES, NEIGHBOURS
from hindsight.observe import denials, networks, screen, simulate
from hindsight.observe.neighbours import Neighbours
from hindsight.operators.rows import normalise
from hindsight.prior import read_linear
from hindsight.settings.observe import Network
from hindsight.settings.quality import Quality

SHARE = 0.01  # of the reports with a gross error
DRIFT, STEP = 2.0, 3.0  # errors a year, errors
FAULTY = {"drift": 6, "step": 3, "dead": 3}  # stations
ONSET, STILL = 365, (400, 460)  # days after the start
QUALITY = Quality(correlated_share=0.0)  # simulated errors are independent
NETWORKS = {  # settings, and days of gross errors
    "every third point, error 0.2": ({"kind": "regular", "every": 3, "noise": 0.2}, 120),
    "every second point, error 0.2": ({"kind": "regular", "every": 2, "noise": 0.2}, 60),
}
SIZE, FRAMES, PERSISTENCE, REACH_KM = (6, 7), 760, 0.6, 900.0  # of the quick world


@dataclass(frozen=True)
class World:
    """Fields (time, channel, latitude, longitude), and the linear prior and scaling by which reports are judged."""

    truth: xr.DataArray
    process: GaussMarkov
    scaling: Scaling
    step_hours: float

    @property
    def channels(self) -> list[str]:
        """Of the fields."""
        return list(self.truth["channel"].values)

    @property
    def grid(self) -> Grid:
        """Of the fields."""
        return Grid.of(self.truth)

    def reports(self, spec: dict, days: int) -> pd.DataFrame:
        """What a network reports in the first days, without gross errors."""
        network = Network.model_validate({"withheld": 0} | spec)
        stations = networks.stations(network, self.grid, np.random.default_rng(7), None, xr.Dataset())
        error = simulate.error_std(network, self.channels, self.scaling.spread)
        truth = self.truth[: days * 24 // self.step_hours]
        table = simulate.simulate(truth, stations, error, np.random.SeedSequence(7), network, self.step_hours)
        return table.assign(source="simulated", elevation=np.nan, time_weights="", bias=0.0, reasons=0)

    def screened(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """The reports as `observe.screen` leaves them."""
        rows = normalise(table, self.channels, self.grid, self.scaling, self.step_hours)
        judge = Neighbours(self.process, QUALITY, table, rows, self.step_hours)
        return screen.screen(judge, table, rows, np.ones(len(table), bool), QUALITY, name)


def main(argv: list[str] | None = None) -> dict:
    """Print, write and return the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("results/barometers"))
    parser.add_argument("--config", type=Path, default=Path("config/barometers.yaml"))
    parser.add_argument("--sizes", type=float, nargs="*", default=[5.0])
    parser.add_argument("--quick", action="store_true", help="half a minute, without data: a check that it runs")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    world = drawn() if given.quick else of_run(given.run, given.config)
    chosen = (
        {"every point, error 0.3": ({"kind": "regular", "every": 1, "noise": 0.3}, 180)} if given.quick else NETWORKS
    )
    found = {"processor": machine.device_name(), "threads": 1, "quick": given.quick, "gross": {}}
    for name, (spec, days) in chosen.items():
        found["gross"][name] = gross(world, world.reports(spec, days), given.sizes, name)
        print(name, json.dumps(found["gross"][name], indent=1), flush=True)
    found |= faults(world, world.reports(next(iter(chosen.values()))[0], 2 * ONSET), 2 if given.quick else 1)
    print(json.dumps({name: found[name] for name in ("stations", "false_proposals", "series")}, indent=1))
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    return found


def of_run(run: Path, config: Path) -> World:
    """The fields of the test period of a run, and its linear prior."""
    domain = settings.read(yaml.safe_load(config.read_text())).domain
    truth = store.read(run / "preprocess/fields.zarr").sel(time=slice(domain.test.start, domain.test.end))["fields"]
    names = ("train/linear_prior.safetensors", "preprocess/climatology.nc", "preprocess/statistics.nc")
    process, scaling = read_linear(*(run / name for name in names), Grid.of(truth.to_dataset(name="fields")))
    return World(truth, process, scaling, domain.step_hours)


def drawn() -> World:
    """Smooth fields of one channel, drawn from the prior by which they are judged."""
    grid = Grid(np.linspace(40.0, 60.0, SIZE[0]), np.linspace(0.0, 30.0, SIZE[1]))
    north, east = (axis.ravel() for axis in np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
    distance = great_circle(north[:, None], east[:, None], north, east)
    variance, vectors = np.linalg.eigh(np.exp(-0.5 * (distance / REACH_KM) ** 2) + 1e-4 * np.eye(len(north)))
    variance, vectors = (torch.tensor(a[..., ::-1].copy(), dtype=torch.float32) for a in (variance, vectors))
    process = GaussMarkov(Empirical(vectors), variance, torch.zeros(0, 0, 0), torch.full((len(north),), PERSISTENCE))
    coefficients = np.random.default_rng(3).standard_normal((FRAMES, len(north)))
    for t in range(1, FRAMES):
        coefficients[t] = PERSISTENCE * coefficients[t - 1] + np.sqrt(1 - PERSISTENCE**2) * coefficients[t]
    fields = process.modes.expand(torch.tensor(coefficients, dtype=torch.float32) * variance.sqrt()).numpy()
    time = np.datetime64("2009-01-01T12", "ns") + np.arange(FRAMES) * np.timedelta64(24, "h")
    axes = {"time": time, "channel": ["msl"], "latitude": grid.latitude, "longitude": grid.longitude}
    truth = xr.DataArray(fields.reshape(FRAMES, 1, *SIZE), axes, tuple(axes))
    return World(truth, process, Scaling(np.zeros((1, 1, *SIZE)), np.ones(1), 0, 0), 24)


def gross(world: World, clean: pd.DataFrame, sizes: list[float], name: str) -> dict:
    """Rates of gross errors of some sizes in a network's reports, and how it judges reports without any."""
    good = world.screened(clean, f"{name}: no gross errors")
    ratio = (good["departure"] / good["departure_spread"]).std()
    spread = good["departure_spread"].to_numpy()
    by_channel = (good["departure_spread"] / good["error"]).groupby(good["channel"]).mean().round(2).to_dict()
    units = {"errors": (clean["error"].to_numpy(), sizes), "departures": (spread, [5.0])}
    return {
        "reports": len(clean),
        "departure_in_errors": by_channel,
        "departure_over_claimed": round(float(ratio), 3),
        "rejected_without_gross_errors": round(float(is_rejected(good).mean()), 5),
    } | {
        unit: {f"{size:g}": rates(world, clean, size * of, spread, f"{name}: {size:g} {unit}") for size in each}
        for unit, (of, each) in units.items()
    }


def rates(world: World, clean: pd.DataFrame, size: np.ndarray, spread: np.ndarray, name: str) -> dict[str, float]:
    """Shares of gross errors of a size (N,) that are found, and of other reports that are rejected."""
    generator = np.random.default_rng(50)
    planted = generator.random(len(clean)) < SHARE
    sign = generator.choice([-1.0, 1.0], len(clean))
    screened = world.screened(clean.assign(value=clean["value"] + planted * sign * size), name)
    rejected, away = is_rejected(screened), size / spread
    expected = ndtr(away - QUALITY.neighbours) + ndtr(-away - QUALITY.neighbours)
    found = {"detected": rejected[planted].mean(), "expected": expected[planted].mean()}
    found |= {"false_alarms": rejected[~planted].mean()}
    return {key: round(float(rate), 4) for key, rate in found.items()} | {"planted": int(planted.sum())}


def is_rejected(screened: pd.DataFrame) -> np.ndarray:
    """Whether the check against neighbours rejects each report."""
    return (screened["quality"] == CODES[NEIGHBOURS]).to_numpy()


def faults(world: World, clean: pd.DataFrame, fewer: int) -> dict:
    """What is proposed for denial where sensors of single channels of some stations fail after a year.

    Args:
        world: that the network observes.
        clean: its reports.
        fewer: divides the number of faulty stations.
    """
    series = clean[["station", "channel"]].drop_duplicates().drop_duplicates("station")
    order = np.random.default_rng(11).permutation(len(series))
    kinds = [kind for kind, count in FAULTY.items() for _ in range(count // fewer)]
    channels = (world.channels * len(kinds))[: len(kinds)]
    planted = list(zip(kinds, series["station"].iloc[order[: len(kinds)]], channels))
    screened = world.screened(with_faults(clean, planted), "faulty stations")
    proposed = denials.propose(screened, QUALITY)
    stations = [
        {"kind": kind, "station": station, "channel": channel} | delay(screened, station, channel)
        for kind, station, channel in planted
    ]
    bad = {(station, channel) for _, station, channel in planted}
    false = sorted({*zip(proposed["station"], proposed["channel"])} - bad)
    return {
        "kinds": [*FAULTY],
        "stations": stations,
        "false_proposals": false,
        "series": len(clean[["station", "channel"]].drop_duplicates()),
    }


def with_faults(table: pd.DataFrame, planted: list[tuple[str, str, str]]) -> pd.DataFrame:
    """The reports with sensors that drift, step and stand still; kind, station and channel of each."""
    days = ((table["time"] - table["time"].min()) / pd.Timedelta("1D")).to_numpy()
    value, after = table["value"].to_numpy().copy(), np.maximum(days - ONSET, 0)
    wrong = {"drift": DRIFT * after / 365, "step": STEP * (after > 0)}
    for kind, station, channel in planted:
        of = ((table["station"] == station) & (table["channel"] == channel)).to_numpy()
        if kind == "dead":
            still = of & (days >= STILL[0]) & (days <= STILL[1])
            value[still] = value[still][0]
        else:
            value[of] += (wrong[kind] * table["error"])[of]
    return table.assign(value=value)


def delay(screened: pd.DataFrame, station: str, channel: str) -> dict:
    """After how many days of a fault its station is proposed for denial, and why; none: not by the end of the data."""
    of = screened[(screened["station"] == station) & (screened["channel"] == channel)]
    start = of["time"].min()
    for days in range(ONSET + 30, 2 * ONSET + 1, 5):
        known = of[of["time"] < start + pd.Timedelta(days, "D")]
        found = denials.propose(known, QUALITY)
        found = found[found["end"] > start + pd.Timedelta(ONSET, "D")]
        if len(found):
            return {"found_after_days": days - ONSET, "reason": found["reason"].iloc[0].split(":")[0]}
    return {"found_after_days": None, "reason": None}


if __name__ == "__main__":
    main()
