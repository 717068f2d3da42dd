"""Regular latitude-longitude grids: weights, edges, regularity; distances on the globe; longitudes to draw."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from hindsight.errors import UserError

EARTH_RADIUS = 6371.0088  # km, the mean radius of IUGG
NEAR = 1e-4  # degrees within which two coordinates are equal; single precision errs by 3e-5 at 360
COVERED = "covered"  # coordinate of a dataset
PLANE = "plane"  # attribute of a dataset whose grid is a map, with the map's projection as JSON


@dataclass(frozen=True)
class Grid:
    """A regular grid: latitudes south to north, longitudes west to east (degrees).

    `covered` (H, W) says where the source has values, such as within the range of radars; none: everywhere. Points
    that it does not cover have weight 0. `is_plane`: it is a map laid on the equator (`plane`): coordinates
    stand for distances, not for places on the Earth.
    """

    latitude: np.ndarray
    longitude: np.ndarray
    covered: np.ndarray | None = None
    is_plane: bool = False

    @classmethod
    def of(cls, dataset: xr.Dataset) -> "Grid":
        """The grid of a dataset in the pipeline's layout."""
        covered = dataset[COVERED].values.astype(bool) if COVERED in dataset.coords else None
        axes = (dataset[name].values.astype(float) for name in ("latitude", "longitude"))
        return cls(*axes, covered, PLANE in dataset.attrs)

    @property
    def coordinates(self) -> dict[str, object]:
        """Latitude, longitude and, if there is a mask, `covered`, for a dataset from which `of` reads them."""
        axes = {"latitude": self.latitude, "longitude": self.longitude}
        return axes if self.covered is None else axes | {COVERED: (("latitude", "longitude"), self.covered)}

    @property
    def where(self) -> np.ndarray | bool:
        """Whether the source covers each point, (H, W) of bool; True if it covers all of them."""
        return True if self.covered is None else self.covered

    def masked(self, values: np.ndarray) -> np.ndarray:
        """Fields (…, H, W) with NaN at points that the source does not cover."""
        return values if self.covered is None else np.where(self.covered, values, np.nan).astype(values.dtype)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return len(self.latitude), len(self.longitude)

    def __str__(self) -> str:
        rows, columns = self.shape
        return (
            f"a grid of {rows} x {columns} points from {self.latitude[0]:g} to {self.latitude[-1]:g} N and "
            f"{self.longitude[0]:g} to {self.longitude[-1]:g} E"
        )

    def matches(self, other: "Grid") -> bool:
        """Whether another grid has the same points within `NEAR`."""
        return self.shape == other.shape and all(
            np.allclose(a, b, rtol=0, atol=NEAR)
            for a, b in ((self.latitude, other.latitude), (self.longitude, other.longitude))
        )

    def wrap(self, longitude: np.ndarray) -> np.ndarray:
        """Shift longitudes by whole turns into the 360 degrees that begin `NEAR` before the grid's first one."""
        first = self.longitude[0]
        wrapped = (np.asarray(longitude, float) - first) % 360 + first
        return np.where(wrapped > first + 360 - NEAR, wrapped - 360, wrapped)

    @property
    def is_line(self) -> bool:
        """Whether the points lie along one latitude or one longitude, so that there is no map to draw."""
        return 1 in self.shape

    @property
    def periodic(self) -> bool:
        """Whether the longitudes cover the full circle once."""
        if len(self.longitude) < 2:
            return False
        spacing = self.longitude[1] - self.longitude[0]
        return bool(abs(spacing * len(self.longitude) - 360.0) < 1e-3 * abs(spacing))

    @property
    def is_global(self) -> bool:
        """Whether the grid covers the full circle and reaches to less than a row from both poles."""
        if not self.periodic or len(self.latitude) < 2:
            return False
        spacing = self.latitude[1] - self.latitude[0]
        return bool(self.latitude[0] - spacing < -90 and self.latitude[-1] + spacing > 90)

    @property
    def cell_edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Edges of the cells in latitude (H + 1,), clipped to the poles, and in longitude (W + 1,)."""
        return np.clip(_edges(self.latitude), -90.0, 90.0), _edges(self.longitude)

    @property
    def weights(self) -> np.ndarray:
        """Area of each point's cell, clipped to the poles, 0 where it is not covered, with mean 1; shape (H, W)."""
        area = np.diff(np.sin(np.deg2rad(self.cell_edges[0])))[:, None] * np.ones(self.shape) * self.where
        return area / area.mean()


def _edges(centres: np.ndarray) -> np.ndarray:
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def wrap_longitude(longitude: np.ndarray, west: float) -> np.ndarray:
    """Longitudes modulo 360, from `west` to `west` + 360."""
    return west + (np.asarray(longitude) - west) % 360


def close_globe(grid: Grid, values: np.ndarray) -> tuple[Grid, np.ndarray]:
    """Grid and field (…, H, W) for drawing: if periodic, from -180 to 180 with a column repeated on either side."""
    if not grid.periodic:
        return grid, values
    longitude = wrap_longitude(grid.longitude, -180.0)
    order = np.argsort(longitude)
    order = np.concatenate([order[-1:], order, order[:1]])
    longitude = longitude[order]
    longitude[0], longitude[-1] = longitude[0] - 360, longitude[-1] + 360
    return Grid(grid.latitude, longitude), values[..., order]


def great_circle(
    latitude1: np.ndarray, longitude1: np.ndarray, latitude2: np.ndarray, longitude2: np.ndarray
) -> np.ndarray:
    """Distance along the sphere between places given in degrees, by the haversine formula; km, broadcast.

    Sinnott (1984), Virtues of the haversine, Sky and Telescope 68, 159.
    """
    phi1, lambda1, phi2, lambda2 = (np.deg2rad(x) for x in (latitude1, longitude1, latitude2, longitude2))
    haversine = np.sin((phi2 - phi1) / 2) ** 2 + np.cos(phi1) * np.cos(phi2) * np.sin((lambda2 - lambda1) / 2) ** 2
    return 2 * EARTH_RADIUS * np.arctan2(np.sqrt(haversine), np.sqrt(np.maximum(1 - haversine, 0.0)))


def check_regular(dataset: xr.Dataset, where: str) -> None:
    """Check that latitudes and longitudes are evenly spaced.

    Raises:
        UserError: naming the coordinate and the spacings found.
    """
    for name in ("latitude", "longitude"):
        spacing = np.diff(dataset[name].values.astype(float))
        if len(spacing) and (np.ptp(spacing) > 1e-3 * abs(spacing).max() or not spacing.all()):
            raise UserError(
                f"{where}: {name} is not regular (spacings from {spacing.min():g} to {spacing.max():g} degrees); "
                "hindsight works on regular grids, so regrid the source first"
            )
