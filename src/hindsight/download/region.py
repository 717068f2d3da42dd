"""The points of a regular grid that lie in a region."""

import numpy as np
import xarray as xr

from hindsight.fields import axes
from hindsight.fields.grid import Grid

ROUNDING = 2e-5  # degrees; a little over half the spacing of single precision at 360


def within(
    latitude: np.ndarray, longitude: np.ndarray, box: tuple[float | None, ...], where: str
) -> tuple[Grid, np.ndarray, np.ndarray]:
    """The points in a box, south to north and west to east, and their rows and columns in the source.

    Coordinates within the rounding of single precision of four decimals are rounded to four decimals.

    Args:
        latitude: of the rows, as the source has them (degrees).
        longitude: of the columns.
        box: south, north, west, east (degrees); None: no limit.
        where: name of the source in errors.

    Raises:
        UserError: if the grid is not regular, or has no points in the box.
    """
    points = xr.Dataset(
        {"row": ("latitude", np.arange(len(latitude))), "column": ("longitude", np.arange(len(longitude)))},
        {"latitude": _tidy(latitude), "longitude": _tidy(longitude)},
    )
    kept = axes.select(axes.sort(points, where), box, where)
    return Grid.of(kept), kept["row"].values, kept["column"].values


def _tidy(values: np.ndarray) -> np.ndarray:
    short = np.round(values, 4)
    return short if np.abs(values - short).max(initial=0) < ROUNDING else values
