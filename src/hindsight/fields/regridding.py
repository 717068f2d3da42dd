"""Regridding between regular grids on the sphere, and interpolation between pressure levels.

On regular grids the overlap of two cells, like a bilinear weight, is a product of a factor in latitude and one in
longitude. Regridding is therefore a sparse matrix from the left and one from the right.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from hindsight.errors import UserError
from hindsight.fields.grid import Grid

METHODS = ("conservative", "bilinear")
TOLERANCE = 1e-3  # of a spacing, or degrees: rounding errors of coordinates, as in `grid.check_regular`
NEGLIGIBLE = np.finfo(np.float32).eps  # a smaller share of a cell is a rounding error, and must not pass on a NaN
BLOCK = 2**21  # bytes of fields at a time, so that input and output stay in the cache


@dataclass(frozen=True, eq=False)
class Regridding:
    """Weights from a source grid (H, W) to a target grid (H', W').

    Attributes:
        latitude: sparse (H', H).
        longitude: sparse (W', W).
        polar: sparse (H', H), weights of the zonal means of the source's outermost rows.
    """

    latitude: sparse.csr_array
    longitude: sparse.csr_array
    polar: sparse.csr_array

    @classmethod
    def between(cls, source: Grid, target: Grid, method: str, where: str) -> "Regridding":
        """The weights between two regular grids, in either order of latitude and with any origin of longitude.

        `conservative` gives each target cell the mean of the source over its area, by the exact overlap of cells: the
        first order of Jones (1999), doi:10.1175/1520-0493(1999)127<2204:FASOCR>2.0.CO;2. A cell reaches half-way to
        the next point, and the outermost cells of a global grid reach to the pole: a point on the pole has the polar
        cap. The mean over the globe is conserved.

        `bilinear` interpolates linearly in latitude and longitude between points; a target point that is a source
        point gets a copy of its value. Where a global grid has no point on a pole, the value there is the zonal mean of
        the last row, and points beyond that row interpolate towards it. This is right for scalars; a component of a
        vector has no single value at a pole.

        Args:
            source: the grid of the given values (degrees).
            target: the grid to regrid to (degrees).
            method: one of `METHODS`.
            where: name of the source for error messages, such as a path.

        Raises:
            UserError: the source does not cover a target cell (conservative) or surround a target point (bilinear), or
                covers more than the full circle.
            ValueError: the method is unknown.
        """
        if method not in METHODS:
            raise ValueError(f"unknown method of regridding {method!r}; expected {' or '.join(METHODS)}")
        (given, rows, columns), (wanted, wanted_rows, wanted_columns) = _upright(source), _upright(target)
        edges = given.cell_edges[1]
        if edges[-1] - edges[0] > 360 + TOLERANCE * (edges[1] - edges[0]):
            raise UserError(
                f"{where}: {source} covers more than the full circle; remove the longitudes that occur twice"
            )
        turns = np.round((wanted.longitude.mean() - given.longitude.mean()) / 360)
        wanted = Grid(wanted.latitude, wanted.longitude - 360 * turns)  # so that the two lie within 360 degrees
        weigh = _conservative if method == "conservative" else _bilinear
        latitude, longitude, polar = weigh(given, wanted, where)
        ordered = latitude[wanted_rows, rows], longitude[wanted_columns, columns], polar[wanted_rows, rows]
        return cls(*(sparse.csr_array(matrix, dtype=np.float32) for matrix in ordered))

    @property
    def selection(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Indices of the source's rows (H',) and columns (W',) if all target values are copies of source values."""
        copies = all((matrix.data == 1).all() for matrix in (self.latitude, self.longitude)) and not self.polar.nnz
        return (self.latitude.indices, self.longitude.indices) if copies else None

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Regrid fields (..., H, W) of any unit to (..., H', W'), in float32.

        A target value is NaN if and only if a source value with a weight in it is NaN.

        Raises:
            ValueError: the fields are not on the source grid.
        """
        (rows, height), (columns, width) = self.latitude.shape, self.longitude.shape
        if values.shape[-2:] != (height, width):
            raise ValueError(f"fields of {values.shape[-2:]} points; the source grid has {(height, width)}")
        fields = values.reshape(-1, height, width)
        result = np.empty((len(fields), rows, columns), np.float32)
        count = self._stack.shape[1] // height
        for start in range(0, len(fields), count):
            block = np.ascontiguousarray(fields[start : start + count], np.float32)
            self._regrid(block, result[start : start + count])
        return result.reshape(*values.shape[:-2], rows, columns)

    def _regrid(self, block: np.ndarray, result: np.ndarray) -> None:
        count, height, width = block.shape
        stack = self._stack[: count * result.shape[1], : count * height]
        result[:] = (self.longitude @ (stack @ block.reshape(-1, width)).T).T.reshape(result.shape)
        if self.polar.nnz:
            result += (self.polar @ block.mean(-1).T).T[..., None]

    @cached_property
    def _stack(self) -> sparse.csr_array:
        """Block-diagonal latitude weights, for a block of fields in one product without a transposed copy."""
        (rows, height), (columns, width) = self.latitude.shape, self.longitude.shape
        count = max(1, BLOCK // (4 * max(height * width, rows * columns)))
        return sparse.kron(sparse.eye_array(count, dtype=np.float32), self.latitude, "csr")


def _upright(grid: Grid) -> tuple[Grid, slice, slice]:
    """The same points from south to north and west to east, and slices that restore the order of rows and columns."""
    latitude, longitude = grid.latitude.astype(float), np.unwrap(grid.longitude.astype(float), period=360.0)
    return Grid(np.sort(latitude), np.sort(longitude)), _order(latitude), _order(longitude)


def _order(points: np.ndarray) -> slice:
    return slice(None, None, -1 if points[0] > points[-1] else 1)


def _conservative(source: Grid, target: Grid, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    (rows, columns), (wanted_rows, wanted_columns) = _edges(source), _edges(target)
    latitude = _overlap(np.sin(np.deg2rad(wanted_rows)), np.sin(np.deg2rad(rows)))
    longitude = sum(_overlap(wanted_columns, columns + turn) for turn in (-360, 0, 360))
    _check("cells in latitude", latitude.sum(1).min() > 1 - TOLERANCE, rows, wanted_rows, where)
    _check("cells in longitude", longitude.sum(1).min() > 1 - TOLERANCE, columns, wanted_columns, where)
    latitude, longitude = (shares / shares.sum(1, keepdims=True) for shares in (latitude, longitude))
    return latitude, longitude, np.zeros_like(latitude)


def _edges(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the cells; the outermost ones of a global grid are the poles, even where it lacks a row."""
    latitude, longitude = grid.cell_edges
    if grid.is_global:
        latitude[[0, -1]] = -90.0, 90.0
    return latitude, longitude


def _overlap(target: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The share (n', n) of each target cell that lies in each source cell, from ascending edges (n' + 1), (n + 1)."""
    start, stop = target[:-1, None], target[1:, None]
    shares = (np.minimum(stop, source[1:]) - np.maximum(start, source[:-1])) / (stop - start)
    return np.where(shares > NEGLIGIBLE, shares, 0.0)


def _bilinear(source: Grid, target: Grid, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, last = source.latitude[[0, -1]]
    south = [-90.0] if source.is_global and first > -90 + TOLERANCE else []
    north = [90.0] if source.is_global and last < 90 - TOLERANCE else []
    rows = _hats(target.latitude, np.concatenate([south, source.latitude, north]), "latitude", where)
    to_south, latitude, to_north = np.split(rows, [len(south), len(south) + len(source.latitude)], axis=1)
    polar = np.zeros_like(latitude)
    polar[:, 0] += to_south.sum(1)
    polar[:, -1] += to_north.sum(1)
    turns = (-360, 0, 360) if source.periodic else (0,)
    columns = _hats(target.longitude, np.concatenate([source.longitude + x for x in turns]), "longitude", where)
    return latitude, columns.reshape(len(columns), len(turns), -1).sum(1), polar


def _hats(places: np.ndarray, points: np.ndarray, name: str, where: str) -> np.ndarray:
    """Linear weights (n', n) of ascending points (n) at places (n'), exactly one where a place is a point."""
    inside = points[0] - TOLERANCE <= places.min() and places.max() <= points[-1] + TOLERANCE
    _check(f"points in {name}", inside, points, places, where)
    index = np.interp(places, points, np.arange(len(points)))
    index = np.where(abs(index - np.round(index)) < TOLERANCE, np.round(index), index)
    return np.maximum(0.0, 1 - abs(index[:, None] - np.arange(len(points))))


def _check(what: str, enough: bool, given: np.ndarray, wanted: np.ndarray, where: str) -> None:
    if not enough:
        raise UserError(
            f"{where} covers {what} from {given.min():g} to {given.max():g} degrees, and the domain needs "
            f"{wanted.min():g} to {wanted.max():g}; download a wider region or choose a smaller domain"
        )


def regular_grid(
    spacing: float,
    poles: bool,
    south: float | None = None,
    north: float | None = None,
    west: float | None = None,
    east: float | None = None,
) -> Grid:
    """The regular grid of a spacing (degrees): the whole globe from 0 E, or its points in a box, bounds included.

    With `poles` points lie on the poles, otherwise the edges of cells do. Longitudes are counted as in the box: from
    -10 to 40, from 170 to 190. A box whose west exceeds its east crosses the date line (170 to -170, counted from 170
    to 190) or Greenwich (350 to 20, counted from -10 to 20).

    Raises:
        UserError: the spacing does not divide 180 degrees, or no points lie in the box.
    """
    rows = round(180 / spacing) if spacing > 0 else 0
    if not rows or abs(rows * spacing - 180) > TOLERANCE * spacing:
        raise UserError(
            f"no regular grid has a spacing of {spacing:g} degrees; choose one that divides 180, such as 1.5"
        )
    south, north = -90.0 if south is None else south, 90.0 if north is None else north
    west, east = 0.0 if west is None else west, 360.0 if east is None else east
    east += 360 * (west > east)
    turn = 360 * (east > 360)
    latitude = _inside(max(south, -90.0), min(north, 90.0), rows, (rows + (not poles)) / 2)
    longitude = _inside(west - turn, east - turn, rows, 0)[: 2 * rows]
    if not (len(latitude) and len(longitude)):
        raise UserError(
            f"the grid of {spacing:g} degrees has no points from {south:g} to {north:g} N and {west:g} to {east:g} E; "
            "choose a wider box or a finer grid"
        )
    return Grid(latitude, longitude)


def _inside(start: float, stop: float, rows: int, offset: float) -> np.ndarray:
    """The points (n + offset) * 180 / rows, n integer, that lie in a range, within `TOLERANCE` of a spacing."""
    first, last = (bound * rows / 180 - offset for bound in (start, stop))
    return (np.arange(np.ceil(first - TOLERANCE), np.floor(last + TOLERANCE) + 1) + offset) * 180 / rows


def level_weights(pressures: np.ndarray, pressure: float) -> list[tuple[int, float]]:
    """Weights that interpolate to a pressure, linearly in its logarithm, between the two neighbouring levels.

    Args:
        pressures: the available levels (hPa), in any order.
        pressure: of the target level (hPa).

    Returns:
        Indices and weights; a single weight of 1 if the level is available.

    Raises:
        ValueError: the pressure lies outside the levels.
    """
    pressures = np.asarray(pressures, float)
    equal = np.flatnonzero(np.isclose(pressures, pressure, rtol=1e-6, atol=0))
    if equal.size:
        return [(int(equal[0]), 1.0)]
    if not pressures.min() < pressure < pressures.max():
        raise ValueError(f"levels cover {pressures.min():g} to {pressures.max():g} hPa; {pressure:g} hPa lies outside")
    above = int(np.where(pressures < pressure, pressures, -np.inf).argmax())
    below = int(np.where(pressures > pressure, pressures, np.inf).argmin())
    share = float(np.log(pressure / pressures[above]) / np.log(pressures[below] / pressures[above]))
    return [(above, 1 - share), (below, share)]
