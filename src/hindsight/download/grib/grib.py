"""Source `grib`: decode the messages that a part needs, one by one.

cfgrib opens hypercubes: messages that agree in all but a few keys. Analyses with forecasts, final data with preliminary
data, or amounts over an hour with amounts since the start of a forecast are no hypercube. Here the catalogue lists
every message, and each frame is a sum of messages of the catalogue. Messages are decoded by their offset in the file,
with cfgrib's message layer, and memory holds one block of frames. Parts are made in parallel, each by one process that
reads its files from front to back.
"""

from functools import partial
from pathlib import Path

import dask
import dask.array
import numpy as np
import pandas as pd
import xarray as xr

from hindsight.download import assembly
from hindsight.download import part as parts
from hindsight.download.grib.decode import Reader
from hindsight.download.grib.part_messages import PartMessages, select
from hindsight.fields import intervals, store
from hindsight.fields.intervals import Interval
from hindsight.progress import Progress
from hindsight.settings import Download
from hindsight.settings.lexicon import Channel, source_channels

POINTS = {"latitude": "degrees_north", "longitude": "degrees_east"}


def run(settings: Download, *, part: str, catalogue: Path, raw: Path, marker: Path) -> None:
    """Decode the frames of one part from GRIB files, channel by channel, in the files' units."""
    interval, channels = intervals.parse(part, settings.step_hours), source_channels(settings.channels)
    selected = select(channels, interval, settings.grib.member, catalogue)
    rest = {"channels": settings.channels, "member": settings.grib.member, "box": settings.box, "part": part}
    request = {"source": "grib", "messages": selected.digest, "step_hours": settings.step_hours} | rest
    if parts.reuse(raw, marker, request):
        return
    store.require_free_space(raw, settings.minimum_free_gb)
    watch = Progress("download.grib", decodings(selected) + len(selected.static))
    reader = Reader(selected.table, selected.grid_row, settings.box, watch)
    dataset = frames(selected, channels, interval, reader).assign(static_fields(selected, reader))
    dataset.attrs = _attributes(selected, settings)
    with dask.config.set(scheduler="synchronous"):  # ecCodes is not safe in several threads
        parts.write(dataset, raw, marker, request, _source(selected, interval))


def frames(selected: PartMessages, channels: list[Channel], interval: Interval, reader: Reader) -> xr.Dataset:
    """The channels as variables of their own names, (time, latitude, longitude), lazy; NaN in frames without messages.

    Channels of one parameter are separate variables because they may have different levels or hours: a level that one
    channel lacks would look like missing data of the other.
    """
    coords = {"time": ("time", interval.times)}
    for name, units in POINTS.items():
        coords[name] = (name, getattr(reader.points, name), {"standard_name": name, "units": units})
    return xr.Dataset({c.name: _variable(selected, c, reader) for c in channels}, coords)


def static_fields(selected: PartMessages, reader: Reader) -> dict[str, tuple]:
    """Static fields, if they are on the same grid."""
    found = {}
    for name, row in selected.static.items():
        if reader.on_grid(row):
            values = next(reader.fields([row]))[1].astype(np.float32)
            found[name] = (tuple(POINTS), values, {"units": str(selected.table["units"][row])})
    return found


def decodings(selected: PartMessages) -> int:
    """The number of messages to decode: each message once for every block of frames that needs it."""
    return sum(len({row for one in block for row, _ in one}) for s in selected.sums.values() for block in _blocks(s))


def _variable(selected: PartMessages, channel: Channel, reader: Reader) -> tuple:
    precision, sums = np.float64 if channel.hours else np.float32, selected.sums[channel.name]
    shape = reader.points.shape
    blocks = [
        dask.array.from_delayed(
            dask.delayed(partial(reader.block, block, precision), pure=False)(), (len(block), *shape), np.float32
        )
        for block in _blocks(sums)
    ]
    return ("time", *POINTS), dask.array.concatenate(blocks), _attributes_of(selected.series[channel.name], channel)


def _attributes_of(series: pd.Series, channel: Channel) -> dict:
    attributes = {"units": series["units"], "long_name": series["name"], "standard_name": series["cfName"]}
    found = {name: value for name, value in attributes.items() if value not in ("", "unknown")}
    found |= {"GRIB_paramId": int(series["paramId"]), "GRIB_shortName": series["shortName"]}
    found |= {"GRIB_typeOfLevel": series["typeOfLevel"], "GRIB_level": float(series["level"])}
    return found | ({"accumulated_hours": channel.hours} if channel.hours else {})


def _blocks(sums: list[assembly.Sum]) -> list[list[assembly.Sum]]:
    return [sums[first : first + parts.FRAMES] for first in range(0, len(sums), parts.FRAMES)]


def _source(selected: PartMessages, interval: Interval) -> dict:
    rows = set(selected.table.index[assembly.preliminary(selected.table)])
    preliminary = [any(row in rows for s in selected.sums.values() for row, _ in s[k]) for k in range(interval.frames)]
    used = selected.table.loc[selected.used_rows or [selected.sample]]
    return {
        "kind": "grib",
        "files": used["file"].nunique(),
        "messages": len(selected.used_rows),
        "editions": sorted(map(int, set(used["edition"]))),
        "expver": sorted(map(str, set(used["expver"]))),
        "member": sorted(map(int, set(used["member"]))),
        "preliminary": [str(time.astype("datetime64[s]")) for time in interval.times[preliminary]],
    }


def _attributes(selected: PartMessages, settings: Download) -> dict:
    names = sorted({Path(name).name for name in selected.table["file"][selected.used_rows or [selected.sample]]})
    listed = ", ".join(names) if len(names) <= 10 else f"{names[0]} … {names[-1]}, {len(names)} files"
    return {"source_files": listed, "source_title": settings.title, "source_licence": settings.licence}
