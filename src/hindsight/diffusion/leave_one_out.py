"""Compare every observation with its estimate by all the others: leave-one-out of a Gaussian process.

With innovations d = y - H x_b ~ N(0, S), S = H B H^T + R, the departure of observation i from its estimate by all the
others, and the variance that this departure has, are (Rasmussen and Williams 2006, equations 5.10 to 5.12)

    r_i = (S^-1 d)_i / (S^-1)_ii,      var_i = 1 / (S^-1)_ii,

one factorisation for all. An observation is rejected where |r_i| exceeds a number of standard deviations, the worst
first; S^-1 without it follows by an update of rank one, so that what a gross error spoils in its neighbours is restored
before they are judged.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg


@dataclass(frozen=True)
class Check:
    """Result for N observations.

    `departure` and `variance` (N,) are from the estimate by the others that are kept; of rejected ones they are those
    at which they were rejected. `rejected` (N,) is true for these, `order` lists them, the worst first.
    """

    departure: np.ndarray
    variance: np.ndarray
    rejected: np.ndarray
    order: list[int]

    @property
    def ratio(self) -> np.ndarray:
        """Departures in their standard deviations."""
        return self.departure / np.sqrt(self.variance)


def check(innovation: np.ndarray, covariance: np.ndarray, limit: float) -> Check:
    """Check innovations, and reject the worst until all that are left lie within the limit.

    Args:
        innovation: (N,), observation minus background equivalent.
        covariance: theirs, S (N, N).
        limit: in standard deviations of the departure; infinite rejects nothing.

    Raises:
        numpy.linalg.LinAlgError: if S is not positive definite.
    """
    factor = scipy.linalg.cho_factor(covariance)
    inverse = scipy.linalg.cho_solve(factor, np.eye(len(innovation)))
    solved = inverse @ innovation
    kept = np.ones(len(innovation), bool)
    departure, variance, order = np.zeros(len(innovation)), np.ones(len(innovation)), []
    while True:
        diagonal = np.diagonal(inverse)[kept]
        departure[kept], variance[kept] = solved[kept] / diagonal, 1 / diagonal
        ratio = np.where(kept, np.abs(departure) / np.sqrt(variance), 0.0)
        worst = int(ratio.argmax()) if len(ratio) else 0
        if not len(ratio) or not ratio[worst] > limit:
            return Check(departure, variance, ~kept, order)
        kept[worst] = False
        order.append(worst)
        column, pivot = inverse[:, worst].copy(), inverse[worst, worst]
        solved = solved - column * (solved[worst] / pivot)
        inverse -= np.outer(column, column / pivot)
