"""Small files of a local source, and the chain from them to a part."""

import json

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.download.local import contents, local
from hindsight.fields import store
from hindsight.fields.intervals import Interval
from hindsight.settings import Download

TIMES = pd.date_range("2023-01-01", periods=8, freq="6h").to_numpy()
LATITUDE, LONGITUDE = np.arange(50.0, 44.0, -1.0), np.arange(-3.0, 4.0, 1.0)
DIMS = ("time", "latitude", "longitude")


def field(offset=280.0, times=TIMES, seed=0):
    """Values that differ everywhere, (T, H, W)."""
    shape = (len(times), len(LATITUDE), len(LONGITUDE))
    return offset + np.random.default_rng(seed).standard_normal(shape).round(3)


def variable(values, units="K", name="t2m", times=TIMES, **coords):
    """A file of one variable."""
    at = {"time": times, "latitude": LATITUDE, "longitude": LONGITUDE, **coords}
    return xr.Dataset({name: (DIMS, values, {"units": units})}, at)


def saved(folder, *files):
    """Write files, `0.nc` and so on."""
    paths = [folder / f"{number}.nc" for number in range(len(files))]
    for path, file in zip(paths, files):
        file.to_netcdf(path)
    return paths


def listed(files, *channels, **settings):
    """The files' contents, and what is asked of them."""
    request = Download(channels=list(channels), step_hours=6, minimum_free_gb=0, **settings)
    return contents.list_contents(files, request), request


def part(folder, files, *channels, start=TIMES[0], frames=8, step=6, **settings):
    """One part of the files, and its marker."""
    request = Download(channels=list(channels), step_hours=step, minimum_free_gb=0, **settings)
    cut = Interval(np.datetime64(start, "m"), frames, step)
    raw, marker = folder / "part.zarr/zarr.json", folder / "part.json"
    contents.run(request, files=files, contents=folder / "contents.json")
    local.run(request, part=cut.name, contents=folder / "contents.json", raw=raw, marker=marker)
    return store.read(raw).load(), json.loads(marker.read_text())
