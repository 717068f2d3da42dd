"""The report's headline and its tables of scores."""

import math

import xarray as xr

from hindsight.scores import significance
from hindsight.settings.units import readable_units
from hindsight.verify import style
from hindsight.verify.against import Against
from hindsight.verify.regions import WITHHELD

METRICS = {
    "rmse": "RMSE",
    "bias": "bias",
    "crps": "CRPS",
    "spread": "spread",
    "acc": "anomaly correlation, mean over frames (WeatherBench 2)",
    "acc_pooled": "anomaly correlation, pooled over time",
    "spread_skill": "spread/skill",
}
DIMENSIONLESS = ("acc", "acc_pooled", "spread_skill")  # dimensionless
NONE = "no interval"  # too few frames


def scores_by_metric(scores: xr.Dataset) -> list[dict]:
    """Every score with its interval: a group of rows for each metric, a row for each analysis, best CRPS first.

    A metric without any value is left out.
    """
    order = scores["score"].sel(metric="crps").mean(["network", "channel"]).argsort().values
    return [
        {
            "name": METRICS[metric],
            "dimensionless": metric in DIMENSIONLESS,
            "rows": [
                {
                    "name": style.readable(name),
                    "values": [
                        format_score(*(float(one[key]) for key in ("score", "lower", "upper")))
                        for one in _columns(scores.sel(analysis=name, metric=metric))
                    ],
                }
                for name in scores["analysis"].values[order]
            ],
        }
        for metric in METRICS
        if bool(scores["score"].sel(metric=metric).notnull().any())
    ]


def scores_at_withheld(scores: xr.Dataset) -> list[dict]:
    """RMSE, bias and CRPS at withheld observations, of every analysis and last of the reference; empty without one."""
    if "reference_score" not in scores:
        return []
    place = scores.sel(region=WITHHELD)
    found = scores_by_metric(place.assign({key: place[f"regional_{key}"] for key in ("score", "lower", "upper")}))
    name, metrics = Against.of(scores).label, {METRICS[m]: m for m in scores["withheld_metric"].values}
    return [
        group | {"rows": [*group["rows"], {"name": name, "values": _of_reference(scores, metrics[group["name"]])}]}
        for group in found
        if group["name"] in metrics
    ]


def _of_reference(scores: xr.Dataset, metric: str) -> list[dict]:
    return [
        format_score(*(float(one[f"reference_{key}"]) for key in ("score", "lower", "upper")))
        for one in _columns(scores.sel(withheld_metric=metric))
    ]


def ratios(scores: xr.Dataset) -> list[dict]:
    """Scores of diffusion relative to the baseline, for the whole period and by season; empty without a baseline."""
    if "ratio" not in scores:
        return []
    groups = []
    for metric in scores["compared"].values:
        part = scores.sel(compared=metric, analysis="diffusion")
        rows = [{"name": "whole period", "values": [percent_change(one, "ratio") for one in _columns(part)]}]
        for season in scores["season"].values if "season" in scores.coords else []:
            values = [percent_change(one, "seasonal_ratio") for one in _columns(part.sel(season=season))]
            rows.append({"name": str(season), "values": values})
        groups.append({"name": METRICS[str(metric)], "rows": rows})
    return groups


def headline_channel(scores: xr.Dataset, channel: str) -> str:
    """A channel for the headline: the given one, or the first one with scores if it has none."""
    scored = scores["score"].sel(metric="crps", analysis="diffusion").notnull().any("network")
    names = scores["channel"].values[scored.values].tolist()
    return channel if channel in names or not names else names[0]


def headline(scores: xr.Dataset, channel: str) -> list[dict]:
    """The main figure of each network: CRPS of a channel relative to the baseline, with its interval.

    Without a baseline, it is the CRPS itself.
    """
    parts = [scores.sel(network=name, channel=channel, analysis="diffusion") for name in scores["network"].values]
    scored = [part for part in parts if bool(part["score"].sel(metric="crps").notnull())]
    return [_headline(part, scores.attrs) for part in scored]


def _headline(part: xr.Dataset, attributes: dict) -> dict:
    what = f"CRPS of {part['channel'].values}"
    if Against.of(part).is_none:
        what = f"{what} at withheld observations"
    if "ratio" in part:
        figure = percent_change(part.sel(compared="crps"), "ratio")
        what, unit = f"{what} relative to {style.readable(attributes['baseline'])} (negative is better)", " %"
    else:
        one = part.sel(metric="crps")
        figure = format_score(*(float(one[key]) for key in ("score", "lower", "upper")))
        unit = f" {readable_units(style.CHANNELS[str(part['channel'].values)].units)}".rstrip()
        figure["text"] += unit
    interval = figure["range"]
    if interval != NONE:
        interval = f"{100 * attributes['confidence']:g} % interval {interval}{unit}"
    return figure | {"label": f"{what}, network {part['network'].values}; {interval}"}


def interval_note(scores: xr.Dataset, confidence: float) -> str:
    """A note on the confidence intervals, or on why there are none."""
    if bool(scores["lower"].isnull().all()):
        return f"none: they need {significance.LEAST_FRAMES} scored frames"
    return (
        f"{100 * confidence:g} %, from the variation of each score over the period: wider for fewer frames, and for "
        f"frames that are correlated in time; none for fewer than {significance.LEAST_FRAMES} frames"
    )


def percent_change(one: xr.Dataset, name: str) -> dict:
    """A ratio as a change in percent with its interval, marked good or bad if the interval excludes zero."""
    value, low, high = (100 * (float(one[key]) - 1) for key in (name, f"{name}_lower", f"{name}_upper"))
    if math.isnan(value):
        return {"text": "–", "range": "", "tone": ""}
    tone = "good" if high < 0 else "bad" if low > 0 else ""
    known = not math.isnan(high - low)
    return {
        "text": style.with_minus_sign(f"{value:+.1f} %"),
        "range": style.with_minus_sign(f"{low:+.1f} to {high:+.1f}") if known else NONE,
        "tone": tone,
    }


def format_score(value: float, low: float, high: float) -> dict:
    """A score and its interval, to two digits of the interval's width, or to three digits without an interval."""
    width = high - low
    if math.isnan(value):
        return {"text": "–", "range": "", "tone": ""}
    if math.isnan(width):
        return {"text": style.with_minus_sign(f"{value:.3g}"), "range": NONE, "tone": ""}
    digits = max(0, 1 - math.floor(math.log10(width))) if width > 0 else 3
    return {
        "text": style.with_minus_sign(f"{value:.{digits}f}"),
        "range": style.with_minus_sign(f"{low:.{digits}f} to {high:.{digits}f}"),
        "tone": "",
    }


def _columns(scores: xr.Dataset) -> list[xr.Dataset]:
    return [scores.sel(network=n, channel=c) for n in scores["network"].values for c in scores["channel"].values]
