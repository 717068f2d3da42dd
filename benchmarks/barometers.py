"""Scores of the reanalysis of Europe from real barometers and thermometers, beside its rivals on the same rows.

    make barometers DATA=../shared/data
    python benchmarks/barometers.py [--run results/barometers] [--year 2009] [--json FILE]

For every network: RMSE of the mean against ERA-Interim (training standard deviations, unweighted: z500, t850, msl),
fair CRPS in the same units, spread / skill, and the RMSE at withheld barometers (hPa) of the analysis and of ERA-
Interim itself. `oi` is optimal interpolation with the frames around each day, a sampled ensemble like ours;
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
from hindsight.fields import observations as tables
from hindsight.fields import store
from hindsight.fields.frames import Frames
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling, extremes
from hindsight.operators.evaluate import evaluate
from hindsight.operators.rows import normalise, reject_gross_errors
from hindsight.reanalyse import observation_tensors
from hindsight.reanalyse.assimilation import Assimilation, Task
from hindsight.settings import Settings

PRESSURE = ("msl", "sp")
SPAN = 3  # days that a mean of the day depends on


class World:
    """Fields, scaling and period that all scores share."""

    def __init__(self, run: Path, year: int | None) -> None:
        self.run = run
        self.chosen = Settings.model_validate_json((run / "settings/configuration.json").read_text())
        self.channels, dataset = self.chosen.domain.channels, store.read(run / "preprocess/fields.zarr")
        self.scaling = Scaling.read(run / "preprocess/climatology.nc", run / "preprocess/statistics.nc")
        test = self.chosen.domain.test
        first, last = (test.start, test.end) if year is None else (f"{year}-01-01", f"{year}-12-31")
        self.reference = dataset.sel(time=slice(first, last))["fields"]
        self.grid, self.times = Grid.of(dataset), self.reference["time"].values
        self.training = Frames(run / "preprocess/fields.zarr", self.chosen.domain.train, self.scaling)

    def observations(self, network: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The used and the withheld observations of a network, without gross errors."""
        step = np.timedelta64(self.chosen.domain.step_hours, "h")
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
        found = {"rmse": error} | ({"crps": fair_crps(away)} if len(members) > 1 else {})
        if len(members) > 1:
            spread = np.sqrt(flat(away.var(0, ddof=1)) * (1 + 1 / len(members)))
            found["spread_skill"] = spread / error
        found = {name: [round(float(v), 4) for v in values] for name, values in found.items()}
        return found | {"withheld_hpa": self.at_withheld(members.mean(0), withheld)}

    def at_withheld(self, fields: np.ndarray, withheld: pd.DataFrame) -> float:
        """RMSE (hPa) of fields (T, C, H, W) at withheld barometers."""
        rows = withheld[withheld["channel"].isin(PRESSURE)].reset_index(drop=True)
        away = evaluate(rows, self.channels, self.grid, self.times, fields.astype(float)) - rows["value"].to_numpy()
        return round(float(np.sqrt(np.nanmean(away**2))) / 100, 4)


def fair_crps(away: np.ndarray) -> np.ndarray:
    """Fair CRPS of members minus the verifying value, (E, T, C, H, W), mean over all but the channel (C,)."""
    count = len(away)
    ordered = np.sort(away, 0)
    rank = (2 * np.arange(1, count + 1) - count - 1).reshape(-1, 1, 1, 1, 1)
    spread = (rank * ordered).sum(0) / (count * (count - 1))
    return (np.abs(away).mean(0) - spread).mean(axis=(0, 2, 3))


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
    task = Task(times, used, list(range(members)), world.chosen.product.seed)
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
