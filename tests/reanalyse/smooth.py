"""Smooth fields, which compress like weather."""

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from hindsight.fields import analyses
from hindsight.fields.grid import Grid

GRID = Grid(np.linspace(30.0, 60.0, 21), np.linspace(-20.0, 14.5, 24))
CHANNELS = ["z500", "msl"]
SHARD, PERIOD = "20090101T00", {"start": "2009-01-01T00:00", "end": "2009-01-24T18:00"}  # 96 frames
SAID = {"analysis": "diffusion", "regime": "batch", "steps": 8, "seed": 1, "prior": "ab" * 32}


def fields(members, frames, seed=0):
    """Members about a common mean, (E, T, C, H, W) float32."""
    generator = np.random.default_rng(seed)
    draw = lambda count: gaussian_filter(
        generator.standard_normal((count, frames, len(CHANNELS), *GRID.shape)), (0, 2, 0, 2, 2)
    )
    level = np.array([54000.0, 101000.0])[:, None, None]
    return (level + 9000 * draw(1) + 1500 * draw(members)).astype("float32")


def write(values, members, folder):
    """The file of a block of members of the whole period."""
    path, made = folder / f"{SHARD}-{members[0] // len(members)}.nc", dataset(values)
    block = values[list(members)]
    analyses.write(block, list(members), made["time"].values, CHANNELS, GRID, SAID, path)
    return path


def dataset(values):
    """The same as a shard of an analysis."""
    times = np.datetime64("2009-01-01", "ns") + np.arange(values.shape[1]) * np.timedelta64(6, "h")
    coords = {"realization": range(len(values)), "time": times, "channel": CHANNELS}
    coords |= {"latitude": GRID.latitude, "longitude": GRID.longitude}
    return xr.Dataset({"analysis": (tuple(coords), values)}, coords)
