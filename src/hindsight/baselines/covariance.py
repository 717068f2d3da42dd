"""The covariance of the training period, as classical methods use it."""

import numpy as np

from hindsight.fields.scaling import Scaling


def lagged(departures: np.ndarray, frames: int) -> np.ndarray:
    """Covariance of `frames` consecutive frames, stacked.

    Args:
        departures: normalised, (T, D).
        frames: how many.

    Returns:
        (frames * D, frames * D), float64.
    """
    count = len(departures) - frames + 1
    stacked = np.concatenate([departures[k : k + count] for k in range(frames)], 1).astype(float)
    return stacked.T @ stacked / count


def training_departures(fields: "np.ndarray", times: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Normalised departures (T, D) of the training period."""
    return scaling.normalise(fields, times).reshape(len(times), -1)
