"""Curves and bars of the report, with colours safe for colour-blind readers and a unit on every axis."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.pyplot import Axes

from hindsight.fields.grid import Grid
from hindsight.verify import style
from hindsight.verify.against import Against
from hindsight.verify.compare import WITHHELD
from hindsight.verify.excerpts import Series


def seam_rows(against: Against) -> dict[str, str]:
    """The measures of seams, and how they are called in the figure."""
    rows = {
        against.kind: f"change of {against.named}",
        "members": "change of members",
        "mean": "change of the mean",
        f"members_to_{against.kind}": f"members / {against.label}",
        f"mean_to_{against.kind}": f"mean / {against.label}",
        "correlation": "lag-1 correlation",
        "spread": "jump of the spread",
    }
    return {key: text for key, text in rows.items() if not (against.is_none and key.endswith(against.kind))}


def scores_by_region(scores: xr.Dataset, metric: str) -> Figure:
    """A score by region and by season with its intervals, one row per network and one column per channel.

    A region that is not scored for a network (for example without withheld observations) has no line. A reference has a
    black mark at withheld observations.
    """
    times = [str(name) for name in scores["season"].values] if "season" in scores.coords else []
    row = 0.28 * max(1.0, scores.sizes["analysis"] / 4)
    height = row * (scores.sizes["region"] + len(times)) + 1.2
    figure, axes = style.panels(scores.sizes["network"], scores.sizes["channel"], height)
    for axis, part in style.cells(axes, scores.sel(metric=metric)):
        part = part.dropna("region", how="all", subset=["regional_score"])
        places = [str(name) for name in part["region"].values]
        at = np.array([*range(len(places)), *(k + 0.6 for k in range(len(places), len(places + times)))])
        for shift, name in _shifts([n for n in scores["analysis"].values if n != "climatology"]):
            one = part.sel(analysis=name)
            value, low, high = (
                np.concatenate([one[f"regional_{key}"].values, one[f"seasonal_{key}"].values if times else []])
                for key in ("score", "lower", "upper")
            )
            reach = np.maximum(np.stack([value - low, high - value]), 0)
            marks = {"color": style.colour(name), "markersize": 4, "elinewidth": 1.4, "label": style.readable(name)}
            axis.errorbar(value, at + shift, xerr=reach, fmt="o", **marks)
        if metric in part.get("withheld_metric", ()) and WITHHELD in places:
            _mark_reference(axis, part.sel(withheld_metric=metric), places.index(WITHHELD), Against.of(scores).label)
        axis.set_yticks(at, places + times if axis in axes[:, 0] else [""] * len(at))
        axis.set(xlim=(0, None), ylim=(at[-1] + 0.6, -0.6))
        axis.set_xlabel(f"{metric.upper()}, {style.label(str(part['channel'].values))}")
        axis.grid(axis="x", color="#e4e4e4", linewidth=0.6)
    style.legend(axes)
    return figure


def _mark_reference(axis: Axes, part: xr.Dataset, at: int, label: str) -> None:
    """A reference's own score with its interval, below those of the analyses."""
    value, low, high = (float(part[f"reference_{key}"]) for key in ("score", "lower", "upper"))
    reach = np.maximum([[value - low], [high - value]], 0)
    marks = {"color": "black", "markersize": 4, "elinewidth": 1.4, "label": label}
    axis.errorbar([value], [at + 0.4], xerr=reach, fmt="D", **marks)


def distances(scores: xr.Dataset) -> Figure:
    """RMSE of the mean, with intervals, and spread by distance to the nearest station used."""
    figure, axes = style.panels(scores.sizes["network"], scores.sizes["channel"], 2.4)
    for axis, part in style.cells(axes, scores):
        edges = part["distance_edge"].values
        middle, width = (edges[1:] + edges[:-1]) / 2, edges[1]
        for shift, name in _shifts([n for n in scores["analysis"].values if n != "climatology"]):
            value, low, high = (
                part[f"distance_{k}"].sel(analysis=name, quantity="rmse").values for k in ("score", "lower", "upper")
            )
            at, look = middle + 0.4 * shift * width, {"color": style.colour(name)}
            reach = np.maximum(np.stack([value - low, high - value]), 0)
            if np.isfinite(value).any():
                axis.errorbar(
                    at, value, reach, fmt="o-", markersize=3.5, linewidth=1, **look, label=style.readable(name)
                )
            spread = part["distance_score"].sel(analysis=name, quantity="spread").values
            axis.plot(at, spread, linestyle="--", linewidth=1, **look, label=f"{style.readable(name)}, spread")
        axis.set(xlim=(0, None), ylim=(0, None), xlabel="km to the nearest station used")
        axis.set_ylabel(style.label(str(part["channel"].values)))
    style.legend(axes)
    return figure


def rank_histograms(scores: xr.Dataset, at_withheld: bool = False) -> Figure:
    """Rank histograms, flat for a calibrated ensemble; of the fields, or of withheld observations."""
    found = scores["withheld_rank_histogram" if at_withheld else "rank_histogram"]
    below = "the observation" if at_withheld else Against.of(scores).named
    figure, axes = style.panels(scores.sizes["network"], scores.sizes["channel"], 2.1)
    for axis, part in style.cells(axes, found.to_dataset(name="frequency")):
        for name in scores["analysis"].values:
            values = part["frequency"].sel(analysis=name).values * scores.sizes["rank"]
            axis.step(np.arange(len(values)), values, where="mid", color=style.colour(name), label=style.readable(name))
        axis.axhline(1, color="black", linewidth=0.7, linestyle=":")
        axis.set(ylim=(0, None), xlabel=f"members below {below}")
        axis.xaxis.get_major_locator().set_params(integer=True)  # ty: ignore[unknown-argument]
    for axis in axes[:, 0]:
        axis.set_ylabel("frequency / uniform")
    style.legend(axes)
    return figure


def power_spectra(scores: xr.Dataset, grid: Grid) -> Figure:
    """Zonal power of departures from the climatology: truth or reference, and mean and one member of each analysis."""
    against = Against.of(scores)
    figure, axes = style.panels(scores.sizes["network"], scores.sizes["channel"], 2.6)
    degrees = np.ptp(grid.cell_edges[1])
    waves = "zonal wavenumber" if grid.periodic else f"waves in {degrees:g}° of longitude"
    for axis, part in style.cells(axes, scores):
        one = part["power"].isel(wavenumber=slice(1, None))
        number = np.arange(1, one.sizes["wavenumber"] + 1)
        if not against.is_none:
            compared_with = one.sel(kind=against.kind).isel(analysis=0)
            axis.loglog(number, compared_with, color="black", linewidth=1.6, label=against.label)
        for name in scores["analysis"].values:
            if name != "climatology":
                look = {"color": style.colour(name), "linewidth": 1.2}
                text = style.readable(name)
                axis.loglog(number, one.sel(kind="mean", analysis=name), **look, label=f"{text}, mean")
                axis.loglog(
                    number, one.sel(kind="member", analysis=name), **look, linestyle=":", label=f"{text}, a member"
                )
        channel = str(part["channel"].values)
        axis.set(xlabel=waves, ylabel=style.label(channel, squared=True))
        axis.set_xticks([n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500) if n <= number[-1]])
        axis.minorticks_off()
        axis.xaxis.set_major_formatter("{x:g}")
    style.legend(axes)
    return figure


def time_series(
    times: np.ndarray, places: list[Series], channels: list[str], network: str, label: str = "truth"
) -> Figure:
    """Truth, ensemble mean, central 90 % of the members, and observations with their error.

    `label` names the truth, if it is a reference; empty: there is none.
    """
    size = style.WIDTH, 1.9 * len(channels)
    figure, axes = style.plt.subplots(
        len(channels), len(places), figsize=size, squeeze=False, sharex=True, sharey="row"
    )
    blue = style.colour("diffusion")
    for row, channel in zip(range(len(channels)), channels):
        axes[row, 0].set_ylabel(style.label(channel))
        for axis, one in zip(axes[row], places):
            low, high = np.quantile(one.members[..., row], [0.05, 0.95], axis=0)
            axis.fill_between(times, low, high, color=blue, alpha=0.3, linewidth=0, label="90 % of members")
            axis.plot(times, one.members[..., row].mean(0), color=blue, linewidth=1.1, label="analysis, mean")
            if label:
                axis.plot(times, one.truth[:, row], color="black", linewidth=0.9, label=label)
            observed = one.observations[one.observations["channel"] == channel]
            dots = {"markersize": 3, "elinewidth": 0.8, "color": "#D55E00" if one.withheld else "#009E73"}
            name = "observation, withheld" if one.withheld else "observation, used"
            axis.errorbar(observed["time"], observed["value"], observed["error"], fmt="o", zorder=1, **dots, label=name)
    for axis, one in zip(axes[0], places):
        kind = "withheld" if one.withheld else "used"
        axis.set_title(f"{network}: {kind} station, {style.format_place(one.latitude, one.longitude)}")
    for axis in axes[-1]:
        axis.xaxis.set_major_formatter(ConciseDateFormatter(axis.xaxis.get_major_locator()))
    style.legend(axes[:1].T)
    return figure


def seam_ratios(scores: xr.Dataset) -> Figure:
    """Ratios of changes at edges of shards to those inside, with their range by chance; orange if outside of it."""
    figure, axes = style.panels(scores.sizes["network"], scores.sizes["channel"], 2.5)
    against = Against.of(scores)
    rows = seam_rows(against)
    at = np.arange(len(rows))
    for axis, part in style.cells(axes, scores.sel(analysis="diffusion", measure=list(rows))):
        value, low, high = (part[f"seam_{key}"].values for key in ("ratio", "lower", "upper"))
        axis.use_sticky_edges = False
        axis.barh(at, high - low, 0.5, left=low, color="#d9dde2")
        axis.axvline(1, color="black", linewidth=0.7, linestyle=":")
        outside = (value < low) | (value > high)
        shades = np.where(outside, "#D55E00", style.colour("diffusion"))
        if not against.is_none:
            shades[0] = "black"  # what is compared with has no seam; it is shown for comparison
        axis.scatter(value, at, 18, shades, zorder=3)
        axis.set_yticks(at, rows.values() if axis in axes[:, 0] else [""] * len(at))
        axis.set(ylim=(at[-1] + 0.5, -0.5), xlabel="at seams / inside shards")
        axis.margins(x=0.1)
    return figure


def learning_curve(curve: pd.DataFrame) -> Figure:
    """Validation error of the denoiser relative to the linear prior, by noise level."""
    figure, axes = style.panels(1, 1, 3.0)
    axis, levels = axes[0, 0], [name for name in curve if name.startswith("sigma_")]
    for name, tone in zip(levels, style.plt.get_cmap("viridis")(np.linspace(0, 0.9, len(levels)))):
        axis.plot(curve["step"], curve[name] / curve[name].iloc[0], color=tone, label=name.replace("sigma_", "noise "))
    axis.axhline(1, color="black", linewidth=0.7, linestyle=":")
    axis.set(xlabel="optimiser steps", ylabel="error / linear prior's")
    axis.legend()
    return figure


def _shifts(names: list[str]) -> list[tuple[float, str]]:
    """Shifts that separate the marks of analyses, however many, from each other and from those of other rows."""
    step = min(0.26, 0.72 / max(len(names) - 1, 1))
    return [(step * (k - (len(names) - 1) / 2), name) for k, name in enumerate(names)]
