"""Statistics of an ensemble against a truth, frame by frame; every score is a function of their time means.

Definitions follow WeatherBench 2 (Rasp et al. 2024, doi:10.1029/2023MS004019, section 3). Statistics are averaged over
space with area weights first and over time later, so that shards can be compared separately.
"""

from collections.abc import Callable

import numpy as np

STATISTICS = (
    "squared_error",
    "error",
    "variance",
    "mean_variance",
    "member_error",
    "mean_difference",
    "anomaly_product",
    "anomaly_analysis",
    "anomaly_truth",
    "anomaly_correlation",
)


def statistics(
    analysis: np.ndarray, truth: np.ndarray, climatology: np.ndarray, weights: np.ndarray, antithetic: bool = False
) -> dict[str, np.ndarray]:
    """Area means of `STATISTICS`, from whose time means `scores` are computed.

    Args:
        analysis: members (E, T, C, P), physical units, P points.
        truth: (T, C, P).
        climatology: climatological mean (T, C, P), for the anomaly correlation.
        weights: of the points (P,), any scale.
        antithetic: whether members come in pairs of opposite noise, see `variances`.

    Returns:
        Each of `STATISTICS`, shape (T, C).
    """
    return area_means(pointwise(analysis, truth, climatology, antithetic), weights)


def pointwise(
    analysis: np.ndarray, truth: np.ndarray, climatology: np.ndarray, antithetic: bool = False
) -> dict[str, np.ndarray]:
    """`STATISTICS` at every point, (T, C, P), without the anomaly correlation."""
    analysis, truth = analysis.astype(float), truth.astype(float)
    centre = analysis.mean(0)
    anomaly, true_anomaly = centre - climatology, truth - climatology
    variance, mean_variance = variances(analysis, antithetic)
    return {
        "squared_error": (centre - truth) ** 2,
        "error": centre - truth,
        "variance": variance,
        "mean_variance": mean_variance,
        "member_error": np.abs(analysis - truth).mean(0),
        "mean_difference": mean_difference(analysis, antithetic),
        "anomaly_product": anomaly * true_anomaly,
        "anomaly_analysis": anomaly**2,
        "anomaly_truth": true_anomaly**2,
    }


def area_means(points: dict[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Means of `pointwise` under weights (P,) of any scale, and the anomaly correlation of each time; (T, C)."""
    share = weights / weights.sum()
    means = {name: (values * share).sum(-1) for name, values in points.items()}
    return means | {"anomaly_correlation": _correlation(means)}


def _correlation(mean: dict[str, np.ndarray]) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return mean["anomaly_product"] / np.sqrt(mean["anomaly_analysis"] * mean["anomaly_truth"])


def variances(members: np.ndarray, antithetic: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Unbiased variance of a member, and of the sampling error of the mean; (E, …) to (…) each.

    For independent members both are the usual ones. Antithetic members 2k and 2k + 1 form a pair, m_k + d_k and
    m_k - d_k, and only pairs are independent: the variance of a member is the mean of d_k^2 plus the variance of m_k,
    and that of the mean is the variance of m_k over the number of pairs. Where members depend linearly on their noise,
    all m_k are equal, and the mean has no sampling error.
    """
    if not antithetic:
        variance = members.var(0, ddof=1)
        return variance, variance / len(members)
    first, second = members[0::2], members[1::2]
    of_pairs = ((first + second) / 2).var(0, ddof=1)
    return (((first - second) / 2) ** 2).mean(0) + of_pairs, of_pairs / len(first)


def mean_difference(members: np.ndarray, antithetic: bool = False) -> np.ndarray:
    """Mean absolute difference of two different members, (E, …) to (…), of different pairs if they are antithetic.

    Sorting is faster than a loop over all members twice.
    """
    count = len(members)
    rank = np.arange(1, count + 1).reshape(-1, *[1] * (members.ndim - 1))
    total = 2 * ((2 * rank - count - 1) * np.sort(members, 0)).sum(0)
    if not antithetic:
        return total / (count * (count - 1))
    return (total - 2 * np.abs(members[0::2] - members[1::2]).sum(0)) / (count * (count - 2))


def ranked(members: np.ndarray, antithetic: bool) -> np.ndarray:
    """The members among which a truth is ranked: all, or one of each pair; pairs lie on either side of the mean."""
    return members[::2] if antithetic else members


def rank_histogram(
    analysis: np.ndarray, truth: np.ndarray, weights: np.ndarray, draw_uniform: Callable[[], np.ndarray]
) -> np.ndarray:
    """Rank histogram: weight of the points whose truth is above exactly k members; (T, C, E + 1), rows sum to 1.

    A truth that equals n members (no rain, for example) gets one of its n + 1 possible ranks at random. Without a truth
    (NaN at a point) there is no histogram, but NaN.
    Hamill (2001), doi:10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2.

    Args:
        analysis: members (E, T, C, P).
        truth: (T, C, P).
        weights: of the points (P,), any scale.
        draw_uniform: returns random numbers from 0 to 1, (T, C, P); called only if there is a tie.
    """
    below = (analysis < truth).sum(0)  # (T, C, P)
    ties = (analysis == truth).sum(0)
    if ties.any():
        below = below + np.floor(draw_uniform() * (ties + 1)).astype(int)
    share = np.where(np.isnan(truth).any(-1, keepdims=True), np.nan, weights / weights.sum())
    return np.stack([((below == k) * share).sum(-1) for k in range(len(analysis) + 1)], -1)


def scores(mean: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scores from statistics averaged over time.

    Args:
        mean: time means of `STATISTICS`, any shape.

    Returns:
        `rmse` and `bias` of the ensemble mean, `spread`, `crps` (fair, Ferro 2014, doi:10.1002/qj.2270), `acc`, the
        time mean of the anomaly correlation of each frame, as in WeatherBench 2, `acc_pooled`, that of all frames
        together, in which large anomalies have more weight, and `spread_skill`, sqrt(`variance` + `mean_variance`) over
        rmse, which is sqrt((E + 1) / E) spread / rmse for E independent members (Fortin et al. 2014,
        doi:10.1175/JHM-D-14-0008.1).
    """
    rmse, spread = np.sqrt(mean["squared_error"]), np.sqrt(mean["variance"])
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "rmse": rmse,
            "bias": mean["error"],
            "acc": mean["anomaly_correlation"],
            "acc_pooled": _correlation(mean),
            "crps": mean["member_error"] - mean["mean_difference"] / 2,
            "spread": spread,
            "spread_skill": np.sqrt(mean["variance"] + mean["mean_variance"]) / rmse,
        }


METRICS = ("rmse", "bias", "acc", "acc_pooled", "crps", "spread", "spread_skill")
# scales on which intervals are symmetric, see `significance`; "log" for the others
SCALES = {"bias": "linear", "acc": "fisher", "acc_pooled": "fisher"}
