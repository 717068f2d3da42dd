"""Coverage: points of a source that have values, such as those within the range of radars; the others are masked.

The mask is one for all frames. A point that lacks values in more than a given share of the frames is not covered, in
any frame; a frame that lacks values at other points has a hole, like one that is missing. The manifest lists the points
that are not covered, and fields have the coordinate `covered` (`grid.Grid`).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import axes
from hindsight.fields.grid import COVERED

BLOCK = 64  # frames in memory at a time
SPACE = ("latitude", "longitude")


def find(parts: Sequence[xr.DataArray], times: np.ndarray, share: float) -> tuple[np.ndarray, list[np.datetime64]]:
    """The points of a variable that are covered, and the frames that lack values at these.

    Args:
        parts: the variable in consecutive parts, sorted by `axes.sort`, each (time, …, latitude, longitude).
        times: of the frames that count.
        share: of the frames with any value, in which a covered point may lack its own.

    Returns:
        (H, W) of bool, and times, which include those of frames without any value.
    """
    lacking, frames = 0, 0
    for _, nan in _lacking(parts, times):
        some = nan[~nan.all((1, 2))]
        lacking, frames = lacking + some.sum(0), frames + len(some)
    covered = np.asarray(lacking <= share * frames)
    holes = [when[(nan & covered).any((1, 2)) | nan.all((1, 2))] for when, nan in _lacking(parts, times)]
    return covered, list(np.concatenate(holes)) if holes else []


def _lacking(parts: Sequence[xr.DataArray], times: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Times of frames, and the points at which any of their levels has no value, (n, H, W); a block at a time."""
    for part in parts:
        wanted = part.isel(time=np.isin(part["time"].values, times))
        others = [name for name in wanted.dims if name not in ("time", *SPACE)]
        for first in range(0, wanted.sizes["time"], BLOCK):
            block = wanted.isel(time=slice(first, first + BLOCK))
            yield block["time"].values, block.isnull().any(others).transpose("time", *SPACE).values


def encode(covered: np.ndarray) -> dict[str, object] | None:
    """The points (H, W) that are not covered, for JSON: their number, that of all points, and runs of them.

    Returns:
        `points`, `of`, and `runs`, the first index into the flattened grid and the length of each; none if all are
        covered.
    """
    if covered.all():
        return None
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ~covered.ravel(), [0]]).astype(int)))
    runs = [[int(first), int(last - first)] for first, last in zip(edges[::2], edges[1::2])]
    return {"points": int((~covered).sum()), "of": covered.size, "runs": runs}


def marked(source: xr.Dataset, uncovered: dict | None, where: str) -> xr.Dataset:
    """A source with the coordinate `covered`, sorted by `axes.sort`; unchanged if all points are covered.

    Args:
        source: from `axes.standardise`.
        uncovered: from `encode`.
        where: name of the source for error messages.

    Raises:
        UserError: if it has other points than those listed.
    """
    if uncovered is None:
        return source
    source = axes.sort(source, where)
    shape = tuple(source.sizes[name] for name in SPACE)
    if int(np.prod(shape)) != uncovered["of"]:
        raise UserError(
            f"{where} has {shape[0]} x {shape[1]} points, and the manifest lists which of {uncovered['of']} are "
            "masked; run snakemake --forcerun manifest"
        )
    covered = np.ones(uncovered["of"], bool)
    for first, length in uncovered["runs"]:
        covered[first : first + length] = False
    return source.assign_coords({COVERED: (SPACE, covered.reshape(shape))})
