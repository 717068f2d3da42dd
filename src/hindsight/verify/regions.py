"""Boxes that are scored besides the whole domain."""

import numpy as np

from hindsight.errors import UserError
from hindsight.fields.grid import NEAR, Grid
from hindsight.settings.verify import Region

WHOLE = "everywhere"
WITHHELD = "withheld observations"  # scored like a region
GLOBE_REGIONS = {
    "northern extratropics": Region(south=20, north=90, west=-180, east=180),
    "tropics": Region(south=-20, north=20, west=-180, east=180),
    "southern extratropics": Region(south=-90, north=-20, west=-180, east=180),
}


def region_weights(requested: dict[str, Region], grid: Grid) -> dict[str, np.ndarray]:
    """Weights (H * W,) of every region, the whole domain first; without requested regions, a globe has three.

    Raises:
        UserError: if a region holds no grid point.
    """
    latitude, longitude = np.meshgrid(grid.latitude, grid.longitude, indexing="ij")
    found = {WHOLE: grid.weights.ravel()}
    for name, box in chosen_regions(requested, grid).items():
        inside = holds(box, latitude, longitude)
        if not (inside & grid.where).any():
            raise UserError(
                f"verify.regions.{name} holds no grid point; the domain is {grid.latitude[0]:g} to "
                f"{grid.latitude[-1]:g} N, {grid.longitude[0]:g} to {grid.longitude[-1]:g} E"
            )
        found[name] = (grid.weights * inside).ravel()
    return found


def chosen_regions(requested: dict[str, Region], grid: Grid) -> dict[str, Region]:
    """The requested regions; without any, three of a globe."""
    return requested or (GLOBE_REGIONS if grid.is_global else {})


def holds(box: Region, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Whether a region holds each place (degrees), edges included, within the tolerance of grids."""
    inside = (latitude >= box.south - NEAR) & (latitude <= box.north + NEAR)
    if box.east - box.west < 360:
        inside &= (longitude - box.west + NEAR) % 360 <= (box.east - box.west) % 360 + 2 * NEAR
    return inside
