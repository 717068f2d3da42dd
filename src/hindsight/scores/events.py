"""Scores of events, a value at or above a threshold: critical success index, and fractions skill score by scale.

Like those of `ensemble`, statistics are means over space, frame by frame, and scores are functions of their time means.
"""

import numpy as np
from scipy.ndimage import uniform_filter

COUNTS = ("hits", "misses", "false_alarms")
FRACTIONS = ("fraction_difference", "fraction_squares")


def contingency(members: np.ndarray, truth: np.ndarray, threshold: float, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Shares of points and members with an event forecast and seen, seen but not forecast, or forecast but not seen.

    Args:
        members: (E, T, H, W).
        truth: (T, H, W).
        threshold: least value of the event.
        weights: of the points (H, W), any scale.

    Returns:
        Each of `COUNTS`, (T,), as shares of all points.
    """
    forecast, seen = members >= threshold, truth >= threshold
    share = weights / weights.sum()
    found = {"hits": forecast & seen, "misses": ~forecast & seen, "false_alarms": forecast & ~seen}
    return {name: (found[name].mean(0) * share).sum((1, 2)) for name in COUNTS}


def critical_success(counts: dict[str, np.ndarray]) -> np.ndarray:
    """Critical success index (threat score) of mean counts: hits of all events forecast or seen; NaN without any."""
    hits = counts["hits"]
    with np.errstate(invalid="ignore", divide="ignore"):
        return hits / (hits + counts["misses"] + counts["false_alarms"])


def fractions(events: np.ndarray, size: int, periodic: tuple[bool, bool] = (False, False)) -> np.ndarray:
    """The share of a square of `size` x `size` points around each point that has the event, (…, H, W).

    Args:
        events: whether there is one, or its probability, (…, H, W).
        size: of the squares, points.
        periodic: whether the last row is next to the first, and the last column; else there are no events outside.
    """
    modes = ["wrap" if wraps else "constant" for wraps in periodic]
    sizes = [1] * (events.ndim - 2) + [size, size]
    return uniform_filter(events.astype(float), sizes, mode=["constant"] * (events.ndim - 2) + modes)


def neighbourhoods(
    members: np.ndarray,
    truth: np.ndarray,
    threshold: float,
    size: int,
    weights: np.ndarray,
    periodic: tuple[bool, bool] = (False, False),
) -> dict[str, np.ndarray]:
    """Mean square difference of the fractions forecast and seen, and the largest that it can be; `FRACTIONS`, (T,).

    The fraction forecast is that of the share of members with the event (neighbourhood ensemble probability; Schwartz
    et al. 2010, doi:10.1175/2009WAF2222267.1).

    Args:
        members: (E, T, H, W).
        truth: (T, H, W).
        threshold: least value of the event.
        size: of the squares, points.
        weights: of the points (H, W), any scale.
        periodic: see `fractions`.
    """
    forecast = fractions((members >= threshold).mean(0), size, periodic)
    seen = fractions(truth >= threshold, size, periodic)
    share = weights / weights.sum()
    square = (forecast - seen) ** 2, forecast**2 + seen**2
    return {name: (values * share).sum((1, 2)) for name, values in zip(FRACTIONS, square)}


def fractions_skill(means: dict[str, np.ndarray]) -> np.ndarray:
    """Fractions skill score of mean `FRACTIONS`: 1 is perfect, 0 no event in the right neighbourhood; NaN without any.

    Roberts and Lean (2008), doi:10.1175/2007MWR2123.1.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1 - means["fraction_difference"] / means["fraction_squares"]
