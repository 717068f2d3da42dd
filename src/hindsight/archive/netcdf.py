"""Copies of the archive as netCDF: a file a calendar year and group, for tools that read no Zarr.

A file is written a shard at a time, so it is never in memory whole, and replaced whole. It carries the checksum of what
it is made from, so that years which a longer archive leaves as they were are left alone.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np
import zarr

from hindsight.archive import objects
from hindsight.fields import store
from hindsight.progress import Progress
from hindsight.settings import Archive

KINDS = {"none": {}, "mean": {"mean": "mean", "spread": "spread"}}  # files' names, and the groups they are made of
KINDS["members"] = KINDS["mean"] | {"members": ""}
NUMBERS = {"time": "i4", "realization": "i4"}  # CF readers know these, and not all of them longer integers
OWN = ("recipe", "time_coverage_start", "time_coverage_end", "time_coverage_duration")  # of the archive as a whole
ORIGIN = np.datetime64("1900-01-01T00", "h")


@dataclass(frozen=True)
class Year:
    """A file: what it is called, the group it is made of, and its frames."""

    path: Path
    group: str
    frames: slice


def run(settings: Archive, *, layout: Path, markers: list[Path], archive: Path, folder: Path, marker: Path) -> None:
    """Copy the archive to netCDF, a file a calendar year and group."""
    told = json.loads(layout.read_text())
    shards = sorted((json.loads(path.read_text()) for path in markers), key=lambda shard: shard["first"])
    wanted = years(zarr.open_array(archive / "time", mode="r")[:], KINDS[settings.netcdf], folder)
    watch = Progress("archive.netcdf", len(wanted))
    for done, year in enumerate(wanted):
        met = [shard for shard in shards if _meets(shard, year.frames)]
        made_from = _digest(told, met, year.group)
        if _said(year.path) != made_from:
            with objects.writing(year.path):
                store.replace(year.path, lambda partial: _write(partial, year, made_from, met, archive))  # noqa: B023
        watch(done + 1, year.path.name)
    files = {year.path.name: objects.sha256(year.path) for year in wanted}
    objects.put_json(marker, {"recipe": told["recipe"], "files": files})


def years(hours: np.ndarray, kinds: dict[str, str], folder: Path) -> list[Year]:
    """The files of an archive.

    Args:
        hours: times of its frames, since 1900.
        kinds: names of the files, and the groups they are made of.
        folder: where they lie.
    """
    found = (ORIGIN + hours.astype("timedelta64[h]")).astype("datetime64[Y]")
    wanted = []
    for year in np.unique(found):
        inside = np.flatnonzero(found == year)
        frames = slice(int(inside[0]), int(inside[-1]) + 1)
        wanted += [Year(folder / f"{kind}-{year}.nc", group, frames) for kind, group in kinds.items()]
    return wanted


def _meets(shard: dict, frames: slice) -> bool:
    return shard["first"] < frames.stop and shard["first"] + shard["frames"] > frames.start


def _digest(told: dict, shards: list[dict], group: str) -> str:
    """Checksum of the objects and words that a file is made from."""
    own = [
        (name, sum_)
        for shard in shards
        for name, sum_ in sorted(shard["objects"].items())
        if name.startswith(f"{group}/") or not group and name.split("/")[0] not in ("mean", "spread")
    ]
    words = {
        name: value for name, value in told["attributes"].items() if name not in (*OWN, "history", "date_modified")
    }
    return hashlib.sha256(json.dumps([own, words], sort_keys=True).encode()).hexdigest()


def _said(path: Path) -> str | None:
    """What a file says that it is made from; nothing if it is not there or cannot be read."""
    try:
        with netCDF4.Dataset(path) as file:
            return file.getncattr("made_from")
    except (OSError, AttributeError):
        return None


def _write(path: Path, year: Year, made_from: str, shards: list[dict], archive: Path) -> None:
    root = zarr.open_group(archive / year.group, mode="r", use_consolidated=False)
    with netCDF4.Dataset(path, "w") as file:
        arrays = dict(sorted(root.arrays()))
        _coordinates(file, arrays, year.frames)
        file.setncatts({key: value for key, value in root.attrs.items() if key not in OWN} | _when(file))
        file.setncattr("made_from", made_from)
        for name, array in arrays.items():
            if array.ndim > 1:
                _variable(file, name, array, year.frames, shards)


def _coordinates(file: netCDF4.Dataset, arrays: dict[str, zarr.Array], frames: slice) -> None:
    for name, array in arrays.items():
        if array.ndim > 1:
            continue
        values = array[frames] if name == "time" else array[...]
        dimensions = (name,) if array.ndim else ()
        for dimension in dimensions:
            file.createDimension(dimension, len(values))
        variable = file.createVariable(name, NUMBERS.get(name, "f8"), dimensions)
        variable.setncatts(dict(array.attrs))
        variable[...] = values


def _when(file: netCDF4.Dataset) -> dict[str, str]:
    """The time that a file covers."""
    start, end = (ORIGIN + np.timedelta64(int(file["time"][k]), "h") for k in (0, -1))
    hours = int((end - start) / np.timedelta64(1, "h"))
    told = {"time_coverage_duration": f"P{hours // 24}DT{hours % 24}H"}
    for name, time in (("start", start), ("end", end)):
        told[f"time_coverage_{name}"] = f"{np.datetime_as_string(time, 's')}Z"
    return told


def _variable(file: netCDF4.Dataset, name: str, array: zarr.Array, frames: slice, shards: list[dict]) -> None:
    """Copy one variable, a shard in memory at a time."""
    dimensions = array.metadata.dimension_names
    sizes = [len(file.dimensions[dimension]) for dimension in dimensions]
    chunks = [min(chunk, size) for chunk, size in zip(array.chunks, sizes)]
    options = {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": chunks, "fill_value": False}
    variable = file.createVariable(name, "f4", dimensions, **options)
    variable.setncatts(dict(array.attrs))
    variable.set_auto_mask(False)
    for shard in shards:
        first, last = max(shard["first"], frames.start), min(shard["first"] + shard["frames"], frames.stop)
        variable[..., first - frames.start : last - frames.start, :, :] = array[..., first:last, :, :]
