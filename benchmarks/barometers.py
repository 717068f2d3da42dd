"""Scores of the reanalysis of Europe from real barometers and thermometers, beside its rivals on the same rows.

    make barometers DATA=../shared/data
    python benchmarks/barometers.py [--run results/barometers] [--year 2009] [--json FILE]

For every network: RMSE of the mean against ERA-Interim (training standard deviations, unweighted: z500, t850, msl),
fair CRPS in the same units, spread / skill, and the RMSE at withheld barometers (hPa) of the analysis and of ERA-
Interim itself, fair CRPS (hPa) with random observation errors added to the members, beside the mean absolute
departure of ERA-Interim, and the shares of the ranks of the withheld values among the members, with `rank_chance`, the
mean square of their deviations from equal shares over what chance gives (blocks of `BLOCK` days drawn again; 1: flat
within chance). `oi` is optimal interpolation with the frames around each day, a sampled ensemble like ours;
`oi_single` its best analysis of that day's reports alone; `closed_form` the linear prior given the same rows, without
a network. ERA-Interim assimilated many of the same reports and is no independent truth.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from hindsight import machine
from hindsight import prior as priors
from hindsight.baselines import covariance
from hindsight.baselines.optimal_interpolation import OptimalInterpolation
from hindsight.fields import analyses as analysis_files
from hindsight.fields import intervals, perturbations, store
from hindsight.fields import observations as tables
from hindsight.fields.frames import Frames
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling, extremes
from hindsight.operators.evaluate import evaluate
from hindsight.operators.rows import normalise, reject_gross_errors
from hindsight.reanalyse import observation_tensors
from hindsight.reanalyse.assimilation import Assimilation, Task
from hindsight.scores import ensemble
from hindsight.settings import Settings

PRESSURE = ("msl", "sp")
SPAN = 3  # days that a mean of the day depends on
BLOCK = 10  # days
PURPOSE = 7 << 32  # keeps the random numbers apart from those of analyses


class World:
    """Fields, scaling and period that all scores share."""

    def __init__(self, run: Path, year: int | None) -> None:
        self.run = run
        self.chosen = Settings.model_validate_json((run / "settings/configuration.json").read_text())
        self.channels, dataset = self.chosen.domain.channels, store.read(run / "preprocess/fields.zarr")
        self.scaling = Scaling.read(run / "preprocess/climatology.nc", run / "preprocess/statistics.nc")
        self.antithetic, test = self.chosen.product.antithetic, self.chosen.domain.test
        first, last = (test.start, test.end) if year is None else (f"{year}-01-01", f"{year}-12-31")
        self.reference = dataset.sel(time=slice(first, last))["fields"]
        self.grid, self.times = Grid.of(dataset), self.reference["time"].values
        self.training = Frames(run / "preprocess/fields.zarr", self.chosen.domain.train, self.scaling)

    def observations(self, network: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The used and the withheld observations of a network, without gross errors."""
        step = intervals.time_step(self.chosen.domain.step_hours)
        paths = sorted((self.run / f"observe/{network}").glob("*.parquet"))
        table = tables.read(paths, self.times[0] - step, self.times[-1] + step)
        limits = extremes(self.run / "preprocess/statistics.nc")
        good = partial(reject_gross_errors, channels=self.channels, grid=self.grid, scaling=self.scaling)
        used, withheld = (
            good(rows, extremes=limits, step_hours=self.chosen.domain.step_hours)[0]
            for rows in (tables.usable(table), tables.withheld(table))
        )
        return used[used["time"].isin(self.times)], withheld[withheld["time"].isin(self.times)]

    def scores(self, members: np.ndarray, withheld: pd.DataFrame) -> dict:
        """Scores of members (E, T, C, H, W), in the channels' units; one member has no spread."""
        unit = self.scaling.spread[:, None, None]
        away = ((members - self.reference.values) / unit).astype(np.float32)
        flat = lambda values: values.mean(axis=(-4, -2, -1))
        error = np.sqrt(flat(away.mean(0) ** 2))
        found = {"rmse": error}
        if len(members) > 1:
            found["crps"] = flat(fair_crps(away, self.antithetic))
            found["spread_skill"] = np.sqrt(flat(sum(ensemble.variances(away, self.antithetic)))) / error
        found = {name: [round(float(v), 4) for v in values] for name, values in found.items()}
        found["withheld_hpa"] = self.at_withheld(members.mean(0), withheld)
        return found | (self.ensemble_at_withheld(members, withheld) if len(members) > 1 else {})

    def ensemble_at_withheld(self, members: np.ndarray, withheld: pd.DataFrame) -> dict:
        """CRPS (hPa) and rank histogram of members (E, T, C, H, W) at withheld barometers, observation errors added."""
        rows = withheld[withheld["channel"].isin(PRESSURE)].reset_index(drop=True)
        at_rows = evaluate(rows, self.channels, self.grid, self.times, members.astype(float))
        known = np.isfinite(at_rows).all(0)
        rows, at_rows = rows[known], at_rows[:, known]
        noise = perturbations.normal(
            self.chosen.product.seed, PURPOSE, range(len(members)), 0, perturbations.keys(rows)
        )
        away = at_rows + noise * rows["error"].to_numpy() - rows["value"].to_numpy()
        days = ((rows["time"].to_numpy("datetime64[ns]") - self.times[0]) // np.timedelta64(BLOCK, "D")).astype(int)
        ranked = ensemble.ranked(away, self.antithetic)
        shares, chance = rank_histogram((ranked < 0).sum(0), days, len(ranked) + 1)
        crps = float(fair_crps(away, self.antithetic).mean()) / 100
        return {"withheld_crps_hpa": round(crps, 4), "ranks": shares, "rank_chance": chance}

    def at_withheld(self, fields: np.ndarray, withheld: pd.DataFrame) -> float:
        """RMSE (hPa) of fields (T, C, H, W) at withheld barometers."""
        return round(float(np.sqrt(np.nanmean(self.departures(fields, withheld) ** 2))) / 100, 4)

    def mean_departure(self, withheld: pd.DataFrame) -> float:
        """Mean absolute departure (hPa) of the reference from withheld barometers: the CRPS of one value."""
        return round(float(np.nanmean(np.abs(self.departures(self.reference.values, withheld)))) / 100, 4)

    def departures(self, fields: np.ndarray, withheld: pd.DataFrame) -> np.ndarray:
        """Fields (T, C, H, W) minus withheld barometers, (N,)."""
        rows = withheld[withheld["channel"].isin(PRESSURE)].reset_index(drop=True)
        return evaluate(rows, self.channels, self.grid, self.times, fields.astype(float)) - rows["value"].to_numpy()


def fair_crps(away: np.ndarray, antithetic: bool) -> np.ndarray:
    """Fair CRPS of members minus the verifying value, (E, …) to (…)."""
    return np.abs(away).mean(0) - ensemble.mean_difference(away, antithetic) / 2


def rank_histogram(rank: np.ndarray, block: np.ndarray, count: int) -> tuple[list[float], float]:
    """Shares of `count` ranks, and the mean square of their deviations from 1 / count in standard errors.

    Args:
        rank: of each row, (N,).
        block: of time, of each row, (N,); the standard errors are those of sums of independent blocks.
        count: of possible ranks.
    """
    table = np.zeros((block.max() + 1, count))
    np.add.at(table, (block, rank), 1.0)
    shares, rows = table.sum(0) / table.sum(), table.sum(1, keepdims=True)
    away = table - rows * shares  # of blocks, whose numbers of rows differ
    variance = (away**2).sum(0) / table.sum() ** 2 * len(table) / (len(table) - 1)
    return [round(float(share), 4) for share in shares], round(float(((shares - 1 / count) ** 2 / variance).mean()), 2)


def analysed(world: World, folder: Path) -> np.ndarray:
    """The members of finished shards, (E, T, C, H, W)."""
    shards = sorted({path.stem.split("-")[0] for path in folder.glob("*.nc")})
    parts = [analysis_files.read(sorted(folder.glob(f"{shard}-*.nc"))) for shard in shards]
    return xr.concat([part["analysis"] for part in parts], "time").sel(time=world.times).values


def single_best(world: World, method: OptimalInterpolation, used: pd.DataFrame) -> np.ndarray:
    """Optimal interpolation's best analysis of each day from that day's reports, (1, T, C, H, W)."""
    step = world.chosen.domain.step_hours
    rows = normalise(used, world.channels, world.grid, world.scaling, step)
    offset = np.zeros_like(rows.point) if rows.offset is None else rows.offset
    states = []
    for time in world.times:
        here = rows.time == time
        point = rows.point[here] + (offset[here] + SPAN // 2) * method.size
        none = np.zeros((1, method.size * SPAN))
        best = method.analyse(none, rows.value[here][None], point, rows.weight[here], rows.error[here])
        states.append(best[0, method.size * (SPAN // 2) :][: method.size])
    return restored(world, np.array(states)[None])


def closed_form(world: World, prior: priors.Prior, used: pd.DataFrame, members: int) -> np.ndarray:
    """Members of the linear prior given the observations, in one draw, (E, T, C, H, W)."""
    settings, times = world.chosen.reanalyse, world.times
    observations = observation_tensors.from_table(used, times, world.channels, world.grid, prior.scaling)
    product = world.chosen.product
    task = Task(times, used, list(range(members)), product.seed, antithetic=product.antithetic)
    assimilation = Assimilation(prior, task, observations, settings)
    whole, size = slice(0, len(times)), prior.process.size
    white = partial(assimilation.noise, whole, np.zeros(len(times), int))
    level = torch.full((len(times),), float("inf"))
    drawn = assimilation.denoiser(whole).start(torch.zeros(members, len(times), size), level, white)
    return restored(world, drawn.numpy())


def restored(world: World, states: np.ndarray) -> np.ndarray:
    """Normalised states (E, T, D) as fields in the channels' units."""
    fields = states.reshape(*states.shape[:2], len(world.channels), *world.grid.shape)
    return world.scaling.restore(fields, world.times)


def main() -> None:
    """Print and write the scores of every network that is finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("results/barometers"))
    parser.add_argument("--year", type=int, default=2009)
    parser.add_argument("--networks", nargs="*")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    world = World(arguments.run, arguments.year)
    prior = priors.load(arguments.run / "train/prior.safetensors", machine.device("auto"))
    method = OptimalInterpolation.from_covariance(covariance.lagged_covariance(world.training, SPAN), SPAN)
    found = {
        "machine": {
            "processor": machine.device_name(),
            "precision": prior.precision,
            "threads": torch.get_num_threads(),
        }
    }
    for network in arguments.networks or world.chosen.observe.networks:
        used, withheld = world.observations(network)
        ours = analysed(world, arguments.run / f"reanalyse/{network}/diffusion")
        one = world.scores(ours, withheld)
        one["withheld_reference_hpa"] = world.at_withheld(world.reference.values, withheld)
        one["withheld_reference_crps_hpa"] = world.mean_departure(withheld)
        oi = analysed(world, arguments.run / f"baselines/{network}/optimal_interpolation")
        one["oi"] = world.scores(oi, withheld)
        one["oi_single"] = world.scores(single_best(world, method, used), withheld)
        one["closed_form"] = world.scores(closed_form(world, prior, used, len(ours)), withheld)
        one["withheld_below_oi"] = round(1 - one["withheld_hpa"] / one["oi"]["withheld_hpa"], 3)
        found[network] = one
        print(f"\n{network}: {', '.join(world.channels)}; {len(used)} rows used, {len(withheld)} withheld")
        for name in ("", "oi", "oi_single", "closed_form"):
            part = one[name] if name else {k: v for k, v in one.items() if not isinstance(v, dict)}
            print(f"  {name or 'diffusion':12}{part}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
