"""Compare the plan's forecast with what a run used.

    python benchmarks/efficiency.py --json results/efficiency.json

Makes a small reanalysis on a globe: red noise for weather, a linear prior fitted to it, an untrained network of the
default shape (it costs as much as a trained one), random stations. Then runs `reanalyse.plan`, every job in its own
process, one after the other, and the archive. `planned_over_used` has the ratios of seconds, bytes, objects and memory.
`--quick` takes short shards: a check that the benchmark runs. benchmarks/workers.py runs several jobs at once.
"""

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cases
import numpy as np
import pandas as pd
import torch
import xarray as xr
from scipy.ndimage import gaussian_filter

from hindsight import prior as priors
from hindsight import settings
from hindsight.fields import observations as tables
from hindsight.fields import shards, store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.fields.shards import Shard
from hindsight.settings import Settings
from hindsight.train import linear_prior

GLOBE = Grid(np.arange(-87.1875, 90, 5.625), np.arange(64) * 5.625)
CHANNELS = {"z500": (54000.0, 900.0), "u850": (2.0, 6.0)}  # mean and spread
CONFIG = {
    "run": "efficiency",
    "domain": {
        "channels": list(CHANNELS),
        "step_hours": 6,
        "latitude_edges": "pole",
        "longitude_edges": "periodic",
        "train": {"start": "2000-01-01T00:00", "end": "2000-12-31T18:00"},
        "validation": {"start": "2001-01-01T00:00", "end": "2001-01-31T18:00"},
        "test": {"start": "2002-01-01T00:00"},
    },
    "train": {
        "linear_prior": {"basis": "waves", "coupled_modes": 20},
        "window": 8,
        "precision": "float32",
        "backbone": {"patch": 4},
    },
    "product": {"members": 4, "member_block": 4, "shard_frames": 240},
    "reanalyse": {"steps": 4, "sigma_max": 3.0, "halo": 20, "solver_tolerance": 1e-3, "solver_iterations": 400},
    "archive": {"title": "Noise", "summary": "Noise on a globe.", "chunk_frames": 8},
}
SHARDS, STATIONS = 4, 100
# the peak of this process alone: `getrusage` starts from the peak of the parent process
ALONE = """
import sys, time
from hindsight.cli import main
code = main()
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(time.process_time(), 1024 * int(peak))
sys.exit(code)
"""
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "SOURCE_DATE_EPOCH": "1767225600"}


@dataclass(frozen=True)
class Used:
    """What a process used: wall-clock seconds, processor seconds, and peak memory in bytes."""

    seconds: float
    processor: float
    memory: float


@dataclass(frozen=True)
class Small:
    """A run and its folder."""

    folder: Path
    settings: Settings

    @property
    def cut(self) -> list[Shard]:
        """Its shards."""
        return shards.cut(self.settings.domain, self.settings.product)

    def path(self, name: str) -> Path:
        """A file of it."""
        return self.folder / name

    def step(self, name: str, stage: str, **options: object) -> Used:
        """Run a step as its rule does."""
        words = [name, "--settings", str(self.path(f"settings/{stage}.json"))]
        for option, value in options.items():
            words += [f"--{option}", *map(str, value if isinstance(value, list) else [value])]
        log = self.path(f"logs/{name}-{time.monotonic_ns()}.log")
        log.parent.mkdir(exist_ok=True)
        return used(words, log)

    def job(self, one: Shard, out: Path) -> Used:
        """Make one shard, all members."""
        domain, chosen = self.settings.domain, self.settings.reanalyse
        seen = one.with_halo(*chosen.halo_frames(domain.step_hours), domain)
        return self.step(
            "reanalyse.shard",
            "reanalyse",
            prior=self.path("prior.safetensors"),
            climatology=self.path("climatology.nc"),
            statistics=self.path("statistics.nc"),
            observations=[self.path("observe/stations/all.parquet")],
            shard=one.with_halo(0, 0, domain).name,
            stretch=seen.name,
            members=f"0-{self.settings.product.members - 1}",
            analysis=out / f"{one.name}-0.nc",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--folder", type=Path, help="where the run goes; none: a temporary folder")
    parser.add_argument("--quick", action="store_true", help="two short shards: a check that it runs")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp())
    try:
        small = make(folder, *((48, 2) if chosen.quick else (240, SHARDS)))
        found = {"date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}", "quick": chosen.quick}
        found |= planned(small)
    finally:
        if not chosen.folder:
            shutil.rmtree(folder)
    print(json.dumps(found, indent=1))
    cases.write(found, chosen.json)


def used(words: list[str], log: Path) -> Used:
    """Run `hindsight` in a new process and return what it used."""
    began = time.monotonic()
    with log.open("w") as file:
        done = subprocess.run([sys.executable, "-c", ALONE, *words], stdout=file, stderr=file, env=ENVIRONMENT)
    seconds, text = time.monotonic() - began, log.read_text()
    if done.returncode:
        sys.exit(f"hindsight {' '.join(words)} failed:\n{text[-3000:]}")
    taken = [float(value) for value in text.splitlines()[-1].split()]
    return Used(seconds, *taken)


def make(folder: Path, shard_frames: int, count: int) -> Small:
    """Make what the reanalysis reads: settings, prior, scaling, observations, and fields for the archive."""
    start = np.datetime64(CONFIG["domain"]["test"]["start"], "ns")
    times = start + np.arange(shard_frames * count) * np.timedelta64(6, "h")
    config = json.loads(json.dumps(CONFIG))
    config["domain"]["test"]["end"] = str(times[-1])[:16]
    config["product"]["shard_frames"] = shard_frames
    asked = settings.read(config)
    (folder / "settings").mkdir(parents=True, exist_ok=True)
    for stage in ("plan", "reanalyse", "archive"):
        (folder / f"settings/{stage}.json").write_text(settings.stage_settings(asked, stage))
    scaled(folder)
    torch.manual_seed(0)
    priors.save(blank(asked), folder / "prior.safetensors")
    truth = weather(len(times), 1)
    coords = {"time": times, "channel": list(CHANNELS), "latitude": GLOBE.latitude, "longitude": GLOBE.longitude}
    dims = ("time", "channel", "latitude", "longitude")
    store.write(xr.Dataset({"fields": (dims, truth)}, coords, {"source_title": "noise"}), folder / "fields.zarr")
    tables.write(stations(truth, times), folder / "observe/stations/all.parquet")
    return Small(folder, asked)


def weather(frames: int, seed: int) -> np.ndarray:
    """Red noise that is smooth in space and time, in physical units, (T, C, H, W) float32."""
    noise = np.random.default_rng(seed).standard_normal((frames, len(CHANNELS), *GLOBE.shape)).astype("float32")
    smooth = gaussian_filter(noise, (3, 0, 2, 3), mode=("nearest", "nearest", "nearest", "wrap"))
    mean, spread = (np.array(part, "float32")[:, None, None] for part in zip(*CHANNELS.values()))
    return mean + spread * smooth / smooth.std((0, 2, 3), keepdims=True)


def scaled(folder: Path) -> Scaling:
    """Write what `preprocess` would: a climatology without seasons, and the spread."""
    mean, spread = (np.array(part) for part in zip(*CHANNELS.values()))
    coords = {"channel": list(CHANNELS), "latitude": GLOBE.latitude, "longitude": GLOBE.longitude}
    values = np.broadcast_to(mean[:, None, None], (1, len(mean), *GLOBE.shape))
    climatology = xr.Dataset({"coefficients": (("harmonic", *coords), values)}, coords)
    climatology.assign_attrs(annual_harmonics=0, daily_harmonics=0).to_netcdf(folder / "climatology.nc")
    xr.Dataset({"spread": ("channel", spread)}).to_netcdf(folder / "statistics.nc")
    return Scaling(values, spread, 0, 0).weighted_by_area(GLOBE.weights)


class InMemory:
    """Departures in memory, with the interface of the training's frames."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.grid, self.shape = values, GLOBE, values.shape[1:]
        self.segment = np.zeros(len(values), int)

    def __call__(self, first: int, last: int) -> np.ndarray:
        """Frames, (last - first, D)."""
        return self.values[first:last].reshape(last - first, -1)

    def blocks(self, overlap: int = 0) -> list[tuple[int, int, int]]:
        """Where blocks of frames begin, with the overlap and without, and end."""
        return [(max(a - overlap, 0), a, min(a + 64, len(self.values))) for a in range(0, len(self.values), 64)]


def blank(asked: Settings) -> priors.Prior:
    """A prior whose linear part is fitted to the weather and whose network is untrained."""
    seen = scaled(Path(tempfile.mkdtemp()))
    mean, spread = (np.array(part, "float32")[:, None, None] for part in zip(*CHANNELS.values()))
    values = (weather(600, 0) - mean) / spread * np.asarray(seen.measure, "float32")
    process = linear_prior.fit(InMemory(values), asked.train.linear_prior)
    about = priors.Metadata(
        list(CHANNELS),
        list(GLOBE.latitude),
        list(GLOBE.longitude),
        [asked.domain.latitude_edges, asked.domain.longitude_edges],
        asked.domain.step_hours,
        asked.train.window,
        "float32",
        False,
        asked.train.backbone.model_dump(mode="json"),
        0,
        0,
        {},
    )
    return priors.Prior(about, process, seen, priors.maps(GLOBE))


def stations(truth: np.ndarray, times: np.ndarray) -> pd.DataFrame:
    """Observations at random grid points, all channels in every frame; their error is a tenth of the spread."""
    generator = np.random.default_rng(2)
    place = generator.choice(GLOBE.shape[0] * GLOBE.shape[1], STATIONS, replace=False)
    row, column = np.unravel_index(place, GLOBE.shape)
    frame, channel, number = (a.ravel() for a in np.indices((len(times), len(CHANNELS), STATIONS)))
    error = 0.1 * np.array([spread for _, spread in CHANNELS.values()])[channel]
    value = truth[frame, channel, row[number], column[number]] + error * generator.standard_normal(len(frame))
    return pd.DataFrame(
        {
            "time": times[frame],
            "latitude": GLOBE.latitude[row[number]],
            "longitude": GLOBE.longitude[column[number]],
            "level": np.nan,
            "channel": np.array(list(CHANNELS))[channel],
            "value": value,
            "error": error,
            "platform": "simulated",
            "station": number.astype(str),
            "quality": 0,
            "withheld": False,
            "source": "noise",
        }
    )


def planned(small: Small) -> dict:
    """Plan, then run every job one after the other; return the plan divided by what was used."""
    out, plan = small.path("reanalyse/stations/diffusion"), small.path("reanalyse/stations/plan.json")
    planning = small.step(
        "reanalyse.plan",
        "plan",
        prior=small.path("prior.safetensors"),
        climatology=small.path("climatology.nc"),
        observations=[small.path("observe/stations/all.parquet")],
        archive=[small.path("archive/reanalysis.zarr")],
        plan=plan,
    )
    forecast = json.loads(plan.read_text())
    jobs = [small.job(one, out) for one in small.cut]
    took = {
        "seconds": sum(job.seconds for job in jobs),
        "analyses_bytes": sum(path.stat().st_size for path in out.glob("*.nc")),
        "analyses_files": len(list(out.glob("*.nc"))),
        "memory": max(job.memory for job in jobs),
        **archived(small, out),
    }
    asked = {
        "seconds": 3600 * forecast["device_hours"]["value"],
        "memory": forecast["host_bytes"]["value"],
        **{name: _value(forecast[name]) for name in took if name in forecast},
    }
    return {
        "device": forecast["device"],
        "dtype": CONFIG["train"]["precision"],
        "planning_seconds": planning.seconds,
        "load_average": os.getloadavg()[1],  # five minutes; other processes on the machine lengthen the times
        "planned": asked,
        "used": took | {"processor_seconds": sum(job.processor for job in jobs)},
        "planned_over_used": {name: asked[name] / value for name, value in took.items()},
    }


def _value(forecast: object) -> float:
    return forecast["value"] if isinstance(forecast, dict) else forecast


def archived(small: Small, analyses: Path) -> dict:
    """Make the archive: bytes and objects of its data, metadata and coordinates left out."""
    archive, layout = small.path("archive/reanalysis.zarr"), small.path("archive/layout.json")
    first = [analyses / f"{small.cut[0].name}-0.nc"]
    small.step(
        "archive.layout", "archive", first_shard=first, fields=small.path("fields.zarr"), archive=archive, marker=layout
    )
    markers = []
    for one in small.cut:
        markers.append(small.path(f"archive/shards/{one.name}.json"))
        files = [analyses / f"{one.name}-0.nc"]
        small.step("archive.write", "archive", layout=layout, analyses=files, archive=archive, marker=markers[-1])
    objects = [archive / name for marker in markers for name in json.loads(marker.read_text())["objects"]]
    return {"archive_bytes": sum(path.stat().st_size for path in objects), "archive_objects": len(objects)}


if __name__ == "__main__":
    main()
