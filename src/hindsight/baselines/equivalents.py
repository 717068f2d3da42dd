"""Departures of observations from the members of an ensemble, and slopes, both at each member's own state."""

import numpy as np
import scipy.sparse

from hindsight.baselines import minimise
from hindsight.operators.rows import Rows


class Equivalents:
    """Equivalents of N observations in states of n values.

    Args:
        rows: the observations.
        size: values of a state, n.
    """

    def __init__(self, rows: Rows, size: int) -> None:
        self.rows, (point, weight) = rows, minimise.parts(rows)
        row = np.repeat(np.arange(len(point)), point.shape[1])
        self.sums = scipy.sparse.csr_array((weight.ravel(), (row, point.ravel())), (len(point), size))

    def departures(self, states: np.ndarray) -> np.ndarray:
        """Observations minus their equivalents in states (E, n), over the observation errors: (E, N)."""
        return self._linearised(states)[1]

    def gradient(self, states: np.ndarray) -> np.ndarray:
        """Gradients of the log-likelihood of the observations at states, (E, n)."""
        slopes, departure = self._linearised(states)
        return (self.sums.T @ (slopes * departure[..., None]).reshape(len(states), -1).T).T

    def curvature(self, states: np.ndarray) -> float:
        """A bound of the largest eigenvalue of minus the log-likelihood's second derivative, linearised at states."""
        slopes, size = np.abs(self._linearised(states)[0]).max(0), abs(self.sums)
        across = (slopes * (size @ np.ones(size.shape[1])).reshape(slopes.shape)).sum(1)
        return float((size.T @ (slopes * across[:, None]).ravel()).max())

    def _linearised(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return minimise.departures(self.rows, (self.sums @ states.T).T)
