"""Planes: fields on a map projection, such as radar composites, laid on the equator.

All stages work on grids of latitude and longitude. A plane is placed with its centre at 0 N 0 E, x eastward and y
northward, one degree for every `DEGREE` km, so that distances and areas computed on the sphere are those of the map to
within 1 - cos(y / R): 0.1 % at 256 km from the centre, 0.5 % at 600 km. The projection says where its points really
are (docs/decisions/0023-a-radar-composite-is-a-plane-on-the-equator.md).
"""

import json
from dataclasses import asdict, dataclass

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from hindsight.errors import UserError
from hindsight.fields.grid import EARTH_RADIUS, PLANE, Grid

DEGREE = EARTH_RADIUS * np.pi / 180  # km
FAR = 89.0  # degrees from the centre, beyond which a place is not on a plane


@dataclass(frozen=True)
class Plane:
    """A projection, in the words of PROJ, and the point of it that lies at 0 N 0 E (km)."""

    projection: str
    x: float
    y: float

    def __post_init__(self) -> None:
        reference_system(self.projection)

    @classmethod
    def of(cls, attributes: dict) -> "Plane | None":
        """The plane that the attributes of a store describe; none if its grid is one of the Earth."""
        return cls(**json.loads(attributes[PLANE])) if PLANE in attributes else None

    def attributes(self) -> dict[str, str]:
        """Attributes of a store, for `of`."""
        return {PLANE: json.dumps(asdict(self))}

    def grid(self, x: np.ndarray, y: np.ndarray) -> Grid:
        """The grid of points of the map: x of columns and y of rows (km), both rising."""
        return Grid((y - self.y) / DEGREE, (x - self.x) / DEGREE)

    def places(self, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        """True latitude and longitude (degrees) of the points of a grid, each (H, W)."""
        x, y = np.meshgrid(grid.longitude * DEGREE + self.x, grid.latitude * DEGREE + self.y)
        longitude, latitude = self._transformer().transform(1000 * x, 1000 * y, direction="INVERSE")
        return latitude, longitude

    def locate(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates on the plane (degrees) of places on the Earth; NaN for those that its map does not show."""
        x, y = self._transformer().transform(np.asarray(longitude, float), np.asarray(latitude, float))
        found = np.stack([(y / 1000 - self.y) / DEGREE, (x / 1000 - self.x) / DEGREE])
        found[:, ~(np.abs(found) < FAR).all(0)] = np.nan
        return found[0], found[1]

    def lines(self, lines: list[np.ndarray]) -> list[np.ndarray]:
        """Lines of true longitude and latitude, each (N, 2), such as coastlines, on the plane; cut where it ends."""
        found = []
        for line in lines:
            latitude, longitude = self.locate(line[:, 1], line[:, 0])
            moved, shown = np.stack([longitude, latitude], 1), np.isfinite(latitude)
            pieces = np.split(moved, np.flatnonzero(np.diff(shown)) + 1)
            found += [piece for piece in pieces if len(piece) > 1 and np.isfinite(piece).all()]
        return found

    def _transformer(self) -> Transformer:
        """From longitude and latitude of the projection's own sphere or ellipsoid (degrees) to metres."""
        crs = reference_system(self.projection)
        return Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)


def reference_system(projection: str) -> CRS:
    """The coordinate reference system of a projection.

    Raises:
        UserError: if the text describes no projection in metres.
    """
    try:
        crs = CRS.from_user_input(projection)
    except CRSError as error:
        raise UserError(
            f"{projection!r} is no projection that PROJ knows ({error}); correct the projection of the files"
        ) from None
    if not crs.is_projected or any(axis.unit_name != "metre" for axis in crs.axis_info):
        raise UserError(f"{projection!r} is no projection in metres; correct the projection of the files")
    return crs
