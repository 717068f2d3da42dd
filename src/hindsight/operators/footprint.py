"""Block means: observations of an area, as a radiometer, a radar or a coarser analysis has them.

The column `footprint` of an observation table names the grid points that a row is the mean of. It is empty for a point
value, by bilinear interpolation; `mean 4x4` is the mean of a block of 4 x 4 grid points centred on the position;
`centre 4x4` is the mean of the middle points of that block, four of them if its sides are even. The latter equals
bilinear interpolation to a grid four times as coarse, without smoothing.
"""

import re

import numpy as np
import pandas as pd

from hindsight.fields.grid import NEAR, Grid
from hindsight.operators.interpolate import Interpolation, bilinear

SHAPE = re.compile(r"(mean|centre) (\d+)x(\d+)")


def name(form: str, rows: int, columns: int) -> str:
    """The name of a footprint in an observation table, such as `mean 4x4`."""
    return f"{form} {rows}x{columns}"


def observation_operator(grid: Grid, table: pd.DataFrame) -> Interpolation:
    """The observation operator H of a table: point values, and block means where a row has a footprint.

    All rows have as many points as the largest footprint; the ones that a row does not need have weight 0.

    Raises:
        ValueError: if a position or its block lies outside the grid, or a footprint is not valid.
    """
    north, east = table["latitude"].to_numpy(), table["longitude"].to_numpy()
    shapes = table["footprint"].to_numpy(str) if "footprint" in table else np.full(len(table), "")
    parts = []
    for shape in np.unique(shapes):
        at = np.flatnonzero(shapes == shape)
        parts.append((at, _of_shape(grid, north[at], east[at], str(shape))))
    most = max((part.point.shape[1] for _, part in parts), default=4)
    point, weight = np.zeros((len(table), most), int), np.zeros((len(table), most))
    for at, part in parts:
        point[at], weight[at] = _padded(part, most)
    return Interpolation(point, weight)


def block_mean(
    grid: Grid, latitude: np.ndarray, longitude: np.ndarray, rows: int, columns: int, form: str = "mean"
) -> Interpolation:
    """Unweighted means of blocks of rows x columns grid points; each row of H begins with the block's middle point.

    Args:
        grid: of the fields.
        latitude: of the middle of each block, degrees north (N,).
        longitude: degrees east (N,), counted from anywhere.
        rows: of a block.
        columns: of a block.
        form: `mean` of the whole block, or of the points next to its `centre`.

    Raises:
        ValueError: if a block lies outside the grid, or a position is not the middle of a block of grid points.
    """
    width = grid.shape[1]
    south, west = _first(grid.latitude, latitude, rows), _first(grid.longitude, grid.wrap(longitude), columns)
    _inside(south, rows, grid.shape[0], latitude)
    if not grid.periodic:
        _inside(west, columns, width, longitude)
    row, column = _chosen(rows, columns, form)
    point = (south[:, None] + row) * width + (west[:, None] + column) % width
    return Interpolation(point, np.full(point.shape, 1 / len(row)))


def _of_shape(grid: Grid, latitude: np.ndarray, longitude: np.ndarray, shape: str) -> Interpolation:
    if not shape:
        return bilinear(grid, latitude, longitude)
    if not (form := SHAPE.fullmatch(shape)):
        raise ValueError(f"has the footprint {shape!r}; expected '', 'mean 4x4', 'centre 4x4' or the like")
    return block_mean(grid, latitude, longitude, int(form[2]), int(form[3]), form[1])


def _chosen(rows: int, columns: int, form: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the points in a block's mean, the nearest to its middle first."""
    row, column = (index.ravel() for index in np.indices((rows, columns)))
    aside, along = np.abs(2 * row - rows + 1), np.abs(2 * column - columns + 1)  # from the middle, in half spacings
    order = np.argsort(aside**2 + along**2, kind="stable")
    if form == "centre":
        order = order[(aside[order] <= 1) & (along[order] <= 1)]
    return row[order], column[order]


def _first(axis: np.ndarray, place: np.ndarray, count: int) -> np.ndarray:
    """Indices along an axis of the first points of the blocks of `count` points whose middles are given."""
    spacing = (axis[-1] - axis[0]) / (len(axis) - 1) if len(axis) > 1 else 1.0
    begin = (np.asarray(place, float) - axis[0]) / spacing - (count - 1) / 2
    if (off := np.abs(begin - np.round(begin)) * spacing > NEAR).any():
        raise ValueError(f"at {place[off][0]} is not at the middle of {count} grid points of {axis[0]} … {axis[-1]}")
    return np.round(begin).astype(int)


def _inside(begin: np.ndarray, count: int, points: int, place: np.ndarray) -> None:
    if (outside := (begin < 0) | (begin + count > points)).any():
        raise ValueError(f"at {place[outside][0]} has a block of {count} points that lies outside the grid")


def _padded(part: Interpolation, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights padded to rows of `most` points, with the first point and weight 0."""
    more = most - part.point.shape[1]
    return (
        np.concatenate([part.point, part.point[:, :1].repeat(more, 1)], 1),
        np.pad(part.weight, ((0, 0), (0, more))),
    )
