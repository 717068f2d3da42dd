"""Distance of grid points to the nearest station, and bins of that distance."""

import numpy as np
from scipy.spatial import KDTree

from hindsight.fields.grid import great_circle

BINS = 8
_LEADING = (1.0, 2.0, 2.5, 5.0)  # round widths, times powers of ten


def distance_to_nearest(
    latitude: np.ndarray, longitude: np.ndarray, station_latitude: np.ndarray, station_longitude: np.ndarray
) -> np.ndarray:
    """Great-circle distance of each point (P,) to the nearest of the stations (N,); km, NaN without stations.

    The nearest station on the sphere is also the nearest in three dimensions, which a tree finds quickly.
    """
    if len(station_latitude) == 0:
        return np.full(len(latitude), np.nan)
    _, index = KDTree(_unit(station_latitude, station_longitude)).query(_unit(latitude, longitude))
    return great_circle(latitude, longitude, station_latitude[index], station_longitude[index])


def bin_edges(distances: np.ndarray) -> np.ndarray:
    """Edges (BINS + 1,) of bins of equal, round width from 0 km to beyond the largest distance; km."""
    largest = np.nanmax(distances, initial=0.0)
    powers = 10.0 ** np.arange(0, 5)
    width = next(w for power in powers for w in power * np.array(_LEADING) if w * BINS > largest)
    return width * np.arange(BINS + 1)


def bin_weights(distances: np.ndarray, limits: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weight of each point in the mean of its bin.

    Args:
        distances: of the points (P,), km.
        limits: edges of the bins (B + 1,), km.
        weights: areas of the points (P,), any scale.

    Returns:
        Weights (B, P); each row sums to 1, or is NaN where the bin holds no point.
    """
    inside = (distances >= limits[:-1, None]) & (distances < limits[1:, None])
    with np.errstate(invalid="ignore"):
        return inside * weights / (inside * weights).sum(1, keepdims=True)


def _unit(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    north, east = np.deg2rad(latitude), np.deg2rad(longitude)
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], -1)
