"""Observations between the levels of a state: a weighted sum of the variable on the two levels around them.

The weights are linear in the logarithm of pressure. With p_1 < p < p_2 the pressures of the state's levels next to p,

    x(p) = (1 - s) x(p_1) + s x(p_2),      s = log(p / p_1) / log(p_2 / p_1),

which is exact for the geopotential of an isothermal layer. On a level of the state the other weight is zero.
"""

from collections.abc import Sequence

import numpy as np

from hindsight.fields.grid import NEAR


def weights(levels: Sequence[int], level: np.ndarray) -> list[np.ndarray]:
    """The weights (N,) of each of the levels (hPa, ascending) for observations at the levels `level` (N,).

    Raises:
        ValueError: if an observation lies above the highest or below the lowest level, or has no level.
    """
    known, level = np.asarray(levels, float), np.asarray(level, float)
    nearest = known[np.abs(level[:, None] - known).argmin(1)]
    level = np.where(np.abs(level - nearest) <= NEAR, nearest, level)
    if (outside := ~((level >= known[0]) & (level <= known[-1]))).any():
        raise ValueError(f"at the level {level[outside][0]} hPa lies outside {levels[0]} … {levels[-1]} hPa")
    return [np.interp(np.log(level), np.log(known), unit) for unit in np.eye(len(known))]
