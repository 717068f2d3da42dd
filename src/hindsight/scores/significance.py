"""Confidence intervals of scores, which account for few frames and for correlation in time.

A score is a function of means over T frames, and its variance is S(0) / T, where S is the spectrum of its influence
function, the series of contributions of the frames. S is estimated by weighting the frames with waves: under weights
1 + e sqrt(2) cos(pi j (t + 1/2) / T) instead of 1, the score changes by e d_j. The d_j are independent, with variance
S(j) / T at j half-waves per period (Müller 2007, doi:10.1016/j.jeconom.2006.12.002; Lazarus et al. 2018,
doi:10.1080/07350015.2018.1506926). To extrapolate to S(0), S is taken to be that of red noise, S(j) = S(0) /
(1 + (j / k)^2) (Hasselmann 1976, doi:10.3402/tellusa.v28i6.11316), and the unknown corner k is integrated out. If the
d_j determine k well, the interval is that of Student's t; if the period is hardly longer than the memory of the series,
it is wider. `benchmarks/coverage.py` measures coverage.
"""

import warnings

import numpy as np
from scipy.special import stdtr

WAVES = 24  # number of waves, at most T / 2; shorter waves do not constrain S near zero
LEAST_FRAMES = 30  # with fewer there is no interval, because its coverage would be too low
STEP = 0.1  # amplitude e of a wave
CORNERS = np.geomspace(0.3, 300, 24)  # values of k (half-waves per period)
PRIOR = 0.25 * np.log(
    CORNERS
)  # log prior density of log k: uniform has the factor 0, Jeffreys' 1/2; tuned for coverage
SCALES = {  # transformations after which the error of a score is symmetric, and their inverses
    "linear": (lambda x: x, lambda x: x),
    "log": (np.log, np.exp),
    "fisher": (np.arctanh, np.tanh),
}


def wave_weights(frames: int) -> np.ndarray:
    """Weights of the frames, rows sum to 1: equal, then with each wave added, then with each wave subtracted.

    Returns:
        (1 + 2 WAVES, T); NaN for waves that are too short for T frames.
    """
    number, middle = np.arange(1, WAVES + 1)[:, None], np.arange(frames) + 0.5
    wave = STEP * np.sqrt(2) * np.cos(np.pi * number * middle / max(frames, 1))
    wave = np.where(number <= frames // 2, wave, np.nan)
    return np.concatenate([np.ones((1, frames)), 1 + wave, 1 - wave]) / max(frames, 1)


def weighted_means(series: np.ndarray) -> np.ndarray:
    """Means of series (T, …) under each of `wave_weights`, over the frames that are not NaN.

    Returns:
        (1 + 2 WAVES, …), NaN if all frames are NaN.
    """
    columns = series.reshape(len(series), -1)
    valid = np.isfinite(columns)
    patterns, which = np.unique(valid, axis=1, return_inverse=True)
    means = np.full((1 + 2 * WAVES, columns.shape[1]), np.nan)
    for number, pattern in enumerate(patterns.T):
        if pattern.any():
            same = which.ravel() == number
            means[:, same] = wave_weights(int(pattern.sum())) @ columns[pattern][:, same]
    return means.reshape(-1, *series.shape[1:])


def interval(scores: np.ndarray, confidence: float, scale: str = "linear") -> tuple[np.ndarray, np.ndarray]:
    """Confidence interval of scores.

    Args:
        scores: (1 + 2 WAVES, …), functions of `weighted_means`.
        confidence: probability that the interval contains the expectation.
        scale: one of `SCALES`; not applied to a score outside of its domain (an error of 0 on "log").

    Returns:
        Lower and upper limit; NaN for fewer than `LEAST_FRAMES` frames.
    """
    transform, invert = SCALES[scale]
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = transform(scores)
    valid = ~(np.isfinite(scores) & ~np.isfinite(scaled)).any(0)  # inside the domain of the scale
    scaled = np.where(valid, scaled, scores)
    width = half_width((scaled[1 : 1 + WAVES] - scaled[1 + WAVES :]) / (2 * STEP), confidence)
    limits = (scaled[0] - width, scaled[0] + width)
    lower, upper = (np.where(valid, invert(limit), limit) for limit in limits)
    return lower, upper


def half_width(changes: np.ndarray, confidence: float) -> np.ndarray:
    """Half width (…) of the interval, from the changes d_j (WAVES, …) of the score under the waves.

    Given k, the error follows Student's t with one degree of freedom per wave. The half width is a quantile of the
    mixture of these distributions over k, weighted by the likelihood of the d_j. The mean over T frames of red noise
    with corner k has the variance S(0) / T (1 - (1 - exp(-pi k)) / (pi k)).
    """
    valid = np.isfinite(changes)
    count, square = valid.sum(0), np.where(valid, changes, 0.0) ** 2
    fall = 1 + (np.arange(1, WAVES + 1) / CORNERS[:, None]) ** 2  # (corner, wave)
    level = np.tensordot(fall, square, 1) / np.maximum(count, 1)  # S(0) / T
    level = np.maximum(level, np.finfo(float).tiny)
    log_weight = PRIOR.reshape(-1, *[1] * count.ndim) + np.tensordot(np.log(fall), valid.astype(float), 1) / 2
    log_weight = log_weight - count / 2 * np.log(level)
    weight = np.exp(log_weight - log_weight.max(0))
    reduction = 1 - (1 - np.exp(-np.pi * CORNERS)) / (np.pi * CORNERS)
    size = np.sqrt(level * reduction.reshape(-1, *[1] * count.ndim))
    quantile = _quantile(weight / weight.sum(0), size, np.maximum(count, 1), (1 + confidence) / 2)
    return np.where(count >= LEAST_FRAMES // 2, quantile, np.nan)


def _quantile(weight: np.ndarray, size: np.ndarray, degrees: np.ndarray, probability: float) -> np.ndarray:
    """Quantile of a mixture over corners of Student's t scaled by `size` (corner, …), by bisection of its logarithm."""
    low, high = np.log(size.min(0)) - 5, np.log(size.max(0)) + 10
    for _ in range(32):
        middle = (low + high) / 2
        below = (weight * stdtr(degrees, np.exp(middle) / size)).sum(0) < probability
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.exp(high)


def central_range(values: np.ndarray, probability: float) -> tuple[np.ndarray, np.ndarray]:
    """Limits between which a share `probability` of the values (R, …) lies, in the middle; NaN if all are NaN."""
    tail = (1 - probability) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        lower, upper = np.nanquantile(values, [tail, 1 - tail], axis=0)
    return lower, upper
