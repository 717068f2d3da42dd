"""Files of real reports of every source: how long does reading take, and how much memory?

    python benchmarks/reports.py --data FOLDER --json results/reports.json

Reads the files below the data folder that there are, each source in a process of its own. Writes `{"processor",
"sources": {SOURCE: …}}`: reports (rows of one value), megabytes of the files, seconds, processor seconds, and the peak
memory (MB) of the process, of which `idle_mb` is Python with its libraries. Sources without files are left out.

`checked_seconds` is what `observe.collect` does after that: channels, errors and frames are assigned (six-hourly, 37
levels, 1.5 degrees) and the checks made that need no other report; `used` reports pass them all.
"""

import argparse
import json
import os
import platform
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.fields.intervals import Interval
from hindsight.observe import channels, collect, sources
from hindsight.settings.lexicon import LEVELS
from hindsight.settings.observe import RealReports
from hindsight.settings.reports import Reports

ALWAYS = np.datetime64("1900-01-01"), np.datetime64("2100-01-01")
CHANNELS = [f"{letter}{level}" for letter in "ztquv" for level in LEVELS] + ["msl", "t2m", "u10", "v10"]
EUROPE = {
    "columns": {"time": "date", "latitude": "lat", "longitude": "lon", "elevation": "elev_m", "station": "station"},
    "hour_of_dates": 12,
    "values": [
        {"column": "p", "quantity": "surface_air_pressure", "units": "hPa"},
        {"column": "t_mean", "quantity": "air_temperature", "units": "degC"},
    ],
}
SOURCES = {  # settings by name
    "table": {
        "source": "table",
        "files": ["obs_europe_daily/obs_daily.parquet"],
        "stations": "obs_europe_daily/stations.csv",
        "table": EUROPE,
    },
    "madis": {"source": "madis", "files": ["obs_madis_20050826/*.nc.gz"]},
    "metar": {"source": "metar", "files": ["obs_metar_202001/*.parquet"]},
    "igra": {"source": "igra", "files": ["stations/igra2_*-data.txt.zip"]},
    "bufr of SYNOP": {"source": "bufr", "files": ["obs_synop_bufr/synop*.bufr"]},
    "bufr of aircraft": {"source": "bufr", "files": ["obs_synop_bufr/*aircraft.bufr"]},
    "prepbufr": {"source": "prepbufr", "files": ["obs_prepbufr_19890101/*.parquet"]},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--json", type=Path, help="where the figures go")
    chosen = parser.parse_args()
    found = {
        "processor": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one process",
        "sources": {},
    }
    for name, settings in SOURCES.items():
        if not any(any(chosen.data.glob(pattern)) for pattern in settings["files"]):
            print(f"{name}: no files in {chosen.data}", flush=True)
            continue
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            found["sources"][name] = row = pool.submit(measured, settings, chosen.data).result()
        print(name, json.dumps(row), flush=True)
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")


def measured(settings: dict, data: Path) -> dict[str, float]:
    """Read the files of a source, and measure."""
    idle, began, used = peak(), time.perf_counter(), processor_seconds()
    reports = Reports.model_validate(settings)
    table, notes = sources.collect(reports, data, ALWAYS)
    read = time.perf_counter()
    codes = checked(table)
    return {
        "reports": len(table),
        "used": int((codes == 0).sum()),
        "notes": len(notes),
        "megabytes": sum(path.stat().st_size for each in reports.files for path in data.glob(each)) / 1e6,
        "seconds": round(read - began, 2),
        "checked_seconds": round(time.perf_counter() - read, 2),
        "processor_seconds": round(processor_seconds() - used, 2),
        "peak_mb": peak(),
        "idle_mb": idle,
    }


def checked(table: pd.DataFrame) -> np.ndarray:
    """The codes of reports as observations of a global state, (N,)."""
    settings, first = RealReports(), table["time"].min().floor("D").to_datetime64()
    frames = int((table["time"].max().to_datetime64() - first) // np.timedelta64(6, "h")) + 2
    described = channels.assign(table, settings.measurements, CHANNELS)
    observed = collect.at_frames(described, Interval(first, frames, 6), 6)
    observed = collect.as_observations(observed, "benchmark")
    axes = {"latitude": np.arange(-90, 90.1, 1.5), "longitude": np.arange(0, 360, 1.5)}
    return collect.reasons(observed, CHANNELS, xr.Dataset(coords=axes), settings.quality.height_m).first


def processor_seconds() -> float:
    """Processor time of this process and of those that it started and that have ended."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def peak() -> float:
    """The largest memory of this process so far, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
