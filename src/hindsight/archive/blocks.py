"""The analyses that a shard of the archive is made of, one file a block of members, read a channel at a time."""

import zlib
from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.archive import recipe
from hindsight.errors import UserError
from hindsight.fields import analyses

DIMENSIONS = ("realization", "time", "latitude", "longitude")


def heads(paths: list[Path]) -> list[xr.Dataset]:
    """Coordinates and attributes of the files of one shard, in the order of their members.

    Raises:
        UserError: if a file is missing or cannot be read.
    """
    found = [analyses.head(path).assign_attrs(file=str(path)) for path in paths]
    return sorted(found, key=lambda head: int(head["realization"].values[0]))


def made_from(head: xr.Dataset) -> dict[str, str]:
    """What an analysis says of how it was made, and where it is; the same for all shards and blocks of an archive."""
    said = {name: str(head.attrs[name]) for name in recipe.SAID if name in head.attrs}
    return said | {axis: _axis(head[axis].values) for axis in ("latitude", "longitude")}


def _axis(values: np.ndarray) -> str:
    """An axis in a few words; those of others differ."""
    sum_ = zlib.crc32(np.asarray(values, "<f8").tobytes())
    return f"{len(values)} from {values[0]:.10g} to {values[-1]:.10g} ({sum_:08x})"


def require(found: list[xr.Dataset], times: np.ndarray, members: int, channels: list[str], said: dict) -> None:
    """Refuse files that are not a whole shard of the archive.

    Args:
        found: their heads.
        times: that the shard has to hold.
        members: how many.
        channels: that it has to hold.
        said: what all analyses of the archive say of themselves (`made_from`).

    Raises:
        UserError: naming every file that is another one, and in what.
    """
    wrong = [line for head in found for line in _unlike(head, times, channels, said)]
    numbers = np.concatenate([head["realization"].values for head in found])
    if not np.array_equal(numbers, np.arange(members)):
        wrong.append(f"the files hold members {_listed(numbers)}, and members 0 to {members - 1} are asked for")
    if wrong:
        raise UserError(
            "these analyses are no shard of the archive, and nothing was written:\n  " + "\n  ".join(wrong)
            + "\nrun snakemake again; if it says the same, delete the files named"
        )  # fmt: skip


def _unlike(head: xr.Dataset, times: np.ndarray, channels: list[str], said: dict) -> list[str]:
    where, own, wrong = head.attrs["file"], head["time"].values, []
    if not np.array_equal(own, times):
        wrong.append(
            f"{where} holds {len(own)} frames from {_minute(own[0])}, expected {len(times)} from {_minute(times[0])}"
        )
    if list(head["channel"].values) != channels:
        wrong.append(f"{where} holds {', '.join(map(str, head['channel'].values))}, expected {', '.join(channels)}")
    asked = {"made_from": said}
    return wrong + [f"{where}: {line}" for line in recipe.differences(asked, {"made_from": made_from(head)})]


def _minute(time: np.datetime64) -> str:
    return np.datetime_as_string(time, "m")


def _listed(numbers: np.ndarray) -> str:
    text = ", ".join(map(str, numbers[:20]))
    return text + (", …" if len(numbers) > 20 else "")


def values(found: list[xr.Dataset], channel: str) -> np.ndarray:
    """One channel of a shard, (E, T, H, W), float32.

    Raises:
        UserError: if a file is cut off, or a value is not finite.
    """
    return np.concatenate([_values(Path(head.attrs["file"]), channel) for head in found])


def _values(path: Path, channel: str) -> np.ndarray:
    try:
        with xr.open_dataset(path, engine="netcdf4") as dataset:
            found = dataset["analysis"].sel(channel=channel).transpose(*DIMENSIONS).values
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"cannot read {channel} of {path} ({error}); delete it and run snakemake again") from None
    if holes := int(np.count_nonzero(~np.isfinite(found))):
        raise UserError(f"{path}: {holes} values of {channel} are not finite; delete it and run snakemake again")
    return found.astype("float32")
