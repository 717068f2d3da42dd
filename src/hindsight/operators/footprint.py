"""Means over an area: what a radiometer, a radar or a coarser analysis sees of a field.

An observation table says in its column `footprint` which points a row is the mean of: nothing for a value at a place,
by bilinear interpolation; `mean 4x4` for all of a block of 4 x 4 grid points about the place; `centre 4x4` for the
points in the middle of that block, four of them where its sides are even. The latter is what bilinear interpolation to
a grid four times as coarse amounts to, when nothing is smoothed beforehand.
"""

import re

import numpy as np
import pandas as pd

from hindsight.fields.grid import NEAR, Grid
from hindsight.operators.interpolate import Interpolation, bilinear

SHAPE = re.compile(r"(mean|centre) (\d+)x(\d+)")


def name(form: str, rows: int, columns: int) -> str:
    """What the table calls a footprint."""
    return f"{form} {rows}x{columns}"


def places(grid: Grid, table: pd.DataFrame) -> Interpolation:
    """The rows of H of an observation table: values at places, and means where the table says so.

    Rows have as many points as the largest footprint needs; what a row does not need has weight 0.

    Raises:
        ValueError: if a place or its block lies outside the grid, or the footprint is none.
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


def footprint(
    grid: Grid, latitude: np.ndarray, longitude: np.ndarray, rows: int, columns: int, form: str = "mean"
) -> Interpolation:
    """Means of blocks of rows x columns grid points, all points alike; of each row of H the middle comes first.

    Args:
        grid: where the fields are.
        latitude: of the middle of each block, degrees north (N,).
        longitude: degrees east (N,), any turn.
        rows: of a block.
        columns: of a block.
        form: mean, of the whole block; centre, of the points next to its middle.

    Raises:
        ValueError: if a block lies outside the grid, or its middle is not where a block of this size has it.
    """
    width = grid.shape[1]
    south, west = _first(grid.latitude, latitude, rows), _first(grid.longitude, grid.turned(longitude), columns)
    _inside(south, rows, grid.shape[0], latitude)
    if not grid.periodic:
        _inside(west, columns, width, longitude)
    row, column = _chosen(rows, columns, form)
    point = (south[:, None] + row) * width + (west[:, None] + column) % width
    return Interpolation(point, np.full(point.shape, 1 / len(row)))


def _of_shape(grid: Grid, latitude: np.ndarray, longitude: np.ndarray, shape: str) -> Interpolation:
    if not shape:
        return bilinear(grid, latitude, longitude)
    if not (known := SHAPE.fullmatch(shape)):
        raise ValueError(f"has the footprint {shape!r}, and known are '', 'mean 4x4', 'centre 4x4' and the like")
    return footprint(grid, latitude, longitude, int(known[2]), int(known[3]), known[1])


def _chosen(rows: int, columns: int, form: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a block's points that count, the nearest to its middle first."""
    row, column = (index.ravel() for index in np.indices((rows, columns)))
    aside, along = np.abs(2 * row - rows + 1), np.abs(2 * column - columns + 1)  # of the middle, in half spacings
    order = np.argsort(aside**2 + along**2, kind="stable")
    if form == "centre":
        order = order[(aside[order] <= 1) & (along[order] <= 1)]
    return row[order], column[order]


def _first(axis: np.ndarray, place: np.ndarray, count: int) -> np.ndarray:
    """Where along an axis the blocks of so many points begin whose middles are at the places."""
    spacing = (axis[-1] - axis[0]) / (len(axis) - 1) if len(axis) > 1 else 1.0
    begin = (np.asarray(place, float) - axis[0]) / spacing - (count - 1) / 2
    if (astray := np.abs(begin - np.round(begin)) * spacing > NEAR).any():
        raise ValueError(f"{place[astray][0]} is not the middle of {count} grid points of {axis[0]} … {axis[-1]}")
    return np.round(begin).astype(int)


def _inside(begin: np.ndarray, count: int, points: int, place: np.ndarray) -> None:
    if (outside := (begin < 0) | (begin + count > points)).any():
        raise ValueError(f"of {count} points about {place[outside][0]} lies outside the grid")


def _padded(part: Interpolation, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of rows of `most` points: the first point again, with weight 0."""
    more = most - part.point.shape[1]
    return (
        np.concatenate([part.point, part.point[:, :1].repeat(more, 1)], 1),
        np.pad(part.weight, ((0, 0), (0, more))),
    )
