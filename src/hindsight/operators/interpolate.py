"""Point values by bilinear interpolation, as rows of a sparse linear operator."""

from dataclasses import dataclass

import numpy as np

from hindsight.fields.grid import NEAR, Grid


@dataclass(frozen=True)
class Interpolation:
    """A sparse linear operator, K grid points in each row (4 if bilinear): y_n = sum_k weight[n, k] x[point[n, k]]."""

    point: np.ndarray  # (N, K), flat index into the H * W grid points
    weight: np.ndarray  # (N, K), rows sum to 1

    def apply(self, fields: np.ndarray) -> np.ndarray:
        """Apply the operator to fields (…, H * W); returns (…, N)."""
        return (fields[..., self.point] * self.weight).sum(-1)


def bilinear(grid: Grid, latitude: np.ndarray, longitude: np.ndarray) -> Interpolation:
    """Bilinear interpolation on a regular grid; a periodic grid has no edge in longitude.

    Args:
        grid: of the fields.
        latitude: degrees north (N,).
        longitude: degrees east (N,), counted from anywhere.

    Raises:
        ValueError: if a position lies outside the grid by more than `grid.NEAR`.
    """
    height, width = grid.shape
    row, south = _cell(grid.latitude, latitude)
    wrapped = grid.wrap(longitude)
    if grid.periodic:
        spacing = 360 / width
        along = (wrapped - grid.longitude[0]) / spacing
        column, west = np.floor(along).astype(int) % width, along - np.floor(along)
        east = (column + 1) % width
    else:
        column, west = _cell(grid.longitude, wrapped)
        east = np.minimum(column + 1, width - 1)
    north = np.minimum(row + 1, height - 1)
    point = np.stack([row * width + column, row * width + east, north * width + column, north * width + east], 1)
    weight = np.stack([(1 - south) * (1 - west), (1 - south) * west, south * (1 - west), south * west], 1)
    return Interpolation(point, weight)


def _cell(axis: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The index of the axis point at or before each position, and the distance from it in spacings, 0 to 1."""
    spacing = (axis[-1] - axis[0]) / (len(axis) - 1) if len(axis) > 1 else 1.0
    place = np.asarray(place, float)
    if (outside := (place < axis[0] - NEAR) | (place > axis[-1] + NEAR)).any():
        raise ValueError(f"at {place[outside][0]} lies outside {axis[0]} … {axis[-1]}")
    along = ((place - axis[0]) / spacing).clip(0, len(axis) - 1)
    index = np.minimum(np.floor(along).astype(int), max(len(axis) - 2, 0))
    return index, along - index
