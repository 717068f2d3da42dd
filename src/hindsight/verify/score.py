"""Scores with confidence intervals, from the statistics of every network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.fields import store
from hindsight.scores import ensemble, seams, seasons, significance
from hindsight.settings import Domain, Verify
from hindsight.settings.lexicon import CHANNELS
from hindsight.verify import event_scores
from hindsight.verify.against import Against
from hindsight.verify.compare import OF_REFERENCE

BASELINE = "optimal_interpolation"  # analysis that `ratio` is relative to
COMPARED = ["rmse", "crps"]
WITHHELD_METRICS = ["rmse", "bias", "crps"]  # of a reference at withheld observations


def run(domain: Domain, settings: Verify, *, statistics: list[Path], normalisation: Path, scores: Path) -> None:
    """Compute scores with confidence intervals from the statistics of every network."""
    networks = [network_scores(xr.load_dataset(path), settings).expand_dims(network=[path.stem]) for path in statistics]
    result = join_networks(networks)
    result["scale"] = xr.load_dataset(normalisation)["spread"]
    result = result.assign_coords(units=("channel", [CHANNELS[name].units for name in domain.channels]))
    result.attrs = {
        "confidence": settings.confidence,
        "baseline": BASELINE,
        "period": f"{domain.test.start:%Y-%m-%d} to {domain.test.end:%Y-%m-%d}",
        **{name: networks[0].attrs[name] for name in ("members", "antithetic")},
        **Against.of(networks[0]).attributes,
    }
    _explain(result)
    if xr.load_dataset(normalisation).attrs.get("transforms"):
        result["scale"].attrs["comment"] += "; of the logarithm where preprocess.transforms has the channel"
    store.replace(scores, lambda partial: result.to_netcdf(partial))


def join_networks(networks: list[xr.Dataset]) -> xr.Dataset:
    """Scores of all networks, NaN where a network lacks a region (such as withheld observations)."""
    regions = list(dict.fromkeys(str(name) for one in networks for name in one["region"].values))
    # names as objects: as fixed-length strings they would be cut to the length of another network's
    as_objects = [one.assign_coords(region=one["region"].astype(object)) for one in networks]
    return xr.concat([one.reindex(region=regions) for one in as_objects], "network")


def network_scores(statistics: xr.Dataset, settings: Verify) -> xr.Dataset:
    """Scores of one network.

    Args:
        statistics: from `verify.compare`.
        settings: for the confidence of the intervals.

    Returns:
        `score`, `lower`, `upper` (analysis, metric, channel); the same by region, by season and by distance to the
        stations; `ratio` to the baseline with its own interval, in which common errors cancel, for the whole period
        and by season; transitions at seams relative to others; rank histograms, maps and spectra; scores of a
        reference at withheld observations.
    """
    about = {name: int(statistics.attrs[name]) for name in ("members", "antithetic")}
    weighted = _weighted_scores(statistics)  # (metric, weighting, analysis, region, channel)
    dimensions = ("metric", "analysis", "region", "channel")
    coords = {"metric": list(ensemble.METRICS), "compared": COMPARED} | {d: statistics[d] for d in dimensions[1:]}
    data = _estimates("regional_{}", dimensions, weighted, ensemble.METRICS, settings.confidence)
    against, regions = Against.of(statistics), list(statistics["region"].values)
    main = np.full_like(weighted[:, :, :, 0], np.nan)
    if against.region in regions:
        main = weighted[:, :, :, regions.index(against.region)]
    data |= _ratios("ratio", main, statistics, settings)
    data |= scores_by_distance(statistics, settings.confidence)
    data |= scores_of_reference(statistics, settings.confidence)
    result = xr.Dataset(data, coords=coords)
    main_region = _main_region(result.assign_attrs(against.attributes))
    for name in ("score", "lower", "upper"):
        result[name] = main_region[f"regional_{name}"]
    others = seasonal_scores(statistics, settings), seam_ratios(statistics, settings)
    for other in (*others, event_scores.scores(statistics, settings.confidence)):
        result = result.merge(other)
    count = statistics["count"]
    result["rank_histogram"] = statistics["rank"].mean("time")
    if "withheld_rank" in statistics and not against.is_truth:
        result["withheld_rank_histogram"] = statistics["withheld_rank"].mean("time")
    result["rmse_map"] = np.sqrt(statistics["sum_squared_error"] / count)
    result["spread_map"] = np.sqrt(statistics["sum_variance"] / count)
    result["power"] = statistics["sum_power"] / count
    result["kind"] = _renamed(statistics["kind"].values, statistics)
    if against.is_none:
        result = result.drop_vars(["rank_histogram", "rmse_map"]).sel(kind=["mean", "member"])
    return result.transpose("analysis", "metric", ...).assign_attrs(**about, **against.attributes)


def _main_region(values: xr.Dataset) -> xr.Dataset:
    """The values of the region that the main scores are of, NaN if it was not scored."""
    return values.reindex(region=[Against.of(values).region]).isel(region=0, drop=True)


def seasonal_scores(statistics: xr.Dataset, settings: Verify) -> xr.Dataset:
    """Scores of the main region and their ratios to the baseline in every season with enough days."""
    whole, parts = _main_region(statistics), []
    coords = {"metric": list(ensemble.METRICS), "compared": COMPARED}
    coords |= {d: statistics[d] for d in ("analysis", "channel")}
    for name, inside in seasons.by_season(statistics["time"].values).items():
        weighted = _weighted_scores(whole.isel(time=inside))
        data = _estimates(
            "seasonal_{}", ("metric", "analysis", "channel"), weighted, ensemble.METRICS, settings.confidence
        )
        data |= _ratios("seasonal_ratio", weighted, statistics, settings)
        parts.append(xr.Dataset(data, coords=coords).expand_dims(season=[name]))
    return xr.concat(parts, "season") if parts else xr.Dataset()


def scores_by_distance(statistics: xr.Dataset, confidence: float) -> dict:
    """RMSE of the ensemble mean, and spread, by distance to the nearest station used."""
    weighted = [
        np.sqrt(significance.weighted_means(statistics[f"distance_{name}"].transpose("time", ...).values))
        for name in ("squared_error", "variance")
    ]
    order = statistics["distance_variance"].transpose("time", ...).dims[1:]
    found = _estimates("distance_{}", ("quantity", *order), np.stack(weighted), ("rmse", "spread"), confidence)
    return found | {"quantity": ["rmse", "spread"], "distance_edge": statistics["distance_edge"]}


def scores_of_reference(statistics: xr.Dataset, confidence: float) -> dict:
    """RMSE, bias and CRPS of the reference itself at withheld observations; empty without a reference or without any.

    The CRPS of a single value is its mean absolute departure.
    """
    if f"reference_{OF_REFERENCE[0]}" not in statistics:
        return {}
    series = [statistics[f"reference_{name}"].transpose("time", "channel").values for name in OF_REFERENCE]
    square, mean, absolute = map(significance.weighted_means, series)
    weighted = np.stack([np.sqrt(square), mean, absolute])
    found = _estimates("reference_{}", ("withheld_metric", "channel"), weighted, WITHHELD_METRICS, confidence)
    return found | {"withheld_metric": WITHHELD_METRICS}


def seam_ratios(statistics: xr.Dataset, settings: Verify) -> xr.Dataset:
    """Measures of the transitions at seams relative to those inside shards, and the range of that ratio by chance.

    There are too few seams to estimate how they vary. So the range is that of equally many transitions drawn at random
    from inside the shards. A ratio outside of it means a visible seam.
    """
    against = Against.of(statistics)
    measures = [name for name in seams.MEASURES if not (against.is_none and "truth" in name)]
    parts, generator = [], np.random.Generator(np.random.Philox(settings.seed))
    for name in statistics["analysis"].values:
        one = statistics.sel(analysis=name)
        transition = {s: one[f"transition_{s}"].transpose("time", "channel").values for s in seams.SERIES}
        seam = one["seam"].values == 1
        known = [series for name, series in transition.items() if not (against.is_none and name == "truth")]
        finite = np.all([np.isfinite(series).all(1) for series in known], 0)
        across, inside = np.flatnonzero(finite & seam), np.flatnonzero(finite & ~seam)
        if not across.size or not inside.size:
            return xr.Dataset()
        at_random = generator.choice(inside, (settings.resamples, across.size))
        at_seams, chance, usual = (_measures(transition, where, measures) for where in (across, at_random, inside))
        with np.errstate(invalid="ignore", divide="ignore"):
            lower, upper = significance.central_range(chance / usual, settings.confidence)
            ratio = at_seams / usual
        data = {"seam_ratio": ratio, "seam_lower": lower, "seam_upper": upper, "seam_inside": usual}
        part = xr.Dataset({key: (("measure", "channel"), value) for key, value in data.items()})
        coords = {"measure": _renamed(measures, statistics), "channel": one["channel"]}
        parts.append(part.assign(seams=across.size).assign_coords(coords))
    return xr.concat(parts, statistics["analysis"])


def _renamed(names: Sequence[str], statistics: xr.Dataset) -> list[str]:
    """Names with `reference` in place of `truth`, if the fields are a reference."""
    return [str(name).replace("truth", Against.of(statistics).kind) for name in names]


def _measures(transition: dict[str, np.ndarray], where: np.ndarray, names: list[str]) -> np.ndarray:
    """Measures of the mean over some transitions (…, N); (…, measure, channel)."""
    found = seams.measures({name: series[where].mean(-2) for name, series in transition.items()})
    return np.stack([found[name] for name in names], -2)


def _weighted_scores(statistics: xr.Dataset) -> np.ndarray:
    """Every metric under each of `significance.wave_weights`; (metric, weighting, analysis, …, channel)."""
    order = [d for d in ("time", "analysis", "region", "channel") if d in statistics["error"].dims]
    means = {
        name: significance.weighted_means(statistics[name].transpose(*order).values) for name in ensemble.STATISTICS
    }
    found = ensemble.scores(means)
    return np.stack([found[metric] for metric in ensemble.METRICS])


def _estimates(name: str, dimensions: tuple, weighted: np.ndarray, metrics: Sequence[str], confidence: float) -> dict:
    """Scores and their intervals, from scores of weighted frames (metric, weighting, …)."""
    scales = [ensemble.SCALES.get(metric, "log") for metric in metrics]
    limits = [significance.interval(one, confidence, scale) for one, scale in zip(weighted, scales)]
    lower, upper = np.stack(limits, 1)
    return {
        name.format("score"): (dimensions, weighted[:, 0]),
        name.format("lower"): (dimensions, lower),
        name.format("upper"): (dimensions, upper),
    }


def _ratios(name: str, weighted: np.ndarray, statistics: xr.Dataset, settings: Verify) -> dict:
    """RMSE and CRPS relative to the baseline under the same weights; (metric, weighting, analysis, channel)."""
    names = list(statistics["analysis"].values)
    if BASELINE not in names:
        return {}
    chosen = weighted[[ensemble.METRICS.index(m) for m in COMPARED]]
    ratio = chosen / chosen[:, :, [names.index(BASELINE)]]
    found = _estimates(f"{name}_{{}}", ("compared", "analysis", "channel"), ratio, COMPARED, settings.confidence)
    return {key.removesuffix("_score"): value for key, value in found.items()}


def _explain(result: xr.Dataset) -> None:
    comments = {
        "lower": "NaN if there are too few frames for an interval",
        "score": "rmse, bias, crps and spread in the channel's units; the others without. acc: "
        "time mean of the anomaly correlation of each frame; acc_pooled: of all frames together",
        "scale": "standard deviation of departures from the climatology in training, by channel",
        "ratio": f"score relative to {BASELINE}, below 1 is better",
        "reference_score": "of the fields compared with, at withheld observations; crps: mean absolute departure",
        "distance_score": "by distance to the nearest station used, in bins of equal width",
        "distance_edge": "edges of the bins of distance, km",
        "seam_ratio": "at the edges of shards relative to inside them; outside of the interval: a visible seam",
    }
    for name in comments.keys() & set(result):
        result[name].attrs["comment"] = comments[name]
