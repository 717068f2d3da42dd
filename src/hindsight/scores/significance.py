"""Intervals of scores over time: as wide as few frames, each much like the one before, make them.

A score g is a function of means over T frames. Where the frames weigh 1 + e sqrt(2) cos(pi j (t + 1/2) / T) instead of
1, it moves by e d_j; the d_j are independent, with variance S(j) / T, S the spectrum at j half-waves a period of the
series that the score follows (its influence function), and S(0) / T is the variance of the score itself (Müller 2007,
doi:10.1016/j.jeconom.2006.12.002; Lazarus et al. 2018, doi:10.1080/07350015.2018.1506926). The longest waves tell S
near zero; what lies below the first of them is that of red noise, S(j) = S(0) / (1 + (j / k)^2) (Hasselmann 1976,
doi:10.3402/tellusa.v28i6.11316), whose corner k is integrated over: where it is well known the interval is that of
Student's t, and where the period is hardly longer than the memory it is wider. `benchmarks/coverage.py` measures how
often it covers.
"""

import warnings

import numpy as np
from scipy.special import stdtr

WAVES = 24  # the longest are used, of T / 2 at most: shorter ones tell nothing of S near zero
LEAST_FRAMES = 30  # below which there is no interval: it would cover too seldom
STEP = 0.1  # e
CORNERS = np.geomspace(0.3, 300, 24)  # k, in half-waves a period
PRIOR = 0.25 * np.log(CORNERS)  # log density, of log k: between uniform and Jeffreys' (1/2), calibrated for coverage
SCALES = {  # on which a score's error is alike on either side
    "linear": (lambda x: x, lambda x: x),
    "log": (np.log, np.exp),
    "fisher": (np.arctanh, np.tanh),
}


def wave_weights(frames: int) -> np.ndarray:
    """Weights of the frames, rows sum to 1: alike, then with each wave added, then with each subtracted.

    Returns:
        (1 + 2 WAVES, T); NaN for waves that so few frames do not have.
    """
    number, middle = np.arange(1, WAVES + 1)[:, None], np.arange(frames) + 0.5
    wave = STEP * np.sqrt(2) * np.cos(np.pi * number * middle / max(frames, 1))
    wave = np.where(number <= frames // 2, wave, np.nan)
    return np.concatenate([np.ones((1, frames)), 1 + wave, 1 - wave]) / max(frames, 1)


def weighted_means(series: np.ndarray) -> np.ndarray:
    """Means of series (T, …) under each of `wave_weights`, of the frames in which they are not NaN.

    Returns:
        (1 + 2 WAVES, …), NaN where there is no such frame.
    """
    columns = series.reshape(len(series), -1)
    valid = np.isfinite(columns)
    patterns, which = np.unique(valid, axis=1, return_inverse=True)
    found = np.full((1 + 2 * WAVES, columns.shape[1]), np.nan)
    for number, pattern in enumerate(patterns.T):
        if pattern.any():
            own = which.ravel() == number
            found[:, own] = wave_weights(int(pattern.sum())) @ columns[pattern][:, own]
    return found.reshape(-1, *series.shape[1:])


def interval(drawn: np.ndarray, confidence: float, scale: str = "linear") -> tuple[np.ndarray, np.ndarray]:
    """The interval of scores.

    Args:
        drawn: scores (1 + 2 WAVES, …), functions of `weighted_means`.
        confidence: probability that it covers.
        scale: one of `SCALES`; a score that has no place on it (an error of 0) is taken as it is.

    Returns:
        Lower and upper limit; NaN for fewer than `LEAST_FRAMES` frames.
    """
    there, back = SCALES[scale]
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = there(drawn)
    placed = ~(np.isfinite(drawn) & ~np.isfinite(scaled)).any(0)
    scaled = np.where(placed, scaled, drawn)
    reach = half_width((scaled[1 : 1 + WAVES] - scaled[1 + WAVES :]) / (2 * STEP), confidence)
    limits = (scaled[0] - reach, scaled[0] + reach)
    lower, upper = (np.where(placed, back(limit), limit) for limit in limits)
    return lower, upper


def half_width(moved: np.ndarray, confidence: float) -> np.ndarray:
    """How far a score may be from its expectation, from what the waves move it by, d_j (WAVES, …); (…).

    Given k, the error is Student's t with as many degrees of freedom as there are waves; the quantile is that of the
    mixture over k, weighed by how well each explains the d_j. Red noise of corner k has a mean over T frames whose
    variance is S(0) / T (1 - (1 - exp(-pi k)) / (pi k)).
    """
    there = np.isfinite(moved)
    count, square = there.sum(0), np.where(there, moved, 0.0) ** 2
    fall = 1 + (np.arange(1, WAVES + 1) / CORNERS[:, None]) ** 2  # (corner, wave)
    level = np.tensordot(fall, square, 1) / np.maximum(count, 1)  # S(0) / T
    level = np.maximum(level, np.finfo(float).tiny)
    log_weight = PRIOR.reshape(-1, *[1] * count.ndim) + np.tensordot(np.log(fall), there.astype(float), 1) / 2
    log_weight = log_weight - count / 2 * np.log(level)
    weight = np.exp(log_weight - log_weight.max(0))
    shorter = 1 - (1 - np.exp(-np.pi * CORNERS)) / (np.pi * CORNERS)
    size = np.sqrt(level * shorter.reshape(-1, *[1] * count.ndim))
    found = _quantile(weight / weight.sum(0), size, np.maximum(count, 1), (1 + confidence) / 2)
    return np.where(count >= LEAST_FRAMES // 2, found, np.nan)


def _quantile(weight: np.ndarray, size: np.ndarray, degrees: np.ndarray, probability: float) -> np.ndarray:
    """Of mixtures (corner, …) of Student's t, each of its own size, by halving the logarithm."""
    low, high = np.log(size.min(0)) - 5, np.log(size.max(0)) + 10
    for _ in range(32):
        middle = (low + high) / 2
        below = (weight * stdtr(degrees, np.exp(middle) / size)).sum(0) < probability
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.exp(high)


def central_range(drawn: np.ndarray, probability: float) -> tuple[np.ndarray, np.ndarray]:
    """The range that values (R, …) lie in with a probability, as much above it as below; NaN where there are none."""
    tail = (1 - probability) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        lower, upper = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
    return lower, upper
