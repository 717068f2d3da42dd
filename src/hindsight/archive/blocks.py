"""Read the analyses of one shard of the archive: one file per block of members, one channel at a time."""

import zlib
from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.archive import recipe
from hindsight.errors import UserError
from hindsight.fields import analyses

DIMENSIONS = ("realization", "time", "latitude", "longitude")


def headers(paths: list[Path]) -> list[xr.Dataset]:
    """Coordinates and attributes of the files of one shard, in the order of members.

    Raises:
        UserError: if a file is missing or cannot be read.
    """
    unsorted = [analyses.header(path).assign_attrs(file=str(path)) for path in paths]
    return sorted(unsorted, key=lambda header: int(header["realization"].values[0]))


def made_from(header: xr.Dataset) -> dict[str, str]:
    """Method and grid of an analysis, which are the same for all shards and blocks of an archive."""
    attributes = {name: str(header.attrs[name]) for name in recipe.ATTRIBUTES if name in header.attrs}
    return attributes | {axis: _describe_axis(header[axis].values) for axis in ("latitude", "longitude")}


def _describe_axis(values: np.ndarray) -> str:
    """Length, ends and checksum of an axis."""
    checksum = zlib.crc32(np.asarray(values, "<f8").tobytes())
    return f"{len(values)} from {values[0]:.10g} to {values[-1]:.10g} ({checksum:08x})"


def check_shard(headers: list[xr.Dataset], times: np.ndarray, members: int, channels: list[str], origin: dict) -> None:
    """Check that files are one complete shard of the archive.

    Args:
        headers: of the files.
        times: of the shard's frames.
        members: the number of members.
        channels: of the archive.
        origin: what `made_from` returns for every analysis of the archive.

    Raises:
        UserError: with every file that does not fit, and why.
    """
    wrong = [line for header in headers for line in _mismatches(header, times, channels, origin)]
    numbers = np.concatenate([header["realization"].values for header in headers])
    if not np.array_equal(numbers, np.arange(members)):
        wrong.append(f"the files hold members {_join(numbers)}, expected 0 to {members - 1}")
    if wrong:
        raise UserError(
            "these analyses do not make up a shard of the archive, and nothing was written:\n  " + "\n  ".join(wrong)
            + "\nrun snakemake again; if the error remains, delete the files named"
        )  # fmt: skip


def _mismatches(header: xr.Dataset, times: np.ndarray, channels: list[str], origin: dict) -> list[str]:
    file, in_file, wrong = header.attrs["file"], header["time"].values, []
    if not np.array_equal(in_file, times):
        wrong.append(
            f"{file} holds {len(in_file)} frames from {_minute(in_file[0])}, expected {len(times)} from "
            f"{_minute(times[0])}"
        )
    if list(header["channel"].values) != channels:
        wrong.append(f"{file} holds {', '.join(map(str, header['channel'].values))}, expected {', '.join(channels)}")
    differences = recipe.differences({"made_from": origin}, {"made_from": made_from(header)})
    return wrong + [f"{file}: {line}" for line in differences]


def _minute(time: np.datetime64) -> str:
    return np.datetime_as_string(time, "m")


def _join(numbers: np.ndarray) -> str:
    text = ", ".join(map(str, numbers[:20]))
    return text + (", …" if len(numbers) > 20 else "")


def values(headers: list[xr.Dataset], channel: str) -> np.ndarray:
    """Read one channel of a shard, (E, T, H, W), float32.

    Raises:
        UserError: if a file is incomplete, or a value is not finite.
    """
    return np.concatenate([_values(Path(header.attrs["file"]), channel) for header in headers])


def _values(path: Path, channel: str) -> np.ndarray:
    try:
        with xr.open_dataset(path, engine="netcdf4") as dataset:
            field = dataset["analysis"].sel(channel=channel).transpose(*DIMENSIONS).values
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"cannot read {channel} of {path} ({error}); delete it and run snakemake again") from None
    if holes := int(np.count_nonzero(~np.isfinite(field))):
        raise UserError(f"{path}: {holes} values of {channel} are not finite; delete it and run snakemake again")
    return field.astype("float32")
