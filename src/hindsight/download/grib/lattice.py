"""The points of a GRIB message, and its values on those of them that are wanted, south to north and west to east.

Points come from the first and the last, with the scanning mode: ecCodes' lists of distinct longitudes, which cfgrib
takes, are sorted, and say no more which column is which on a region that GRIB cuts at Greenwich.
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

REMEDIES = {"sh": "transform it first (cdo sp2gpl, then cdo remapcon,r360x180)"}
REMEDY = "regrid it first (cdo remapcon,r360x180, say, or ask the archive for a latitude-longitude grid)"


@dataclass(frozen=True)
class Lattice:
    """Wanted points, and where in a message their values are."""

    points: Grid
    rows: np.ndarray
    columns: np.ndarray
    shape: tuple[int, int]  # as the message has it: slowest, fastest
    by_columns: bool  # points that follow each other follow a meridian
    there_and_back: bool  # every other line runs the other way

    def arranged(self, values: np.ndarray) -> np.ndarray:
        """The values of a message on the wanted points, (latitude, longitude)."""
        lines = values.reshape(self.shape)
        if self.there_and_back:
            lines = lines.copy()
            lines[1::2] = lines[1::2, ::-1]
        return (lines.T if self.by_columns else lines)[np.ix_(self.rows, self.columns)]


def of(message: "Message", box: tuple[float | None, ...], where: str) -> Lattice:
    """The points of a message that lie in a box.

    Args:
        message: any on the grid.
        box: south, north, west, east (degrees), each may be open.
        where: what to call the message in errors.

    Raises:
        UserError: if its grid is no regular one of latitudes and longitudes, or has no points in the box.
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
            + REMEDIES.get(kind, REMEDY)
        )


def _latitudes(message: "Message") -> np.ndarray:
    first, last = (key(message, f"latitudeOf{end}GridPointInDegrees", float) for end in ("First", "Last"))
    return np.linspace(first, last, key(message, "Nj", int))


def _longitudes(message: "Message") -> np.ndarray:
    """Unbroken, in the order of the message, and not all beyond 180 where they pass Greenwich."""
    first, last = (key(message, f"longitudeOf{end}GridPointInDegrees", float) for end in ("First", "Last"))
    count, sign = key(message, "Ni", int), -1 if key(message, "iScansNegatively", int) else 1
    width = sign * (last - first) % 360 or 360.0 * (count > 1)
    longitude = np.linspace(first, first + sign * width, count)
    return longitude - 360 * (longitude.max() > 360) + 360 * (longitude.min() < -180)
