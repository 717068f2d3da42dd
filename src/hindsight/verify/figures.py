"""The pictures of the report. Colours are safe for colour-blind readers; every axis has its unit."""

import base64
import io

import matplotlib
import numpy as np
import pandas as pd
import xarray as xr

from hindsight.fields.grid import Grid
from hindsight.settings.lexicon import CHANNELS

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

COLOUR = {"diffusion": "#0072B2", "optimal_interpolation": "#D55E00", "climatology": "#7F7F7F", "truth": "#000000"}
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "hindsight",
    "legend.frameon": False,
}
plt.rcParams.update(STYLE)


def embedded(figure: Figure) -> str:
    """A figure as a PNG in a data URI."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def colour(name: str) -> str:
    """The colour of an analysis, the same in every picture."""
    return COLOUR.get(name, "#009E73")


def label(channel: str) -> str:
    """A channel with its unit."""
    return f"{channel} ({CHANNELS[channel].units})"


def north(latitude: float) -> str:
    """A latitude as people write it."""
    return f"{abs(latitude):g}°{'S' if latitude < 0 else 'N'}"


def east(longitude: float) -> str:
    """A longitude as people write it."""
    turned = (longitude + 180) % 360 - 180
    return f"{abs(turned):g}°{'W' if turned < 0 else 'E'}"


def analysis_maps(
    truth: np.ndarray,
    members: np.ndarray,
    channels: list[str],
    grid: Grid,
    stations: pd.DataFrame,
    coast: list[np.ndarray],
) -> Figure:
    """Truth, analysis, error and spread of one frame, a row a channel, the stations drawn.

    Args:
        truth: (C, H, W).
        members: (E, C, H, W).
        channels: names.
        grid: where.
        stations: latitude, longitude, withheld.
        coast: lines of longitude and latitude.
    """
    figure, axes = plt.subplots(len(channels), 4, figsize=(11.5, 2.55 * len(channels)), squeeze=False)
    for row, channel in zip(range(len(channels)), channels):
        mean, spread = members[:, row].mean(0), members[:, row].std(0, ddof=1)
        error = mean - truth[row]
        span = {"vmin": min(truth[row].min(), mean.min()), "vmax": max(truth[row].max(), mean.max())}
        most = max(np.abs(error).max(), spread.max())
        panels = [
            ("truth", truth[row], "viridis", span),
            ("analysis, mean", mean, "viridis", span),
            ("analysis - truth", error, "RdBu_r", {"vmin": -most, "vmax": most}),
            ("spread", spread, "cividis", {"vmin": 0, "vmax": most}),
        ]
        for axis, (title, values, colours, limits) in zip(axes[row], panels):
            mesh = world_map(axis, values, grid, coast, cmap=colours, **limits)
            figure.colorbar(mesh, ax=axis, shrink=0.85, pad=0.02)
            axis.set_title(f"{label(channel)}: {title}")
        used = stations[~stations["withheld"]]
        axes[row, 1].plot(
            used["longitude"],
            used["latitude"],
            ".",
            color="white",
            markersize=4,
            markeredgecolor="black",
            markeredgewidth=0.4,
        )
    return figure


def world_map(axis: plt.Axes, values: np.ndarray, grid: Grid, coast: list[np.ndarray], **style: object) -> object:
    """Colours on longitudes and latitudes, with coastlines."""
    mesh = axis.pcolormesh(grid.longitude, grid.latitude, values, shading="nearest", rasterized=True, **style)
    first, last = grid.longitude[0], grid.longitude[-1]
    for turn in (-360, 0, 360):
        for line in coast:
            if line[:, 0].max() + turn >= first and line[:, 0].min() + turn <= last:
                axis.plot(line[:, 0] + turn, line[:, 1], color="black", linewidth=0.5)
    axis.set(xlim=(first, last), ylim=(grid.latitude[0], grid.latitude[-1]))
    axis.set_aspect(1 / max(np.cos(np.deg2rad(grid.latitude.mean())), 0.2))
    axis.xaxis.set_major_formatter(lambda v, _: east(v))
    axis.yaxis.set_major_formatter(lambda v, _: north(v))
    axis.tick_params(labelsize=7)
    return mesh


def skill_bars(scores: xr.Dataset, metric: str) -> Figure:
    """A score by region, with its intervals: a row a network, a column a channel."""
    networks, channels = scores["network"].values, scores["channel"].values
    figure, axes = plt.subplots(len(networks), len(channels), figsize=(11.5, 2.6 * len(networks)), squeeze=False)
    shown = [name for name in scores["analysis"].values if name != "climatology"]
    for row, network in enumerate(networks):
        for column, channel in enumerate(channels):
            part = scores.sel(network=network, channel=channel, metric=metric)
            axis, places = axes[row, column], np.arange(scores.sizes["region"])
            for k, name in enumerate(shown):
                one = part.sel(analysis=name)
                value = one["regional_score"].values
                reach = np.abs(np.stack([one["regional_lower"].values, one["regional_upper"].values]) - value)
                axis.errorbar(
                    places + 0.22 * (k - (len(shown) - 1) / 2),
                    value,
                    reach,
                    fmt="o",
                    markersize=4,
                    capsize=2,
                    color=colour(name),
                    label=name.replace("_", " "),
                )
            axis.set_xticks(places, [str(r).replace(" ", "\n") for r in scores["region"].values], fontsize=7)
            axis.set_title(f"{network}: {metric} of {label(channel)}")
            axis.set_ylim(bottom=0)
    axes[0, 0].legend(fontsize=7)
    return figure


def rank_histograms(scores: xr.Dataset) -> Figure:
    """Rank histograms: flat where the ensemble knows how wrong it is."""
    networks, channels = scores["network"].values, scores["channel"].values
    figure, axes = plt.subplots(len(networks), len(channels), figsize=(11.5, 2.1 * len(networks)), squeeze=False)
    flat = 1 / scores.sizes["rank"]
    for row, network in enumerate(networks):
        for column, channel in enumerate(channels):
            axis = axes[row, column]
            for name in scores["analysis"].values:
                values = scores["rank_histogram"].sel(network=network, analysis=name, channel=channel).values
                axis.step(
                    np.arange(len(values)), values / flat, where="mid", color=colour(name), label=name.replace("_", " ")
                )
            axis.axhline(1, color="black", linewidth=0.6, linestyle=":")
            axis.set(
                title=f"{network}: {channel}",
                ylim=(0, None),
                xlabel="members below the truth",
                ylabel="frequency / flat",
            )
            axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0, 0].legend(fontsize=7)
    return figure


def error_maps(scores: xr.Dataset, grid: Grid, coast: list[np.ndarray], network: str) -> Figure:
    """Root-mean-square error and spread of the diffusion analysis at every point."""
    channels = scores["channel"].values
    figure, axes = plt.subplots(len(channels), 2, figsize=(7.2, 2.5 * len(channels)), squeeze=False)
    part = scores.sel(network=network, analysis="diffusion")
    for row, channel in enumerate(channels):
        most = float(max(part[name].sel(channel=channel).max() for name in ("rmse_map", "spread_map")))
        for axis, name, title in zip(axes[row], ("rmse_map", "spread_map"), ("rms error", "rms spread")):
            mesh = world_map(
                axis, part[name].sel(channel=channel).values, grid, coast, cmap="cividis", vmin=0, vmax=most
            )
            figure.colorbar(mesh, ax=axis, shrink=0.85, pad=0.02)
            axis.set_title(f"{label(channel)}: {title}")
    return figure


def power_spectra(scores: xr.Dataset, network: str) -> Figure:
    """Zonal power of departures from the climatology: truth, and mean and one member of each analysis."""
    channels = scores["channel"].values
    figure, axes = plt.subplots(1, len(channels), figsize=(11.5, 2.9), squeeze=False)
    part = scores["power"].sel(network=network)
    for axis, channel in zip(axes[0], channels):
        one = part.sel(channel=channel).isel(wavenumber=slice(1, None))
        number = np.arange(1, one.sizes["wavenumber"] + 1)
        axis.loglog(number, one.sel(kind="truth").isel(analysis=0), color="black", label="truth")
        for name in scores["analysis"].values:
            if name != "climatology":
                axis.loglog(
                    number,
                    one.sel(kind="mean", analysis=name),
                    color=colour(name),
                    label=f"{name.replace('_', ' ')}, mean",
                )
                axis.loglog(
                    number, one.sel(kind="member", analysis=name), color=colour(name), linestyle=":", label="a member"
                )
        axis.set(xlabel="waves across the domain", title=f"power of {channel} (unit²)")
    axes[0, 0].legend(fontsize=7)
    return figure


def time_series(times: np.ndarray, truth: np.ndarray, members: np.ndarray, channels: list[str], where: str) -> Figure:
    """Truth, ensemble mean and the range of 90 % of the members at a place; (T, C), (E, T, C)."""
    figure, axes = plt.subplots(len(channels), 1, figsize=(11.5, 1.9 * len(channels)), squeeze=False, sharex=True)
    for row, channel in enumerate(channels):
        axis, values = axes[row, 0], members[..., row]
        low, high = np.quantile(values, [0.05, 0.95], axis=0)
        axis.fill_between(times, low, high, color=colour("diffusion"), alpha=0.3, linewidth=0, label="90 % of members")
        axis.plot(times, values.mean(0), color=colour("diffusion"), linewidth=1, label="analysis, mean")
        axis.plot(times, truth[:, row], color="black", linewidth=0.8, label="truth")
        axis.set_ylabel(label(channel))
    axes[0, 0].set_title(where)
    axes[0, 0].legend(fontsize=7, ncols=3)
    return figure


def learning_curve(curve: pd.DataFrame) -> Figure:
    """Validation error of the denoiser relative to the closed form, by noise level."""
    figure, axis = plt.subplots(figsize=(5.5, 3))
    levels = [name for name in curve if name.startswith("sigma_")]
    for name, tone in zip(levels, plt.get_cmap("viridis")(np.linspace(0, 0.9, len(levels)))):
        axis.plot(curve["step"], curve[name] / curve[name].iloc[0], color=tone, label=name.replace("sigma_", "noise "))
    axis.axhline(1, color="black", linewidth=0.6, linestyle=":")
    axis.set(xlabel="optimiser steps", ylabel="error / closed form's", title="validation error while learning")
    axis.legend(fontsize=7)
    return figure
