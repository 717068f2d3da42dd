"""The grid points of a GRIB message, and its values on those in a region, south to north and west to east.

The points are computed from the first and the last, and the scanning mode. ecCodes' lists of distinct longitudes, which
cfgrib uses, are sorted, so they lose the order of columns on a region that crosses Greenwich.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hindsight.download import region
from hindsight.download.grib.messages import key
from hindsight.errors import UserError
from hindsight.fields.grid import Grid

if TYPE_CHECKING:
    from cfgrib.messages import Message

REMEDY_OF_GRID = {"sh": "transform it first (cdo sp2gpl, then cdo remapcon,r360x180)"}
REMEDY = "regrid it first (cdo remapcon,r360x180, say, or ask the archive for a latitude-longitude grid)"


@dataclass(frozen=True)
class Lattice:
    """Points in a region, and the places of their values in a message."""

    points: Grid
    rows: np.ndarray
    columns: np.ndarray
    shape: tuple[int, int]  # of the values in the message: slowest, fastest dimension
    by_columns: bool  # consecutive values lie on a meridian
    alternating: bool  # every other line is reversed

    def arrange(self, values: np.ndarray) -> np.ndarray:
        """The values of a message on the points, (latitude, longitude)."""
        lines = values.reshape(self.shape)
        if self.alternating:
            lines = lines.copy()
            lines[1::2] = lines[1::2, ::-1]
        return (lines.T if self.by_columns else lines)[np.ix_(self.rows, self.columns)]


def of_message(message: "Message", box: tuple[float | None, ...], where: str) -> Lattice:
    """The points of a message that lie in a box.

    Args:
        message: any message on the grid.
        box: south, north, west, east (degrees); None: no limit.
        where: name of the message in errors.

    Raises:
        UserError: if its grid is not a regular one of latitudes and longitudes, or has no points in the box.
    """
    _regular(message, where)
    by_columns = bool(key(message, "jPointsAreConsecutive", int))
    latitude, longitude = _latitudes(message), _longitudes(message)
    points, rows, columns = region.within(latitude, longitude, box, where)
    shape = (len(latitude), len(longitude))
    return Lattice(
        points,
        rows,
        columns,
        shape[::-1] if by_columns else shape,
        by_columns,
        bool(key(message, "alternativeRowScanning", int)),
    )


def _regular(message: "Message", where: str) -> None:
    kind = key(message, "gridType", str)
    if kind != "regular_ll":
        raise UserError(
            f"{where}: its grid is {kind}, not regular in latitude and longitude (regular_ll); "
            + REMEDY_OF_GRID.get(kind, REMEDY)
        )


def _latitudes(message: "Message") -> np.ndarray:
    first, last = (key(message, f"latitudeOf{end}GridPointInDegrees", float) for end in ("First", "Last"))
    return np.linspace(first, last, key(message, "Nj", int))


def _longitudes(message: "Message") -> np.ndarray:
    """Longitudes in the order of the message, without a jump; shifted by 360 if any is above 360 or below -180."""
    first, last = (key(message, f"longitudeOf{end}GridPointInDegrees", float) for end in ("First", "Last"))
    count, sign = key(message, "Ni", int), -1 if key(message, "iScansNegatively", int) else 1
    width = sign * (last - first) % 360 or 360.0 * (count > 1)
    longitude = np.linspace(first, first + sign * width, count)
    return longitude - 360 * (longitude.max() > 360) + 360 * (longitude.min() < -180)
