"""Compare every observation with its estimate by all the others: leave-one-out of a Gaussian process.

With innovations d = y - H x_b ~ N(0, S), S = H B H^T + R, the departure of observation i from its estimate by all the
others, and the variance that this departure has, are (Rasmussen and Williams 2006, equations 5.10 to 5.12)

    r_i = (S^-1 d)_i / (S^-1)_ii,      var_i = 1 / (S^-1)_ii,

one factorisation for all. An observation is rejected where |r_i| exceeds a number of standard deviations, the worst
first; without the rejected ones S^-1 becomes S^-1 - F F^T, F with a column for each, so that what a gross error spoils
in its neighbours is restored before they are judged.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg


@dataclass(frozen=True)
class Check:
    """Result for N observations.

    `departure` and `variance` (N,) are from the estimate by the others that are kept; of rejected ones they are those
    at which they were rejected. `rejected` (N,) is true for these, `order` lists them, the worst first. `inverse`
    (N, N) is S^-1 of those that are kept, and zero elsewhere.
    """

    departure: np.ndarray
    variance: np.ndarray
    rejected: np.ndarray
    order: list[int]
    inverse: np.ndarray

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
    inverse = _inverse(covariance)
    solved, diagonal = inverse @ innovation, np.diagonal(inverse).copy()
    kept, columns = np.ones(len(innovation), bool), np.zeros((len(innovation), 0))  # F
    departure, variance, order = np.zeros(len(innovation)), np.ones(len(innovation)), []
    while True:
        departure[kept], variance[kept] = solved[kept] / diagonal[kept], 1 / diagonal[kept]
        ratio = np.where(kept, np.abs(departure) / np.sqrt(variance), 0.0)
        worst = int(ratio.argmax()) if len(ratio) else 0
        if not len(ratio) or not ratio[worst] > limit:
            inverse = (inverse - columns @ columns.T) * kept * kept[:, None]
            return Check(departure, variance, ~kept, order, inverse)
        kept[worst] = False
        order.append(worst)
        column = (inverse[:, worst] - columns @ columns[worst]) / np.sqrt(diagonal[worst])
        solved = solved - column * (solved[worst] / column[worst])
        diagonal -= column**2
        columns = np.column_stack([columns, column])


def _inverse(covariance: np.ndarray) -> np.ndarray:
    """The inverse of a positive definite matrix, from its Cholesky factor."""
    lower = np.tril(scipy.linalg.lapack.dpotri(scipy.linalg.cho_factor(covariance, lower=True)[0], lower=1)[0])
    return lower + np.tril(lower, -1).T
