"""Small archives with all that their page is made from, and the page's numbers read without its scripts."""

import base64
import json
import re
import zlib
from itertools import accumulate
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.archive import explore, observations
from hindsight.fields import store
from hindsight.settings import Archive
from hindsight.settings.verify import Comparison
from hindsight.verify import feedback

MISSING_FRAME = 3  # of the reference


def reference(small) -> Path:
    """The fields of the period: the first member and 40 more; one frame is missing."""
    times = np.concatenate([shard.times(24) for shard in small.cuts])
    values = np.concatenate([small.values(shard, 0) for shard in small.cuts]) + 40
    values[MISSING_FRAME] = np.nan
    axes = {"time": times, "channel": small.domain.channels}
    axes |= {"latitude": small.grid.latitude, "longitude": small.grid.longitude}
    dataset = xr.Dataset({"fields": (tuple(axes), values.astype("float32"))}, axes, {"source_title": "a toy"})
    dataset["available"] = ("time", ~np.isnan(values[:, 0, 0, 0]))
    chunks = (10, 2, *small.grid.shape)
    store.write(dataset, small.folder / "reference.zarr", {"fields": {"chunks": chunks}})
    return small.folder / "reference.zarr"


def rows(small, stations=("A", "B", "C")) -> pd.DataFrame:
    """Observations of z500 in every frame: of A used, of B withheld, of C far from their neighbours."""
    times = np.concatenate([shard.times(24) for shard in small.cuts])
    table = pd.DataFrame([{"time": time, "station": name} for time in times for name in stations])
    number = table["station"].map({name: at for at, name in enumerate(stations)})
    order = table.groupby("station").cumcount()
    return table.assign(
        analysis="diffusion", latitude=40.2 + number, longitude=-2.3 + number, channel="z500", platform="synop",
        source="mine", time_weights="", code=number.map({0: 0, 1: 1}).fillna(9).astype(int), reasons=0,
        obsvalue=54_000.0 + 10 * order + number, biascorr=5.0, obs_error=20.0, an_depar=order - 7.0, rank=0,
        elevation=np.nan, level=500.0, fg_depar=0.0, others_depar=0.0, others_spread=1.0, reference_depar=0.0,
        an_spread=1.0, crps=1.0,
    )  # fmt: skip


def tables(small, table: pd.DataFrame) -> Path:
    """Publish feedback beside an archive; returns the list of its tables."""
    paths = []
    for shard in small.cuts:
        paths.append(small.folder / f"feedback/{shard.name}.parquet")
        feedback.write(table[table["time"].isin(shard.times(24))], paths[-1])
    marker = small.archive.with_name("observations.json")
    folder = marker.with_name("feedback")
    observations.run(small.domain, small.product, feedback=paths, folder=folder, marker=marker)
    return marker


def explored(small, against="reference", table=None, **settings) -> Path:
    """Make the page of an archive; returns its path."""
    marker = tables(small, rows(small) if table is None else table)
    static, page = small.folder / "static.nc", small.archive.with_name("explore.html")
    land = (small.grid.longitude > 0) * np.ones(small.grid.shape)
    axes = {"latitude": small.grid.latitude, "longitude": small.grid.longitude}
    xr.Dataset({"land": (tuple(axes), land)}, axes).to_netcdf(static)
    explore.run(
        Comparison(against=against), Archive(**small.archive_settings, **settings), layout=small.layout,
        tables=[marker], archive=small.archive, fields=reference(small), static=static, coast=[], page=page,
    )  # fmt: skip
    return page


def content(page: Path) -> dict:
    """The data of a page."""
    return json.loads(re.search(r'<script type="application/json" id="page">(.*?)</script>', page.read_text())[1])


def unpacked(block: dict) -> np.ndarray:
    """The values of a block, (T, N), one number at a time as `packing` describes them."""
    content = zlib.decompress(base64.b64decode(block["data"]))
    count = len(content) // 2
    numbers = [content[k] + 256 * content[count + k] for k in range(count)]
    changes = [-(n + 1) // 2 if n % 2 else n // 2 for n in numbers]
    width = count // block["rows"]
    found = [list(accumulate(changes[:width]))]
    for row in range(1, block["rows"]):
        found.append([a + b for a, b in zip(found[-1], changes[row * width : (row + 1) * width])])
    values = np.array(found, float).reshape(block["rows"], width) % 65536
    return np.where(values == 65535, np.nan, (values + block["offset"]) * block["step"])


def field(content: dict, channel: str, kind: str) -> np.ndarray:
    """A field of a page, (T, h, w)."""
    (one,) = (one for one in content["channels"] if one["name"] == channel)
    values = np.concatenate([unpacked(block) for block in one["fields"][kind]])
    if kind in ("member", "reference"):  # they are differences from the mean
        values = values + np.concatenate([unpacked(block) for block in one["fields"]["mean"]])
    return values.reshape(-1, len(content["latitude"]) - 1, len(content["longitude"]) - 1)
