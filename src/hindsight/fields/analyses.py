"""Files of analyses: one layout for the diffusion analysis and every baseline.

One netCDF file for each shard of frames and block of members: `analysis` (realization, time, channel, latitude,
longitude), float32, physical units. The same inputs give the same bytes.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import calendar, store
from hindsight.fields.grid import Grid

DIMENSIONS = ("realization", "time", "channel", "latitude", "longitude")
MAX_AT_BOUND = 0.01  # share of the points at a controller's bound; above it a shard and the report warn


def write(
    values: np.ndarray,
    members: list[int],
    times: np.ndarray,
    channels: list[str],
    grid: Grid,
    attributes: dict,
    path: Path,
) -> None:
    """Write one shard of an analysis atomically.

    Args:
        values: (E, T, C, H, W), physical units.
        members: numbers of the members.
        times: of the frames.
        channels: names of the channels.
        grid: of the fields.
        attributes: of the file, its provenance.
        path: of the file.

    Raises:
        FloatingPointError: if a value is not finite; nothing is written.
    """
    if not np.isfinite(values).all():
        raise FloatingPointError(f"{path}: {np.count_nonzero(~np.isfinite(values))} values are not finite; not written")
    unit = "hours" if calendar.in_whole_hours(times) else "minutes"
    dataset = xr.Dataset(
        {"analysis": (DIMENSIONS, values.astype("float32"))},
        coords={
            "realization": members,
            "time": times,
            "channel": channels,
            "latitude": grid.latitude,
            "longitude": grid.longitude,
        },
        attrs=attributes,
    )
    encoding = {
        "analysis": {"zlib": True, "complevel": 1, "shuffle": True},
        "time": {"units": f"{unit} since 1900-01-01", "dtype": "int64"},
    }
    store.replace(path, lambda partial: dataset.to_netcdf(partial, engine="netcdf4", encoding=encoding))


def read(paths: list[Path], times: np.ndarray | None = None) -> xr.Dataset:
    """Read the files of one or several shards into memory, members and times in order; if `times` is given, only those.

    Raises:
        UserError: if a file is missing or cannot be read, or none has any of the times.
    """
    by_time: dict = {}
    for path in paths:
        part = _read(path, lambda dataset: _at(dataset, times).load())
        if not part.sizes["time"]:
            continue
        by_time.setdefault(part["time"].values[0], []).append(part)
    if not by_time:
        raise UserError(
            f"no frame is in both the times that are asked for and the {len(paths)} analyses {paths[0].parent}/*.nc; "
            "run snakemake, which makes the shards of a period"
        )
    shards = [
        xr.concat(sorted(blocks, key=lambda p: int(p["realization"][0])), "realization", combine_attrs="override")
        if len(blocks) > 1
        else blocks[0]
        for _, blocks in sorted(by_time.items())
    ]
    return xr.concat(shards, "time", combine_attrs="override") if len(shards) > 1 else shards[0]


def _at(dataset: xr.Dataset, times: np.ndarray | None) -> xr.Dataset:
    """The frames at some of the times; all if `times` is None."""
    return dataset if times is None else dataset.sel(time=np.isin(dataset["time"].values, times))


def header(path: Path) -> xr.Dataset:
    """The coordinates and attributes of a file, without its values."""
    return _read(path, lambda dataset: dataset.drop_vars("analysis").load())


def _read(path: Path, load: Callable[[xr.Dataset], xr.Dataset]) -> xr.Dataset:
    """Load something from a file and close it: the netCDF library crashes when it opens an open file again."""
    try:
        with xr.open_dataset(path, engine="netcdf4") as dataset:
            return load(dataset)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot read the analysis {path} ({error}); delete it and run snakemake again") from None


def by_shard(paths: list[Path]) -> list[list[Path]]:
    """Group the files `{shard}-{block}.nc` of one analysis by shard, both in order."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(paths, key=lambda p: (p.stem.split("-")[0], int(p.stem.split("-")[1]))):
        groups.setdefault(path.stem.split("-")[0], []).append(path)
    return list(groups.values())
