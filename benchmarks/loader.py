"""Reading for training: do windows of a store that does not fit in memory arrive as fast as training uses them?

    python benchmarks/loader.py --json results/loader.json

Makes a store (Zarr shards of 1024 frames, chunks of 64) several times as large as the frames kept in memory, and
drops its files from the page cache before every measurement, so that reads reach the disk. Writes `{"waiting_share",
"device", "threads", "grids": {GRID: …}}`: the share of the time that the training loop (Loader, loss, backward pass
and AdamW on the default U-Net in its default precision) waited for batches, the largest over the grids; and for every
grid the windows per second of the loader alone, the GB per second of frames that it returns and of chunks that it
reads, and the latter relative to a plain sequential read of the same chunks by zarr. `--quick` takes a small store
and network.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import cases
import dask.array
import numpy as np
import torch
import xarray as xr
import zarr

from hindsight import machine
from hindsight.fields import store
from hindsight.fields.frames import Frames
from hindsight.fields.scaling import Scaling
from hindsight.settings import Train
from hindsight.settings.domain import Period
from hindsight.train import batches
from hindsight.train.windows import Windows

GRIDS = {  # channels, latitudes, longitudes; frames of the store, windows a batch, steps timed
    "8 x 32 x 64": ((8, 32, 64), 8192, 16, 6),
    "8 x 121 x 240": ((8, 121, 240), 2048, 2, 4),
}
QUICK = {"2 x 16 x 32": ((2, 16, 32), 1024, 4, 3)}
SMALL = {"width": 8, "multipliers": [1], "blocks": 1}
SHARD, CHUNK = 1024, 64
KEPT = 8  # size of the store relative to the frames kept in memory
WHOLE = Period(start="1960-01-01", end="2100-01-01")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the store is made, and removed; a temporary one otherwise")
    parser.add_argument("--quick", action="store_true", help="seconds: a check that it runs")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    device = torch.device(machine.device("auto"))
    found = {"waiting_share": 0.0, "device": cases.device_name(device), "threads": chosen.threads, "grids": {}}
    for name, (shape, frames, batch, steps) in (QUICK if chosen.quick else GRIDS).items():
        settings = Train.model_validate(
            {"batch": batch, "coordinates": False, "backbone": SMALL if chosen.quick else {}}
        )
        with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
            where = make_store(Path(folder) / "fields.zarr", shape, frames)
            found["grids"][name] = row = measured(where, settings, device, shape, steps)
        found["waiting_share"] = max(found["waiting_share"], row["waiting_share"])
        print(name, json.dumps(row), flush=True)
        cases.write(found, chosen.json)


def make_store(path: Path, shape: tuple[int, int, int], frames: int) -> Path:
    """Write a store of noise that is smooth in time and compresses about as well as weather."""
    times = np.datetime64("1980-01-01T00", "ns") + np.arange(frames) * np.timedelta64(6, "h")
    axes = {"latitude": np.linspace(-88, 88, shape[1]), "longitude": np.arange(shape[2]) * 360 / shape[2]}
    coordinates = {"time": times, "channel": np.array([f"c{k}" for k in range(shape[0])], object), **axes}
    dims, chunks = ("time", "channel", "latitude", "longitude"), (SHARD, *shape)
    lazy = xr.Dataset({"fields": (dims, dask.array.zeros((frames, *shape), np.float32, chunks=chunks))}, coordinates)

    def parts() -> object:
        for first in range(0, frames, SHARD):
            white = np.random.default_rng(first).standard_normal((SHARD, *shape), np.float32)
            part = slice(first, first + SHARD)
            yield xr.Dataset({"fields": (dims, 5e4 + 1e3 * white)}, coordinates | {"time": times[part]})

    store.write_parts(lazy, parts(), path, {"fields": {"chunks": (CHUNK, *shape), "shards": chunks}})
    return path


def measured(where: Path, settings: Train, device: torch.device, shape: tuple[int, int, int], steps: int) -> dict:
    """Measure the training loop's waiting, the loader alone, and a plain read, each from a cold store."""
    size = 4 * int(np.prod(shape))
    array = zarr.open_group(where, mode="r")["fields"]
    kept = array.shape[0] * size / KEPT / 1e6
    cold(where)
    began = time.perf_counter()
    for first in range(0, array.shape[0], CHUNK):
        array[first : first + CHUNK]
    bare = array.shape[0] * size / (time.perf_counter() - began)
    cold(where)
    alone = loaded(windows_of(where, settings, shape, kept), settings, shape, 4 * steps)
    cold(where)
    model = cases.blank(settings, shape, ["pole", "periodic"]).to(device)
    found = cases.waiting(windows_of(where, settings, shape, kept), model, settings, steps)
    read = alone["chunks_per_second"] * CHUNK * size
    return found | {
        "windows_per_second": alone["windows_per_second"],
        "window": settings.window,
        "batch": settings.batch,
        "dtype": machine.precision(settings.precision, device),
        "handed_out_gb_per_second": alone["windows_per_second"] * settings.window * size / 1e9,
        "read_gb_per_second": read / 1e9,
        "bare_read_gb_per_second": bare / 1e9,
        "share_of_bare_read": read / bare,
        "store_gb": array.shape[0] * size / 1e9,
        "kept_gb": kept / 1e3,
    }


def windows_of(where: Path, settings: Train, shape: tuple[int, int, int], memory_mb: float) -> Windows:
    """The windows of the store, `memory_mb` of which are kept in memory."""
    climatology = np.full((7, *shape), 1.0)
    seen = Scaling(climatology, np.full(shape[0], 1e3), 3, 0)
    frames = Frames(where, WHOLE, seen, memory_mb)
    return Windows(frames.times, frames, settings.window, "training", frames.segment)


def loaded(windows: Windows, settings: Train, shape: tuple[int, int, int], steps: int) -> dict[str, float]:
    """Windows and chunks per second of batches that nothing uses."""
    frames = windows.read
    read, began = frames.chunks_read, time.perf_counter()
    for step in range(steps):
        batches.make(windows, settings, shape, step, range(settings.batch))
    seconds = time.perf_counter() - began
    return {
        "windows_per_second": steps * settings.batch / seconds,
        "chunks_per_second": (frames.chunks_read - read) / seconds,
    }


def cold(where: Path) -> None:
    """Drop the store's files from the page cache."""
    for path in where.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
