"""The covariance of the training period, as classical methods use it."""

import numpy as np

from hindsight.errors import UserError
from hindsight.fields import calendar
from hindsight.fields.frames import Frames
from hindsight.fields.grid import Grid, great_circle

BATCH = 1024  # frames, and rows, worked on at once


def lagged(frames: Frames, span: int) -> np.ndarray:
    """Covariance of `span` consecutive frames, stacked; added up over the training period, which is read once.

    Args:
        frames: normalised departures of the training period.
        span: how many; only such as follow each other without a break and are all known count.

    Returns:
        (span * D, span * D), float64.

    Raises:
        UserError: if there are nowhere so many.
    """
    starts, size = calendar.unbroken(frames.stretch, span), int(np.prod(frames.shape))
    if not len(starts):
        raise UserError(
            f"the training period has nowhere {span} known frames that follow each other, and "
            f"baselines.optimal_interpolation.frames is {span}; lower it, or lengthen domain.train"
        )
    total = np.zeros((span * size, span * size))
    for first in range(0, len(frames.stretch), BATCH):
        here = starts[(starts >= first) & (starts < first + BATCH)] - first
        if len(here):
            values = frames(first, min(first + BATCH + span - 1, len(frames.stretch)))
            _add_products(total, values[here[:, None] + np.arange(span)].reshape(len(here), -1).astype(float))
    total /= len(starts)
    return total


def _add_products(total: np.ndarray, samples: np.ndarray) -> None:
    """Add samples (n, size) times themselves, some rows at a time: a product of all rows would double the memory."""
    for row in range(0, len(total), BATCH):
        total[row : row + BATCH] += samples[:, row : row + BATCH].T @ samples


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
