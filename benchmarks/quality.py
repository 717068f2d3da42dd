"""Quality control against planted errors of known kind and size: detection, false alarms, drifts.

    make barometers DATA=../shared/data     (or any finished `snakemake observe` of a run of reports)
    python benchmarks/quality.py [--run results/barometers] [--json FILE]

A regular network observes the fields of two years with Gaussian errors. Gross errors of `--sizes` observation errors
are added to one report in a hundred; some stations drift by two errors a year, some step by three, one stands still.
All goes through the same functions as real reports: `observe.screen` and `observe.denials`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from hindsight import machine
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.fields.usage import CODES, NEIGHBOURS
from hindsight.observe import denials, networks, screen, simulate
from hindsight.observe.neighbours import Neighbours, read_prior
from hindsight.operators.rows import normalise
from hindsight.settings import Observe, Settings
from hindsight.settings.quality import Quality

NOISE, EVERY, SHARE = 0.2, 3, 0.01
DRIFT, STEP = 2.0, 3.0  # errors a year, errors
FAULTY = {"drift": ["G001001", "G010013"], "step": ["G004004", "G013019"], "dead": ["G016007"]}


def main() -> None:
    """Print and write the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("results/barometers"))
    parser.add_argument("--sizes", type=float, nargs="*", default=[3.0, 5.0, 8.0])
    parser.add_argument("--days", type=int, default=730)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen = Settings.model_validate_json((arguments.run / "settings/configuration.json").read_text())
    clean, world = observations(arguments.run, chosen, arguments.days)
    quality = Quality(correlated_share=0.0)  # simulated errors are independent
    found = {"processor": machine.device_name(), "threads": 1, "reports": len(clean), "gross": {}}
    for size in arguments.sizes:
        table, planted = with_gross_errors(clean, size)
        screened = screened_by(world, table, quality, f"errors of {size:g}")
        rejected = (screened["quality"] == CODES[NEIGHBOURS]).to_numpy()
        rates = {"detected": rejected[planted].mean(), "false_alarms": rejected[~planted].mean()}
        found["gross"][f"{size:g}"] = {name: round(float(rate), 4) for name, rate in rates.items()}
        print(size, found["gross"][f"{size:g}"], flush=True)
    screened = screened_by(world, with_faulty_stations(clean), quality, "faulty stations")
    proposed = denials.propose(screened, quality)
    found["stations"] = {
        kind: [
            {
                "station": name,
                "found": bool(len(of)),
                "first": str(of["start"].min())[:10],
                "reasons": of["reason"].tolist(),
            }
            for name in stations
            for of in [proposed[proposed["station"] == name]]
        ]
        for kind, stations in FAULTY.items()
    }
    good = set(clean["station"]) - {name for names in FAULTY.values() for name in names}
    found["false_proposals"] = sorted(set(proposed["station"]) & good)
    print(json.dumps(found, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


def observations(run: Path, chosen: Settings, days: int) -> tuple[pd.DataFrame, dict]:
    """Simulated reports of the first days of the test period, and what screening them needs."""
    fields = store.read(run / "preprocess/fields.zarr")
    start = np.datetime64(chosen.domain.test.start)
    truth = fields.sel(time=slice(start, start + np.timedelta64(days, "D")))
    grid = Grid.of(truth)
    names = ("train/linear_prior.safetensors", "preprocess/climatology.nc", "preprocess/statistics.nc")
    process, scaling = read_prior(*(run / name for name in names), grid)
    network = Observe(networks={"n": {"kind": "regular", "every": EVERY, "noise": NOISE, "withheld": 0}}).networks["n"]
    seed = np.random.SeedSequence(7)
    stations = networks.stations(network, grid, np.random.default_rng(7), None, None)
    error = simulate.error_std(network, chosen.domain.channels, scaling.spread)
    table = simulate.simulate(truth["fields"], stations, error, seed, network, chosen.domain.step_hours)
    table = table.assign(source="simulated", elevation=np.nan, time_weights="", bias=0.0, reasons=0)
    return table, {"process": process, "scaling": scaling, "grid": grid, "domain": chosen.domain}


def with_gross_errors(table: pd.DataFrame, size: float) -> tuple[pd.DataFrame, np.ndarray]:
    """The reports with errors of a size (in observation errors) added to a share of them, and which these are."""
    generator = np.random.default_rng(int(size * 10))
    planted = generator.random(len(table)) < SHARE
    sign = generator.choice([-1.0, 1.0], len(table))
    return table.assign(value=table["value"] + planted * sign * size * table["error"]), planted


def with_faulty_stations(table: pd.DataFrame) -> pd.DataFrame:
    """The reports with drifting, stepping and dead stations; the faults begin a year after the start."""
    days = (table["time"] - table["time"].min()) / pd.Timedelta("1D")
    after = np.maximum(days - 365, 0)
    wrong = np.where(table["station"].isin(FAULTY["drift"]), DRIFT * after / 365, 0.0)
    wrong += np.where(table["station"].isin(FAULTY["step"]) & (after > 0), STEP, 0.0)
    value = table["value"] + wrong * table["error"]
    for name in FAULTY["dead"]:
        for channel in table["channel"].unique():
            still = ((table["station"] == name) & (table["channel"] == channel) & days.between(400, 460)).to_numpy()
            value[still] = value[still].iloc[0]
    return table.assign(value=value)


def screened_by(world: dict, table: pd.DataFrame, quality: Quality, name: str) -> pd.DataFrame:
    """The reports as `observe.screen` leaves them."""
    step = world["domain"].step_hours
    rows = normalise(table, world["domain"].channels, world["grid"], world["scaling"], step)
    judge = Neighbours(world["process"], quality, table, rows, step)
    return screen.screen(judge, table, rows, np.ones(len(table), bool), quality, name)


if __name__ == "__main__":
    main()
