"""Mantissa bits to keep, rounding to them, and the rounding error as a share of the analysis' own spread."""

import numpy as np

MANTISSA_BITS = 23  # of a float32


def bits(values: np.ndarray, share: float) -> int:
    """Mantissa bits to keep of a channel, so that rounding is off by at most a share of the ensemble's spread.

    Rounding to k bits is off by at most 2^(e - k - 1), e the exponent of the largest value.

    Args:
        values: (E, T, H, W), physical units.
        share: of the root-mean-square spread.
    """
    allowed = share * np.sqrt(values.astype(float).var(0, ddof=1).mean())
    largest = np.abs(values).max()
    if allowed == 0 or largest == 0:
        return MANTISSA_BITS
    exponent = np.floor(np.log2(float(largest)))
    return int(np.clip(np.ceil(exponent - 1 - np.log2(allowed)), 1, MANTISSA_BITS))


def round_to(values: np.ndarray, bits: int) -> np.ndarray:
    """Round float32 to a number of mantissa bits, half to even (Klöwer et al. 2021, doi:10.1038/s43588-021-00156-2)."""
    drop = MANTISSA_BITS - bits
    if drop <= 0:
        return values
    pattern = values.view(np.uint32)
    half = np.uint32((1 << (drop - 1)) - 1)
    odd = (pattern >> np.uint32(drop)) & np.uint32(1)
    mask = np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)
    return ((pattern + half + odd) & mask).view(np.float32)


def error_sums(values: np.ndarray, rounded: np.ndarray) -> dict[str, float]:
    """Sums from which `share_of_spread` computes the rounding error of several shards.

    Args:
        values: of members before rounding, (E, T, H, W).
        rounded: the same after it.

    Returns:
        `count` of values, `squares` (sum of squared rounding errors), `worst` (largest error), `variance` (sum of the
        ensemble variance over frames and places, once for every member).
    """
    error = np.abs(rounded.astype(float) - values.astype(float))
    variance = values.astype(float).var(0, ddof=1).sum() * len(values)
    squares, worst = float((error**2).sum()), float(error.max())
    return {"count": values.size, "squares": squares, "worst": worst, "variance": float(variance)}


def share_of_spread(sums: list[dict[str, float]]) -> dict[str, float]:
    """The rounding error of several shards as a share of the root-mean-square spread: `rms` and `worst`."""
    spread = np.sqrt(sum(part["variance"] for part in sums) / sum(part["count"] for part in sums))
    rms = np.sqrt(sum(part["squares"] for part in sums) / sum(part["count"] for part in sums))
    worst = max(part["worst"] for part in sums)
    return {"rms": float(rms / spread), "worst": float(worst / spread)} if spread else {"rms": 0.0, "worst": 0.0}
