"""Nonlinear observations, linearised about the analysis of a method that has one H for all members.

About the climatology a function may have no slope: a wind speed says nothing of a wind whose mean is zero. So the first
analysis x_a is that of the other observations. Then, `LOOPS` times, the functions are linearised about x_a, with the
standard deviations of this analysis at the stations (`NonlinearRows.at`), and all observations are analysed together
from the background, with y - h(x_a) + H x_a in place of y. Station pressure is so nearly linear that it stays
linearised about the climatology.

With standard deviations of zero these are the outer loops of the incremental method, Gauss-Newton iterations (Courtier
et al. 1994, doi:10.1002/qj.49712051912); with those of the analysis, iterated posterior linearisation (García-Fernández
et al. 2015, doi:10.1109/TSP.2015.2454485).
"""

from dataclasses import replace
from typing import Protocol

import numpy as np

from hindsight.operators.nonlinear import NonlinearRows
from hindsight.operators.rows import Rows

LOOPS = 2


class Method(Protocol):
    """A linear analysis; `OptimalInterpolation` is one."""

    def mean(self, rows: Rows) -> np.ndarray:
        """The mean of the analysis, (n,)."""
        ...

    def deviations(self, rows: Rows, point: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Standard deviations in the analysis of weighted sums of the state, for point and weight (M, K): (M,)."""
        ...


def linearised(method: Method, rows: Rows) -> Rows:
    """Rows linearised about their own analysis; the same rows if all are linear, or nearly linear."""
    if rows.nonlinear is None or not (which := _far_from_linear(rows, rows.nonlinear)).any():
        return rows
    nonlinear = replace(rows.nonlinear, kind=np.where(which, rows.nonlinear.kind, 0))
    used = rows.each(lambda column: column[~which])
    for _ in range(LOOPS):
        used = _about(rows, nonlinear, method.mean(used), _spread(method, rows, nonlinear, used))
    return used


def _far_from_linear(rows: Rows, nonlinear: NonlinearRows) -> np.ndarray:
    """Rows that leave out variance when linearised about the climatology, (N,); station pressure leaves out none."""
    return (nonlinear.kind > 0) & (rows.error * nonlinear.unit > nonlinear.error * (1 + 1e-9))


def _spread(method: Method, rows: Rows, nonlinear: NonlinearRows, used: Rows) -> np.ndarray:
    """Standard deviations, in the analysis of the rows used, of the channels that each row is computed from, (N, J)."""
    which, found = nonlinear.kind > 0, np.zeros(nonlinear.mean.shape)
    shape = (int(which.sum()) * found.shape[1], -1)
    blocks = (array[which].reshape(shape) for array in (rows.point, nonlinear.operator))
    found[which] = method.deviations(used, *blocks).reshape(-1, found.shape[1])
    return found


def _about(rows: Rows, nonlinear: NonlinearRows, state: np.ndarray, spread: np.ndarray) -> Rows:
    """The rows linearised about a state (n,) with standard deviations (N, J)."""
    slopes, *found, which = nonlinear.at((state[rows.point] * nonlinear.operator)[None], spread)
    parts = nonlinear.operator[which].reshape(*slopes[0].shape, -1)
    found = [(parts * slopes[..., None]).reshape(1, len(parts), -1), *found]
    own = [array.copy() for array in (rows.weight, rows.value, rows.error)]
    for array, new in zip(own, found):
        array[which] = new[0]
    return replace(rows, weight=own[0], value=own[1], error=own[2])
