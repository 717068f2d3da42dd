"""Copy the archive to netCDF, one file per calendar year and group, for tools that do not read Zarr.

A file is written one shard at a time, so that it is never in memory as a whole, and replaced atomically. It records the
checksum of its sources, so that years which do not change are not rewritten when the archive grows.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np
import zarr

from hindsight.archive import metadata, objects
from hindsight.fields import store
from hindsight.progress import Progress
from hindsight.settings import Archive

KINDS = {"none": {}, "mean": {"mean": "mean", "spread": "spread"}}  # prefix of the file name: group of the archive
KINDS["members"] = KINDS["mean"] | {"members": ""}
WHOLE_ARCHIVE = (
    "recipe",
    "time_coverage_start",
    "time_coverage_end",
    "time_coverage_duration",
)  # attributes that do not hold for one file
COORDINATE_AXES = 2  # dimensions of a coordinate or of its bounds, at most; data have more


@dataclass(frozen=True)
class YearFile:
    """One netCDF file: its path, the group that it copies, and its frames."""

    path: Path
    group: str
    frames: slice


def run(settings: Archive, *, layout: Path, markers: list[Path], archive: Path, folder: Path, marker: Path) -> None:
    """Copy the archive to netCDF, one file per calendar year and group."""
    layout_json = json.loads(layout.read_text())
    shards = sorted((json.loads(path.read_text()) for path in markers), key=lambda shard: shard["first"])
    files = years(metadata.decode_times(zarr.open_array(archive / "time", mode="r")), KINDS[settings.netcdf], folder)
    watch = Progress("archive.netcdf", len(files), "files")
    for done, file in enumerate(files):
        overlapping = [shard for shard in shards if _overlaps(shard, file.frames)]
        made_from = _digest(layout_json, overlapping, file.group, _attributes(archive / file.group))
        if _recorded_digest(file.path) != made_from:
            with objects.writing(file.path):
                store.replace(file.path, lambda partial: _write(partial, file, made_from, overlapping, archive))  # noqa: B023
        watch(done + 1, file.path.name)
    checksums = {file.path.name: objects.sha256(file.path) for file in files}
    objects.put_json(marker, {"recipe": layout_json["recipe"], "files": checksums})


def years(times: np.ndarray, kinds: dict[str, str], folder: Path) -> list[YearFile]:
    """The netCDF files of an archive.

    Args:
        times: of its frames.
        kinds: group of the archive by the prefix of the file name.
        folder: of the files.
    """
    of_frames = times.astype("datetime64[Y]")
    files = []
    for year in np.unique(of_frames):
        inside = np.flatnonzero(of_frames == year)
        frames = slice(int(inside[0]), int(inside[-1]) + 1)
        files += [YearFile(folder / f"{kind}-{year}.nc", group, frames) for kind, group in kinds.items()]
    return files


def _overlaps(shard: dict, frames: slice) -> bool:
    return shard["first"] < frames.stop and shard["first"] + shard["frames"] > frames.start


def _digest(layout_json: dict, shards: list[dict], group: str, variables: dict[str, dict]) -> str:
    """Checksum of the objects and attributes that a file is made from.

    `variables`: the attributes of the group's variables.
    """
    checksums = [
        (name, checksum)
        for shard in shards
        for name, checksum in sorted(shard["objects"].items())
        if name.startswith(f"{group}/") or not group and name.split("/")[0] not in ("mean", "spread")
    ]
    attributes = {
        name: value
        for name, value in layout_json["attributes"].items()
        if name not in (*WHOLE_ARCHIVE, "history", "date_modified")
    }
    return hashlib.sha256(json.dumps([checksums, attributes, variables], sort_keys=True).encode()).hexdigest()


def _attributes(group: Path) -> dict[str, dict]:
    """The attributes of each variable of a group of the archive."""
    arrays = zarr.open_group(group, mode="r", use_consolidated=False).arrays()
    return {name: dict(array.attrs) for name, array in arrays}


def _recorded_digest(path: Path) -> str | None:
    """The checksum of sources in a file; None if the file is missing or cannot be read."""
    try:
        with netCDF4.Dataset(path) as file:
            return file.getncattr("made_from")
    except (OSError, AttributeError):
        return None


def _write(path: Path, year: YearFile, made_from: str, shards: list[dict], archive: Path) -> None:
    root = zarr.open_group(archive / year.group, mode="r", use_consolidated=False)
    with netCDF4.Dataset(path, "w") as file:
        arrays = dict(sorted(root.arrays()))
        _coordinates(file, arrays, year.frames)
        file.setncatts({key: value for key, value in root.attrs.items() if key not in WHOLE_ARCHIVE} | _when(file))
        file.setncattr("made_from", made_from)
        for name, array in arrays.items():
            if array.ndim > COORDINATE_AXES:
                _variable(file, name, array, year.frames, shards)


def _coordinates(file: netCDF4.Dataset, arrays: dict[str, zarr.Array], frames: slice) -> None:
    for name, array in arrays.items():
        if array.ndim > COORDINATE_AXES:
            continue
        dimensions = array.metadata.dimension_names or ()
        values = array[frames] if "time" in dimensions else array[...]
        for dimension, size in zip(dimensions, values.shape):
            if dimension not in file.dimensions:
                file.createDimension(dimension, size)
        kind = "i4" if np.issubdtype(array.dtype, np.integer) else "f8"  # not all CF readers know longer integers
        variable = file.createVariable(name, kind, dimensions)
        variable.setncatts(_short(array.attrs))
        variable[...] = values


def _short(attributes: Mapping[str, object]) -> dict[str, object]:
    """Attributes with integers of four bytes, as those of the variables that CF compares with them."""
    whole = lambda value: isinstance(value, int) or isinstance(value, list) and all(isinstance(v, int) for v in value)
    return {name: np.asarray(value, "i4") if whole(value) else value for name, value in attributes.items()}


def _when(file: netCDF4.Dataset) -> dict[str, str]:
    """Attributes of the time that a file covers."""
    start, end = metadata.decode(file["time"][[0, -1]], file["time"].units)
    attributes = {"time_coverage_duration": metadata.duration(start, end)}
    for name, time in (("start", start), ("end", end)):
        attributes[f"time_coverage_{name}"] = f"{np.datetime_as_string(time, 's')}Z"
    return attributes


def _variable(file: netCDF4.Dataset, name: str, array: zarr.Array, frames: slice, shards: list[dict]) -> None:
    """Copy one variable, one shard in memory at a time."""
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
