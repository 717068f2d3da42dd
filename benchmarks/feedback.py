"""Time and memory of writing and summarising many rows of feedback.

    python benchmarks/feedback.py [--rows 10000000] [--json FILE] [--quick]

Tables of a million rows, as of the shards of a global network of surface stations (500 stations an hour in 9 regions),
are written one after another and summarised by `verify.departures`, each in a process of its own, so that the peak of
memory is that of the work.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight import machine
from hindsight.settings import Ensemble, Verify
from hindsight.verify import departures, feedback

A_TABLE = 1_000_000
STATIONS, MEMBERS = 5000, 16


def table(rows: int, number: int) -> pd.DataFrame:
    """A table of feedback, random but with the types and repetitions of real ones."""
    generator = np.random.default_rng(number)
    station = np.arange(rows) % STATIONS
    hours = np.arange(rows) // STATIONS + number * (A_TABLE // STATIONS)
    value = generator.normal(size=rows)
    places = np.random.default_rng(0).uniform([-80, -180], [80, 180], (STATIONS, 2))
    columns = {
        "analysis": "diffusion",
        "time": np.datetime64("2000-01-01", "ns") + hours * np.timedelta64(1, "h"),
        "latitude": places[station, 0],
        "longitude": places[station, 1],
        "channel": np.array(["msl", "t2m"])[station % 2],
        "platform": np.array(["land", "ship"])[station % 7 // 6],
        "station": np.char.add("S", np.arange(STATIONS).astype(str))[station],
        "source": "benchmark",
        "time_weights": "",
        "code": np.where(station % 10 == 0, 1, np.where(generator.random(rows) < 0.01, 9, 0)),
        "reasons": 0,
        "rank": generator.integers(0, MEMBERS + 1, rows),
    }
    numbers = dict.fromkeys(feedback.SINGLE, np.float32(1.0)) | {"obsvalue": value, "fg_depar": value}
    numbers |= {
        "an_depar": 0.3 * value,
        "reference_depar": 0.5 * value,
        "an_spread": np.abs(value),
        "crps": np.abs(value),
    }
    return pd.DataFrame(columns | numbers)


def write(folder: Path, rows: int) -> None:
    """Write the tables."""
    for number, start in enumerate(range(0, rows, A_TABLE)):
        path = folder / f"verify/feedback/bench/diffusion/{number:04}.parquet"
        feedback.write(table(min(A_TABLE, rows - start), number), path)


def summarise(folder: Path) -> None:
    """Summarise the tables."""
    grid = {"latitude": np.linspace(-87.5, 87.5, 36), "longitude": np.arange(0, 360, 5.0)}
    xr.Dataset(coords=grid).to_netcdf(folder / "static.nc")
    paths = sorted((folder / "verify/feedback").rglob("*.parquet"))
    names = ("departures", "monthly", "ranks", "stations", "series")
    found = {name: folder / f"{name}.csv" for name in names}
    departures.run(Ensemble(members=MEMBERS), Verify(), static=folder / "static.nc", feedback=paths, **found)


def measured(step: str, folder: Path, rows: int) -> dict[str, float]:
    """Seconds and peak memory (GB) of a step in a process of its own."""
    start = time.monotonic()
    words = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--rows", str(rows)]
    said = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {f"{step}_s": round(time.monotonic() - start, 1), f"{step}_gb": round(float(said.split()[-1]), 2)}


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="20,000 rows")
    parser.add_argument("--step", choices=["write", "summarise"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        write(arguments.folder, arguments.rows) if arguments.step == "write" else summarise(arguments.folder)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)
        return
    rows = 20_000 if arguments.quick else arguments.rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {"processor": machine.device_name(), "rows": rows, **measured("write", folder, rows)}
        found["bytes_a_row"] = round(sum(p.stat().st_size for p in folder.rglob("*.parquet")) / rows, 1)
        found |= measured("summarise", folder, rows)
    print(json.dumps(found, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
