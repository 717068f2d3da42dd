"""Scores with intervals, from the statistics of every network."""

from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.fields import store
from hindsight.scores import ensemble, significance
from hindsight.settings import Domain, Verify
from hindsight.settings.lexicon import CHANNELS
from hindsight.verify.compare import WHOLE

REFERENCE = "optimal_interpolation"  # what `ratio` is relative to


def run(domain: Domain, settings: Verify, *, statistics: list[Path], normalisation: Path, scores: Path) -> None:
    """Turn statistics into scores, each with its interval from a block bootstrap over time."""
    networks = [score(xr.load_dataset(path), domain, settings).expand_dims(network=[path.stem]) for path in statistics]
    result = xr.concat(networks, "network")
    result["scale"] = xr.load_dataset(normalisation)["spread"]
    result = result.assign_coords(units=("channel", [CHANNELS[name].units for name in domain.channels]))
    result.attrs = {
        "confidence": settings.confidence,
        "block_days": settings.block_days,
        "reference": REFERENCE,
        "period": f"{domain.test.start:%Y-%m-%d} to {domain.test.end:%Y-%m-%d}",
        "members": networks[0].attrs["members"],
    }
    _explain(result)
    store.replace(scores, lambda partial: result.to_netcdf(partial))


def score(statistics: xr.Dataset, domain: Domain, settings: Verify) -> xr.Dataset:
    """Scores of one network.

    Args:
        statistics: from `verify.compare`.
        domain: for the step between frames.
        settings: bootstrap.

    Returns:
        `score`, `lower`, `upper` (analysis, metric, channel); the same by region; `ratio` to the reference with its
        own interval from the same resamples; rank histograms, maps and spectra.
    """
    members, frames = int(statistics.attrs["members"]), statistics.sizes["time"]
    block = max(1, round(settings.block_days * 24 / domain.step_hours))
    weights = significance.block_weights(frames, block, settings.resamples, settings.seed)
    weights = np.concatenate([np.full((1, frames), 1 / frames), weights])  # the first is the sample itself
    drawn = _resampled(statistics, weights, members)  # (metric, R + 1, analysis, region, channel)
    dimensions = ("metric", "analysis", "region", "channel")
    lower, upper = significance.interval(drawn[:, 1:].swapaxes(0, 1), settings.confidence)
    regional = xr.Dataset(
        {
            "regional_score": (dimensions, drawn[:, 0]),
            "regional_lower": (dimensions, lower),
            "regional_upper": (dimensions, upper),
        },
        coords={"metric": list(ensemble.METRICS), **{d: statistics[d] for d in dimensions[1:]}},
    )
    result = regional.merge(_ratios(drawn, statistics, settings))
    for name in ("score", "lower", "upper"):
        result[name] = result[f"regional_{name}"].sel(region=WHOLE, drop=True)
    count = statistics["count"]
    result["rank_histogram"] = statistics["rank"].mean("time")
    result["rmse_map"] = np.sqrt(statistics["sum_squared_error"] / count)
    result["spread_map"] = np.sqrt(statistics["sum_variance"] / count)
    result["power"] = statistics["sum_power"] / count
    return result.transpose("analysis", "metric", ...).assign_attrs(members=members)


def _resampled(statistics: xr.Dataset, weights: np.ndarray, members: int) -> np.ndarray:
    """Every metric of every resample; frames without observations count for nothing."""
    means = {}
    for name in ensemble.STATISTICS:
        series = statistics[name].transpose("time", "analysis", "region", "channel").values
        valid = np.isfinite(series)
        with np.errstate(invalid="ignore"):
            means[name] = np.tensordot(weights, np.where(valid, series, 0), 1) / np.tensordot(weights, valid * 1.0, 1)
    found = ensemble.scores(means, members)
    return np.stack([found[metric] for metric in ensemble.METRICS])


def _ratios(drawn: np.ndarray, statistics: xr.Dataset, settings: Verify) -> xr.Dataset:
    """RMSE and CRPS everywhere relative to the reference's, resampled together."""
    names = list(statistics["analysis"].values)
    if REFERENCE not in names:
        return xr.Dataset()
    metrics = ["rmse", "crps"]
    whole = drawn[[ensemble.METRICS.index(m) for m in metrics], :, :, list(statistics["region"].values).index(WHOLE)]
    ratio = whole / whole[:, :, [names.index(REFERENCE)]]  # (metric, R + 1, analysis, channel)
    lower, upper = significance.interval(ratio[:, 1:].swapaxes(0, 1), settings.confidence)
    dimensions = ("compared", "analysis", "channel")
    return xr.Dataset(
        {"ratio": (dimensions, ratio[:, 0]), "ratio_lower": (dimensions, lower), "ratio_upper": (dimensions, upper)},
        coords={"compared": metrics},
    )


def _explain(result: xr.Dataset) -> None:
    result["score"].attrs["comment"] = (
        "rmse, bias, crps and spread in the channel's units; acc and spread_skill without"
    )
    result["scale"].attrs["comment"] = "standard deviation of departures from the climatology in training, by channel"
    result["ratio"].attrs["comment"] = f"score relative to {REFERENCE}, below 1 is better"
