"""The covariance of the training period, as classical methods use it."""

import numpy as np

from hindsight.fields.grid import Grid, great_circle
from hindsight.fields.scaling import Scaling

BATCH = 1024  # frames, and rows, worked on at once


def lagged(departures: np.ndarray, frames: int) -> np.ndarray:
    """Covariance of `frames` consecutive frames, stacked.

    Args:
        departures: normalised, (T, D).
        frames: how many.

    Returns:
        (frames * D, frames * D), float64.
    """
    count = len(departures) - frames + 1
    stacked = departures if frames == 1 else np.concatenate([departures[k : k + count] for k in range(frames)], 1)
    total = np.zeros((stacked.shape[1], stacked.shape[1]))
    for first in range(0, count, BATCH):
        part = stacked[first : first + BATCH].astype(float)
        for row in range(0, len(total), BATCH):
            total[row : row + BATCH] += part[:, row : row + BATCH].T @ part  # a product of all rows would double it
    total /= count
    return total


def localise(covariance: np.ndarray, grid: Grid, reach: float) -> None:
    """Taper a covariance with great-circle distance, in place: 1 at no distance, 0 from `reach` (km) on.

    Gaspari and Cohn (1999), doi:10.1002/qj.49712555417, equation 4.10. The covariance (n * H * W)^2 may be of several
    channels and frames.
    """
    points = int(np.prod(grid.shape))
    latitude, longitude = (axis.ravel() for axis in np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
    distance = great_circle(latitude[:, None], longitude[:, None], latitude[None], longitude[None])
    taper = gaspari_cohn(distance / (reach / 2))
    for row in range(0, len(covariance), points):
        for column in range(0, len(covariance), points):
            covariance[row : row + points, column : column + points] *= taper


def gaspari_cohn(ratio: np.ndarray) -> np.ndarray:
    """The compactly supported correlation function, of distance over half its reach."""
    r = np.asarray(ratio, float)
    near = 1 - 5 / 3 * r**2 + 5 / 8 * r**3 + r**4 / 2 - r**5 / 4
    with np.errstate(divide="ignore"):
        far = 4 - 5 * r + 5 / 3 * r**2 + 5 / 8 * r**3 - r**4 / 2 + r**5 / 12 - 2 / (3 * r)
    return np.where(r <= 1, near, np.where(r < 2, far, 0.0))


def training_departures(fields: np.ndarray, times: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Normalised departures (T, D) of the training period."""
    return scaling.normalise(fields, times).reshape(len(times), -1)
