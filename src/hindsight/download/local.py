"""Source `local`: netCDF files or Zarr stores on disk, one or many."""

from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import axes, store
from hindsight.settings import Download


def run(settings: Download, *, files: list[Path], raw: Path) -> None:
    """Gather netCDF files or Zarr stores from disk into one store, names and units untouched."""
    _there(files)
    store.require_room(raw, settings.minimum_free_gb)
    parts = [_open(path) for path in files]
    _readable(files, parts)
    dataset = _join(files, parts)
    dataset.attrs |= {
        "source_files": ", ".join(path.name for path in files),
        "source_title": settings.title,
        "source_licence": settings.licence,
    }
    store.write(_plain(dataset), raw)


def _open(path: Path) -> xr.Dataset:
    try:
        if path.is_dir():
            return xr.open_zarr(path)
        return xr.open_dataset(path, chunks={})
    except Exception as error:  # every backend raises its own
        raise UserError(
            f"cannot read {path} ({_first_line(error)}); expected netCDF or Zarr, so replace the file "
            "or take it out of download.files"
        ) from None


def _readable(files: list[Path], parts: list[xr.Dataset]) -> None:
    for path, part in zip(files, parts):
        if time := [name for name in part.dims if name in axes.DIMENSIONS["time"]]:
            if not np.issubdtype(part[time[0]].dtype, np.datetime64):
                raise UserError(f"{path}: its {time[0]} is {part[time[0]].dtype}, not dates; expected CF time units")
        else:
            raise UserError(f"{path} has no time dimension (it has: {', '.join(map(str, part.dims))})")


def _join(files: list[Path], parts: list[xr.Dataset]) -> xr.Dataset:
    """Join files that hold different variables, or different times of the same ones."""
    groups: dict[tuple, list[xr.Dataset]] = {}
    for part in parts:
        groups.setdefault(tuple(sorted(map(str, part.data_vars))), []).append(part)
    try:
        rows = [
            xr.concat(
                sorted(group, key=lambda p: p[_time(p)].values[0]),
                _time(group[0]),
                data_vars="minimal",
                coords="minimal",
                compat="equals",
                join="exact",
            )
            if len(group) > 1
            else group[0]
            for group in groups.values()
        ]
        return xr.merge(rows, join="exact", compat="no_conflicts", combine_attrs="drop_conflicts")
    except (ValueError, xr.MergeError) as error:
        names = ", ".join(str(path) for path in files)
        raise UserError(
            f"{names} do not fit together ({_first_line(error)}); expected the same grid in all, and the "
            "same times in files of different variables"
        ) from None


def _plain(dataset: xr.Dataset) -> xr.Dataset:
    """Drop the source's packing and compression: decoded values are what is kept."""
    for variable in dataset.variables.values():
        variable.encoding = {}
    time = _time(dataset)
    rows = {name: 1 if name in axes.DIMENSIONS["level"] else -1 for name in dataset.dims}  # levels are read one by one
    return dataset.chunk(rows | {time: min(dataset.sizes[time], 512)})


def _time(dataset: xr.Dataset) -> str:
    """What the source calls time."""
    return next(name for name in axes.DIMENSIONS["time"] if name in dataset.dims)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _there(files: list[Path]) -> None:
    if missing := [str(path) for path in files if not path.exists()]:
        raise UserError(f"there is no {', '.join(missing)}; check data and download.files")
