"""Measures of memorisation: does a network treat its training samples differently from others?

Two statistics of a representation h (Zhang et al. 2025, arXiv:2512.20963): a network that has stored a sample answers
it with few units, so its representation is spiky; one that has learnt the distribution spreads the same energy over
many units. Larger values of `deviation` and `peakedness` are more spiky. `auroc` compares two groups of samples by any
statistic, and `nearest` measures distances to the training samples.
"""

from collections.abc import Iterable

import numpy as np
from scipy.stats import rankdata

from hindsight.scores import significance


def deviation(features: np.ndarray) -> np.ndarray:
    """Population standard deviation over the features of each sample, (…, F) to (…)."""
    return features.std(-1)


def peakedness(features: np.ndarray) -> np.ndarray:
    """L4 norm over L2 norm of the features of each sample, from F^(-1/4) (all equal) to 1 (one alone); 0 for none."""
    square = np.square(features, dtype=float)
    total = square.sum(-1)
    return np.sqrt(np.sqrt(np.square(square).sum(-1)) / np.where(total > 0, total, 1))


def auroc(training: np.ndarray, held_out: np.ndarray) -> float:
    """Probability that a training sample has a larger value than a held-out one, ties counting half.

    It is the Mann-Whitney statistic over the number of pairs, computed exactly from the ranks. 0.5: the values do not
    tell the groups apart; 1: every training sample has a larger value than every held-out one.

    Args:
        training: values of training samples, of any shape.
        held_out: values of held-out samples.
    """
    first, second = np.ravel(training), np.ravel(held_out)
    ranks = rankdata(np.concatenate([first, second]))[: len(first)]
    return float((ranks.sum() - len(first) * (len(first) + 1) / 2) / (len(first) * len(second)))


def auroc_interval(training: np.ndarray, held_out: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of `auroc` for pairs of windows, in the order of time.

    The error of an AUROC is the sum of those of two means: of the share of held-out samples below each training sample,
    and of the share of training samples above each held-out one (DeLong et al. 1988, doi:10.2307/2531595). Here both
    shares are added up for each pair of windows, so that what a pair has in common, such as its season, cancels;
    the error of the mean over pairs accounts for correlation between neighbours (`significance.half_width`). Frames of
    a window count as one.

    Args:
        training: values (N, T), windows by frames.
        held_out: values (N, T), each row the partner of that row of `training`.
        confidence: probability that the interval contains the expectation.

    Returns:
        Lower and upper limit, within 0 and 1; NaN for fewer than `significance.LEAST_FRAMES` pairs.
    """
    above, below = shares_below(training, held_out), 1 - shares_below(held_out, training)
    width = _half_width(above.mean(1) + below.mean(1), confidence)
    middle = float(above.mean())
    return max(middle - width, 0.0), min(middle + width, 1.0)


def shares_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Share of the other values below each value, ties counting half; in the shape of `values`."""
    ordered = np.sort(np.ravel(others))
    below, upto = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + upto) / (2 * len(ordered))


def _half_width(series: np.ndarray, confidence: float) -> float:
    """Half width of the interval of the mean of a series (N,)."""
    if len(series) < significance.LEAST_FRAMES:
        return np.nan
    means, waves = significance.weighted_means(series), significance.WAVES
    changes = (means[1 : 1 + waves] - means[1 + waves :]) / (2 * significance.STEP)
    return float(significance.half_width(changes, confidence))


def nearest(
    samples: np.ndarray,
    times: np.ndarray,
    blocks: Iterable[tuple[np.ndarray, np.ndarray]],
    away: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest training sample of each sample, of those away from it in time.

    Args:
        samples: (Q, D).
        times: of the samples, numbers (Q,).
        blocks: training samples (B, D) and their times (B,), some at once.
        away: least difference of time between a sample and its neighbour.

    Returns:
        Squared distance to the nearest one (infinite if none is away) and its time, both (Q,). The distance has an
        error of about 1e-6 of the squared norms; for the pairs found, `np.linalg.norm` is more accurate.
    """
    square, when = np.full(len(samples), np.inf), np.full(len(samples), np.nan)
    norm = np.einsum("qd,qd->q", samples, samples, dtype=float)
    for block, at in blocks:
        product = (samples @ block.T).astype(float)
        distance = norm[:, None] - 2 * product + np.einsum("bd,bd->b", block, block, dtype=float)
        distance = np.where(np.abs(times[:, None] - at) >= away, np.maximum(distance, 0), np.inf)
        best = distance.argmin(1)
        least = distance[np.arange(len(samples)), best]
        square, when = np.where(least < square, least, square), np.where(least < square, at[best], when)
    return square, when
