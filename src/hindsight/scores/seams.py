"""Measures of seams: whether fields change differently from one shard to the next than inside a shard.

An ensemble that is computed in shards has no visible seam if, at the edges of shards, members and mean change as fast,
perturbations (member minus mean) are as correlated, and the spread is as steady as elsewhere.
"""

import numpy as np
from scipy.special import stdtrit

SERIES = ("members", "mean", "truth", "product", "earlier", "later", "spread")
MEASURES = ("members", "mean", "truth", "members_to_truth", "mean_to_truth", "correlation", "spread")

LEAST_INSIDE = 24  # changes inside shards that it takes to say how they vary


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


class HourlyChanges:
    """The change from each frame to the next by the hour of day of the later one, at seams and inside shards.

    The logarithm of the area mean of squared changes is taken as normal and independent, so the ratio of the geometric
    means at seams and inside has a confidence interval by Student's t. Memory use does not
    grow with the length of the series.

    Args:
        weights: of the points (H, W), any scale.
    """

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights / weights.sum()
        self.last: np.ndarray | None = None
        self.sums: dict[tuple[int, bool], np.ndarray] = {}  # by hour and whether at a seam: number, sum, sum of squares

    def add(self, fields: np.ndarray, times: np.ndarray) -> None:
        """Add a shard that follows those before: fields (T, H, W) and their times (T,). Equal frames do not count."""
        before = fields[:1] if self.last is None else self.last[None]
        size = (np.diff(np.concatenate([before, fields]).astype(float), axis=0) ** 2 * self.weights).sum((1, 2))
        hours = (times - times.astype("datetime64[D]")) // np.timedelta64(1, "h")
        at_seam = (np.arange(len(fields)) == 0) & (self.last is not None)
        for hour, seam, value in zip(hours.tolist(), at_seam.tolist(), size):
            if value > 0:
                part = np.array([1, np.log(value), np.log(value) ** 2])
                self.sums[hour, seam] = self.sums.get((hour, seam), 0) + part
        self.last = fields[-1]

    def rows(self, confidence: float) -> list[dict]:
        """A row for each hour of day.

        Args:
            confidence: probability that the interval contains the ratio.

        Returns:
            `hour` (UTC); `inside` and `seams`, numbers of changes; `change`, the geometric mean inside shards of the
            root of the mean squared change; and `ratio`, at seams relative to inside, from `lower` to
            `upper`: these three are None without seams or with fewer than `LEAST_INSIDE` changes inside.
        """
        return [self._row(hour, confidence) for hour in sorted({hour for hour, _ in self.sums})]

    def _row(self, hour: int, confidence: float) -> dict:
        inside, seams = (self.sums.get((hour, seam), np.zeros(3)) for seam in (False, True))
        row: dict[str, object] = {"hour": hour, "inside": int(inside[0]), "seams": int(seams[0])}
        row |= dict.fromkeys(("change", "ratio", "lower", "upper"))
        if inside[0]:
            row["change"] = float(np.exp(inside[1] / inside[0] / 2))
        if inside[0] < LEAST_INSIDE or not seams[0]:
            return row
        spread = np.sqrt(max(inside[2] - inside[1] ** 2 / inside[0], 0) / (inside[0] - 1))
        middle = seams[1] / seams[0] - inside[1] / inside[0]
        width = stdtrit(inside[0] - 1, (1 + confidence) / 2) * spread * np.sqrt(1 / seams[0] + 1 / inside[0])
        limits = np.exp(np.array([middle, middle - width, middle + width]) / 2)
        return row | dict(zip(("ratio", "lower", "upper"), limits.tolist()))
