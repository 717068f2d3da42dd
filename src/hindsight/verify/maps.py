"""Maps of the report: equirectangular; a globe is centred on Greenwich."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.collections import QuadMesh
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.pyplot import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator

from hindsight.fields.colours import AMOUNT, DIFFERENCE, FIELD
from hindsight.fields.grid import Grid, close_globe, wrap_longitude
from hindsight.fields.plane import DEGREE
from hindsight.scores import ensemble
from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.preprocess import AMOUNTS
from hindsight.verify import style

Coast = list[np.ndarray]  # lines (N, 2) of longitude and latitude
POWER = 0.4  # of an amount, to which colours are proportional
WIDE = 0.7  # height over width of a map below which four maps in a row would be too small
REACH = 30.0, 45.0  # degrees of latitude and longitude shown on either side of a storm on a globe


def crop_near(grid: Grid, latitude: float, longitude: float) -> tuple[Grid, np.ndarray, np.ndarray]:
    """The part of a periodic grid around a place, with its rows and columns; a grid that is not periodic unchanged."""
    if not grid.periodic:
        return grid, np.arange(grid.shape[0]), np.arange(grid.shape[1])
    rows = np.flatnonzero(np.abs(grid.latitude - latitude) <= REACH[0])
    turned = wrap_longitude(grid.longitude, longitude - 180)
    order = np.argsort(turned)
    columns = order[np.abs(turned[order] - longitude) <= REACH[1]]
    return Grid(grid.latitude[rows], turned[columns]), rows, columns


def world_map(
    axis: Axes, values: np.ndarray, grid: Grid, coast: Coast, isolines: bool = False, **options: object
) -> QuadMesh:
    """Draw a field in colours, with coastlines; `isolines` are at the ticks of the colour scale.

    The axes of a plane are distances from its centre, km.
    """
    whole, values = grid.periodic, grid.masked(values)
    grid, values = close_globe(grid, values)
    south, west = grid.cell_edges
    mesh = axis.pcolormesh(west, south, values, shading="flat", rasterized=True, **options)
    if isolines:
        levels = MaxNLocator(10).tick_values(*mesh.get_clim())
        axis.contour(grid.longitude, grid.latitude, values, levels, colors="white", linewidths=0.5, alpha=0.8)
    first, last = (-180.0, 180.0) if whole else (west[0], west[-1])
    for turn in (-360, 0, 360):
        for line in coast:
            if line[:, 0].max() + turn >= first and line[:, 0].min() + turn <= last:
                axis.plot(line[:, 0] + turn, line[:, 1], color="black", linewidth=0.6)
    axis.set(xlim=(first, last), ylim=(south[0], south[-1]))
    axis.set_aspect(1.0 if whole else 1 / max(np.cos(np.deg2rad(grid.latitude.mean())), 0.2))
    steps = [1, 1.5, 3, 6, 10] if last - first > 80 else [1, 2, 5, 10]
    for side, text, third, nbins in (
        (axis.xaxis, style.format_longitude, 120, 3),
        (axis.yaxis, style.format_latitude, 60, 4),
    ):
        if grid.is_plane:
            side.set_major_locator(
                FixedLocator(MaxNLocator(nbins).tick_values(*side.get_view_interval() * DEGREE) / DEGREE)
            )
            side.set_major_formatter(lambda value, _: f"{value * DEGREE:.0f} km")
            continue
        side.set_major_locator(FixedLocator([-third, 0, third]) if whole else MaxNLocator(nbins, steps=steps))
        side.set_major_formatter(lambda value, _, text=text: text(value))
    axis.tick_params(labelsize=8, length=2)
    return mesh


def stations_on(axis: Axes, stations: pd.DataFrame) -> None:
    """Draw dots at stations; their longitudes may be -180 to 180 or 0 to 360."""
    longitude = wrap_longitude(stations["longitude"].to_numpy(), axis.get_xlim()[0])
    dot = {"color": "white", "markersize": 2.8, "markeredgecolor": "black", "markeredgewidth": 0.6}
    axis.plot(longitude, stations["latitude"], "o", linestyle="none", scalex=False, scaley=False, **dot)


def comparison(
    truth: np.ndarray, members: np.ndarray, label: str = "truth", amount: bool = False, antithetic: bool = False
) -> list[tuple]:
    """The four panels of truth (T, …) and members (E, T, …): title, values, colour map and colour limits of each.

    `label` names the truth, if it is a reference; empty: there is none, and the panels are those of the analysis. The
    colours of an amount that is often zero, such as rain, change fastest near zero.
    """
    mean, spread = members.mean(0, dtype=float), np.sqrt(ensemble.variances(members.astype(float), antithetic)[0])
    of_spread = ("spread", spread, AMOUNT, _limits(0.0, spread.max(), amount))
    if not label:
        return [("analysis, mean", mean, FIELD, _limits(mean.min(), mean.max(), amount)), of_spread]
    error = mean - truth
    both = np.stack([truth, mean])  # the truth may have missing frames
    span = _limits(np.nanmin(both), np.nanmax(both), amount)
    most = float(np.nanmax(np.abs(error)))
    return [
        (label, truth, FIELD, span),
        ("analysis, mean", mean, FIELD, span),
        (f"analysis − {label}", error, DIFFERENCE, {"vmin": -most, "vmax": most}),
        of_spread,
    ]


def _limits(low: float, high: float, amount: bool) -> dict[str, object]:
    """Limits of the colours of a field, or their scale for an amount."""
    return {"norm": PowerNorm(POWER, 0.0, float(high))} if amount else {"vmin": float(low), "vmax": float(high)}


def _is_amount(channel: str) -> bool:
    return CHANNELS[channel].standard_name in AMOUNTS


def frame_strip(
    truth: np.ndarray,
    members: np.ndarray,
    times: np.ndarray,
    channel: str,
    grid: Grid,
    used: pd.DataFrame,
    coast: Coast,
    label: str = "truth",
    antithetic: bool = False,
) -> Figure:
    """Maps of truth, analysis, error and spread of one channel, one column per frame.

    Args:
        truth: (T, H, W).
        members: (E, T, H, W).
        times: of the frames.
        channel: its name.
        grid: of the fields.
        used: stations, latitude and longitude.
        coast: coastlines.
        label: of the truth, if it is a reference; empty: there is none.
        antithetic: whether members come in pairs of opposite noise.
    """
    rows = comparison(truth, members, label, _is_amount(channel), antithetic)
    height = _height(grid, 0.85 * style.WIDTH / len(times))
    figure, axes = _sheet(len(rows), len(times), (height + 0.15) * len(rows) + 0.5)
    for line, (title, values, colours, limits) in zip(axes, rows):
        for axis, one in zip(line, values):
            lines = colours == FIELD and "norm" not in limits
            mesh = world_map(axis, one, grid, coast, lines, cmap=colours, **limits)
            axis.label_outer()
        line[0].set_ylabel(title)
        figure.colorbar(mesh, ax=list(line), shrink=0.9, pad=0.01, aspect=18, label=style.label(channel))
    for axis, time in zip(axes[0], times):
        axis.set_title(style.format_time(time))
    for axis in axes[[row[0] for row in rows].index("analysis, mean")]:
        stations_on(axis, used)
    return figure


def channel_maps(
    truth: np.ndarray,
    members: np.ndarray,
    channels: list[str],
    grid: Grid,
    used: pd.DataFrame,
    coast: Coast,
    across: int | None = None,
    width: float = style.WIDTH,
    label: str = "truth",
    antithetic: bool = False,
) -> Figure:
    """Maps of truth, analysis, error and spread of one frame, for every channel.

    Args:
        truth: (C, H, W).
        members: (E, C, H, W).
        channels: their names.
        grid: of the fields.
        used: stations, latitude and longitude.
        coast: coastlines.
        across: maps in a row, 4 or 2; None: by the shape of the domain.
        width: of the figure, inches.
        label: of the truth, if it is a reference; empty: there is none.
        antithetic: whether members come in pairs of opposite noise.
    """
    panels = 4 if label else 2
    across = min(across or (4 if _height(grid, 1.0) > WIDE else 2), panels)
    deep = panels // across
    height = _height(grid, 0.8 * width / across) + 0.3
    figure, axes = _sheet(deep * len(channels), across, height * deep * len(channels), width)
    for number, (channel, line) in enumerate(zip(channels, axes.reshape(len(channels), panels))):
        of_channel = truth[number][None], members[:, number][:, None]
        one = comparison(*of_channel, label, _is_amount(channel), antithetic)
        for axis, (title, values, colours, limits) in zip(line, one):
            lines = colours == FIELD and "norm" not in limits
            mesh = world_map(axis, values[0], grid, coast, lines, cmap=colours, **limits)
            figure.colorbar(mesh, ax=axis, shrink=0.9, pad=0.02, aspect=18)
            axis.set_title(title if number == 0 or deep > 1 else "")
            axis.label_outer()
        for axis in line[::across]:
            axis.set_ylabel(style.label(channel))
        stations_on(line[1 if label else 0], used)
    return figure


def error_maps(scores: xr.Dataset, grid: Grid, used: pd.DataFrame, coast: Coast) -> Figure:
    """Maps of root-mean-square error and spread for one analysis of one network, one column per channel.

    Without fields to compare with there are none of the error.
    """
    channels = [str(name) for name in scores["channel"].values]
    titles = {name: title for name, title in (("rmse_map", "error"), ("spread_map", "spread")) if name in scores}
    width = style.WIDTH / min(max(len(channels), 2), style.ACROSS)
    figure, axes = style.panels(len(titles), len(channels), _height(grid, 0.85 * width) + 0.35, layout="compressed")
    for column, channel in zip(axes.T, channels):
        both = [scores[name].sel(channel=channel).values for name in titles]
        for axis, values, title in zip(column, both, titles.values()):
            mesh = world_map(axis, values, grid, coast, cmap=AMOUNT, vmin=0, vmax=max(x.max() for x in both))
            axis.set_title(f"{scores['network'].values}: rms {title}, {style.label(channel)}")
            axis.label_outer()
            stations_on(axis, used)
            figure.colorbar(mesh, ax=axis, shrink=0.9, pad=0.02, aspect=18)
    return figure


def _height(grid: Grid, width: float) -> float:
    """Height of a map of a given width, in the unit of the width."""
    south, west = grid.cell_edges
    narrow = 1.0 if grid.periodic else np.cos(np.deg2rad(grid.latitude.mean()))
    return width * float(np.ptp(south) / (np.ptp(west) * narrow))


def _sheet(rows: int, columns: int, height: float, width: float = style.WIDTH) -> tuple[Figure, np.ndarray]:
    return style.plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="compressed")
