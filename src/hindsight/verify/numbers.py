"""The report's tables of scores: a column a network and channel."""

import math

import xarray as xr

from hindsight.scores import significance
from hindsight.verify import style

METRICS = {
    "rmse": "RMSE",
    "bias": "bias",
    "crps": "CRPS",
    "spread": "spread",
    "acc": "anomaly correlation, mean of each time's (WeatherBench 2)",
    "acc_pooled": "anomaly correlation, pooled over time",
    "spread_skill": "spread/skill",
}
PURE = ("acc", "acc_pooled", "spread_skill")  # without a unit
NONE = "no interval"  # where a season or a region has too few frames


def scores_by_metric(scores: xr.Dataset) -> list[dict]:
    """Every score with its interval: a group of rows a metric, in it a row an analysis, best CRPS first."""
    order = scores["score"].sel(metric="crps").mean(["network", "channel"]).argsort().values
    return [
        {
            "name": METRICS[metric],
            "pure": metric in PURE,
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
    ]


def ratios(scores: xr.Dataset) -> list[dict]:
    """How much better or worse diffusion is than the reference, whole and by season; nothing without a reference."""
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


def headline(scores: xr.Dataset) -> list[str]:
    """A sentence on how diffusion compares with the reference in CRPS; none without a reference."""
    if "ratio" not in scores:
        return []
    part = scores.sel(compared="crps", analysis="diffusion")
    networks = [
        f"{name} "
        + ", ".join(f"{percent_change(one, 'ratio')['text']} ({one['channel'].values})" for one in _columns(row))
        for name, row in ((str(name), part.sel(network=[name])) for name in part["network"].values)
    ]
    return [f"CRPS of diffusion relative to {style.readable(scores.attrs['reference'])}: {'; '.join(networks)}"]


def interval_note(scores: xr.Dataset, confidence: float) -> str:
    """What the intervals are, or why there is none."""
    if bool(scores["lower"].isnull().all()):
        return f"none: they need {significance.LEAST_FRAMES} frames that are scored"
    return (
        f"{100 * confidence:g} %, from how each score varies from one part of the period to another: the fewer frames "
        "there are, and the more alike in time, the wider; none from fewer than "
        f"{significance.LEAST_FRAMES} frames"
    )


def percent_change(one: xr.Dataset, name: str) -> dict:
    """A ratio as a change in percent with its interval, and whether that is for certain good or bad."""
    value, low, high = (100 * (float(one[key]) - 1) for key in (name, f"{name}_lower", f"{name}_upper"))
    tone = "good" if high < 0 else "bad" if low > 0 else ""
    known = not math.isnan(high - low)
    return {
        "text": style.with_minus_sign(f"{value:+.1f} %"),
        "range": style.with_minus_sign(f"{low:+.1f} to {high:+.1f}") if known else NONE,
        "tone": tone,
    }


def format_score(value: float, low: float, high: float) -> dict:
    """A score and its interval as text, to two digits of the interval's width, or to three digits of its own."""
    width = high - low
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
