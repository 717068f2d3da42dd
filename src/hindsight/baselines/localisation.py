"""Localisation of ensemble filters: how much an observation counts at every point of the grid (Hunt et al. 2007).

At a point the error variance of an observation is divided by a factor that falls with its distance, from 1 to 0
(Gaspari and Cohn 1999). Distances are those of great circles, also on a ring, which lies on the equator; on a square
that is periodic in both directions they are those of the plane. An observation of several points is at their centre.
"""

import numpy as np
import scipy.sparse
from scipy.spatial import KDTree

from hindsight.baselines import minimise
from hindsight.baselines.covariance import gaspari_cohn
from hindsight.fields.grid import EARTH_RADIUS, Grid
from hindsight.operators.rows import Rows


class Localisation:
    """The factors of observations at the points of a grid.

    Args:
        grid: H x W points.
        torus: whether it is periodic in both directions.
        reach: distance (km) at which the factor is zero; none: it is 1 everywhere, as if there were one point.

    `points` is the number of points with factors of their own.
    """

    def __init__(self, grid: Grid, torus: bool, reach: float | None) -> None:
        self.reach, self.sphere, self.points = reach, not torus, int(np.prod(grid.shape)) if reach else 1
        latitude, longitude = (axis.ravel() for axis in np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
        self.units = _on_sphere(latitude, longitude) if self.sphere else _on_torus(grid)
        self.sides = None if self.sphere else _sides(grid)
        self.tree = KDTree(self._positions(self.units), boxsize=self.sides)

    def factors(self, rows: Rows) -> scipy.sparse.csr_array:
        """The factor of every row at every point, (`points`, N), without those that are zero."""
        if self.reach is None:
            return scipy.sparse.csr_array(np.ones((1, len(rows))))
        places = KDTree(self._positions(self._centres(rows)), boxsize=self.sides)
        near = self.tree.sparse_distance_matrix(places, self._straight(self.reach), output_type="ndarray")
        factor = gaspari_cohn(self._along(near["v"]) / (self.reach / 2))
        kept = factor > 0
        where = near["i"][kept], near["j"][kept]
        return scipy.sparse.csr_array((factor[kept], where), (self.points, len(rows)))

    def _centres(self, rows: Rows) -> np.ndarray:
        """The means of the rows' points, by weight, as sums of `units`."""
        point, weight = minimise.parts(rows)
        share = np.abs(weight).reshape(len(rows), -1)
        share[share.sum(1) == 0] = 1.0
        units = self.units[point.reshape(share.shape) % self.points]
        return (share[..., None] * units).sum(1)

    def _positions(self, units: np.ndarray) -> np.ndarray:
        """Positions of sums of unit vectors: on the unit sphere, or in the plane (km)."""
        if self.sphere:
            return units / np.linalg.norm(units, axis=1, keepdims=True)
        turns = np.angle(units) / (2 * np.pi) % 1
        return np.where(turns < 1, turns, 0.0) * self.sides

    def _straight(self, distance: float) -> float:
        """A distance (km) along the surface, as one between positions."""
        return 2 * np.sin(min(distance / (2 * EARTH_RADIUS), np.pi / 2)) if self.sphere else distance

    def _along(self, straight: np.ndarray) -> np.ndarray:
        """Distances between positions, along the surface (km)."""
        return 2 * EARTH_RADIUS * np.arcsin(np.minimum(straight / 2, 1.0)) if self.sphere else straight


def _on_sphere(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Unit vectors of places (degrees), (N, 3)."""
    north, east = np.deg2rad(latitude), np.deg2rad(longitude)
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], 1)


def _on_torus(grid: Grid) -> np.ndarray:
    """Positions on a torus as two complex numbers of unit length, so that means go across its edges, (H * W, 2)."""
    row, column = (index.ravel() for index in np.indices(grid.shape))
    return np.exp(2j * np.pi * np.stack([row / grid.shape[0], column / grid.shape[1]], 1))


def _sides(grid: Grid) -> np.ndarray:
    """Sides of a torus, (2,), km."""
    return np.array([len(a) * (a[1] - a[0]) for a in (grid.latitude, grid.longitude)]) * np.deg2rad(EARTH_RADIUS)
