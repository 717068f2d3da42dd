"""Intervals by the moving-block bootstrap, which respects that neighbouring days are alike.

Künsch (1989), doi:10.1214/aos/1176347265; Wilks (1997), doi:10.1175/1520-0442(1997)010<0065:RHTFAF>2.0.CO;2.
"""

import warnings

import numpy as np


def block_weights(frames: int, block: int, resamples: int, seed: int) -> np.ndarray:
    """How often each frame is drawn in each resample.

    Args:
        frames: T.
        block: frames in a block; blocks wrap round, so every frame is drawn equally often on average.
        resamples: R.
        seed: of the draws.

    Returns:
        Weights of shape (R, T), rows sum to 1; a resampled mean is `weights @ series`.
    """
    block = min(block, frames)
    generator = np.random.Generator(np.random.Philox(seed))
    starts = generator.integers(0, frames, (resamples, -(-frames // block)))
    drawn = (starts[..., None] + np.arange(block)).reshape(resamples, -1)[:, :frames] % frames
    weights = np.zeros((resamples, frames))
    np.add.at(weights, (np.arange(resamples)[:, None], drawn), 1.0)
    return weights / frames


def resampled_means(weights: np.ndarray, series: np.ndarray, chosen: np.ndarray | None = None) -> np.ndarray:
    """Means of series (T, …) under each row of weights (R, T); what is NaN, or not chosen (T,), counts for nothing.

    Returns:
        (R, …), NaN where nothing counts.
    """
    valid = np.isfinite(series)
    if chosen is not None:
        valid &= chosen.reshape(-1, *[1] * (series.ndim - 1))
    with np.errstate(invalid="ignore"):
        return np.tensordot(weights, np.where(valid, series, 0), 1) / np.tensordot(weights, valid * 1.0, 1)


def interval(resampled: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """The percentile interval of resampled scores (R, …); NaN where there is nothing to score."""
    tail = (1 - confidence) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        lower, upper = np.nanquantile(resampled, [tail, 1 - tail], axis=0)
    return lower, upper
