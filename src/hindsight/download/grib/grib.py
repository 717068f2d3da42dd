"""Source `grib`: the messages that a part needs, taken out of GRIB files one by one.

cfgrib opens hypercubes: messages that agree in all but a few keys. Here the catalogue knows every message, and the
frames of a part say which of them they are made of. Where there are analyses and forecasts, final data and preliminary
ones, amounts over an hour and since the start of a forecast, that is no hypercube. So messages are decoded by their
place, with cfgrib's message layer, and no more of them are in memory than a block of frames. Parts are made side by
side, each by one process that reads its files from front to back.
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
from hindsight.download.grib.part_messages import Picked, pick
from hindsight.fields import intervals, store
from hindsight.fields.intervals import Interval
from hindsight.progress import Progress
from hindsight.settings import Download
from hindsight.settings.lexicon import Channel, source_channels

POINTS = {"latitude": "degrees_north", "longitude": "degrees_east"}


def run(settings: Download, *, part: str, catalogue: Path, raw: Path, marker: Path) -> None:
    """Decode the frames of one part from GRIB files, channel by channel, in the files' units."""
    cut, channels = intervals.parse(part, settings.step_hours), source_channels(settings.channels)
    picked = pick(channels, cut, settings.grib.member, catalogue)
    asked = {"channels": settings.channels, "member": settings.grib.member, "box": settings.box, "part": part}
    request = {"source": "grib", "messages": picked.digest, "step_hours": settings.step_hours} | asked
    if parts.kept(raw, marker, request):
        return
    store.require_free_space(raw, settings.minimum_free_gb)
    watch = Progress(f"download.grib {part}", decodings(picked) + len(picked.static))
    reader = Reader(picked.table, picked.leading, settings.box, watch)
    dataset = frames(picked, channels, cut, reader).assign(still(picked, reader))
    dataset.attrs = _attributes(picked, settings)
    with dask.config.set(scheduler="synchronous"):  # two threads at once are more than ecCodes is made for
        parts.write(dataset, raw, marker, request, _source(picked, cut))


def frames(picked: Picked, channels: list[Channel], cut: Interval, reader: Reader) -> xr.Dataset:
    """A variable a channel, called like it, (time, latitude, longitude), lazy; NaN in frames that no message makes.

    Each has a name of its own because channels of one parameter need not have the same levels, or hours, and a level
    that one lacks would look like a hole in another.
    """
    coords = {"time": ("time", cut.times)}
    for name, units in POINTS.items():
        coords[name] = (name, getattr(reader.points, name), {"standard_name": name, "units": units})
    return xr.Dataset({c.name: _variable(picked, c, reader) for c in channels}, coords)


def still(picked: Picked, reader: Reader) -> dict[str, tuple]:
    """What does not change with time, where it is on the same grid."""
    found = {}
    for name, row in picked.static.items():
        if reader.fits(row):
            values = next(reader.fields([row]))[1].astype(np.float32)
            found[name] = (tuple(POINTS), values, {"units": str(picked.table["units"][row])})
    return found


def decodings(picked: Picked) -> int:
    """How many messages are decoded: in each block of frames, each that it needs."""
    return sum(len({row for one in block for row, _ in one}) for s in picked.sums.values() for block in _blocks(s))


def _variable(picked: Picked, channel: Channel, reader: Reader) -> tuple:
    precision, sums = np.float64 if channel.hours else np.float32, picked.sums[channel.name]
    shape = reader.points.shape
    blocks = [
        dask.array.from_delayed(
            dask.delayed(partial(reader.block, block, precision), pure=False)(), (len(block), *shape), np.float32
        )
        for block in _blocks(sums)
    ]
    return ("time", *POINTS), dask.array.concatenate(blocks), _described(picked.about[channel.name], channel)


def _described(about: pd.Series, channel: Channel) -> dict:
    given = {"units": about["units"], "long_name": about["name"], "standard_name": about["cfName"]}
    found = {name: value for name, value in given.items() if value not in ("", "unknown")}
    found |= {"GRIB_paramId": int(about["paramId"]), "GRIB_shortName": about["shortName"]}
    found |= {"GRIB_typeOfLevel": about["typeOfLevel"], "GRIB_level": float(about["level"])}
    return found | ({"accumulated_hours": channel.hours} if channel.hours else {})


def _blocks(sums: list[assembly.Sum]) -> list[list[assembly.Sum]]:
    return [sums[first : first + parts.FRAMES] for first in range(0, len(sums), parts.FRAMES)]


def _source(picked: Picked, cut: Interval) -> dict:
    late = set(picked.table.index[assembly.provisional(picked.table)])
    preliminary = [any(row in late for s in picked.sums.values() for row, _ in s[k]) for k in range(cut.frames)]
    used = picked.table.loc[picked.used or [picked.sample]]
    return {
        "kind": "grib",
        "files": used["file"].nunique(),
        "messages": len(picked.used),
        "editions": sorted(map(int, set(used["edition"]))),
        "expver": sorted(map(str, set(used["expver"]))),
        "member": sorted(map(int, set(used["member"]))),
        "provisional": [str(time.astype("datetime64[s]")) for time in cut.times[preliminary]],
    }


def _attributes(picked: Picked, settings: Download) -> dict:
    names = sorted({Path(name).name for name in picked.table["file"][picked.used or [picked.sample]]})
    listed = ", ".join(names) if len(names) <= 10 else f"{names[0]} … {names[-1]}, {len(names)} files"
    return {"source_files": listed, "source_title": settings.title, "source_licence": settings.licence}
