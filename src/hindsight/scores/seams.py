"""Measures of seams: whether fields change differently from one shard to the next than inside a shard.

An ensemble that is computed in shards has no visible seam if, at the edges of shards, members and mean change as fast,
perturbations (member minus mean) are as correlated, and the spread is as steady as elsewhere.
"""

import numpy as np

SERIES = ("members", "mean", "truth", "product", "earlier", "later", "spread")
MEASURES = ("members", "mean", "truth", "members_to_truth", "mean_to_truth", "correlation", "spread")


def transition(
    earlier: np.ndarray, later: np.ndarray, truth: tuple[np.ndarray, np.ndarray], weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Area means of the statistics from which `measures` are computed, for one frame and the next.

    Args:
        earlier: members of the first frame (E, C, P).
        later: the same members of the next.
        truth: of both frames, (C, P) each.
        weights: of the points (P,), any scale.

    Returns:
        Each of `SERIES`, shape (C,): squared change of the members, their mean and the truth; product and squares of
        the perturbations; squared change of the spread at every point.
    """

    def mean(values: np.ndarray) -> np.ndarray:
        return (values * share).sum(-1)

    share = weights / weights.sum()
    a, b = earlier.astype(float), later.astype(float)
    first, second = a - a.mean(0), b - b.mean(0)  # perturbations
    return {
        "members": mean(((b - a) ** 2).mean(0)),
        "mean": mean((b.mean(0) - a.mean(0)) ** 2),
        "truth": mean((truth[1].astype(float) - truth[0]) ** 2),
        "product": mean((first * second).mean(0)),
        "earlier": mean((first**2).mean(0)),
        "later": mean((second**2).mean(0)),
        "spread": mean((b.std(0, ddof=1) - a.std(0, ddof=1)) ** 2),
    }


def measures(mean: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Compute `MEASURES` from means of `SERIES` over transitions.

    Root-mean-square changes of the members, their mean, the truth and the spread; those of the members and their mean
    relative to the truth, because the weather itself may change fast or slowly; lag-1 correlation of perturbations.
    """
    found = {name: np.sqrt(mean[name]) for name in ("members", "mean", "truth", "spread")}
    with np.errstate(invalid="ignore", divide="ignore"):
        found["members_to_truth"], found["mean_to_truth"] = (found[k] / found["truth"] for k in ("members", "mean"))
        return found | {"correlation": mean["product"] / np.sqrt(mean["earlier"] * mean["later"])}
