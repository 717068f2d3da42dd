"""How far points lie from where something was observed, and means by that distance."""

import numpy as np
from scipy.spatial import KDTree

from hindsight.fields.grid import great_circle

BINS = 8
_LEADING = (1.0, 2.0, 2.5, 5.0)  # widths that people count in, times powers of ten


def distance_to_nearest(
    latitude: np.ndarray, longitude: np.ndarray, station_latitude: np.ndarray, station_longitude: np.ndarray
) -> np.ndarray:
    """Distance of each point (P,) to the nearest of some stations (N,), along the sphere; km, NaN without stations.

    The nearest along the sphere is the nearest along the chord, which a tree finds at once.
    """
    if len(station_latitude) == 0:
        return np.full(len(latitude), np.nan)
    _, found = KDTree(_unit(station_latitude, station_longitude)).query(_unit(latitude, longitude))
    return great_circle(latitude, longitude, station_latitude[found], station_longitude[found])


def bin_edges(distances: np.ndarray) -> np.ndarray:
    """Edges (BINS + 1,) of equal bins from 0 km to beyond the largest distance, of a width that is a round number."""
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
    south, west = np.deg2rad(latitude), np.deg2rad(longitude)
    return np.stack([np.cos(south) * np.cos(west), np.cos(south) * np.sin(west), np.sin(south)], -1)
