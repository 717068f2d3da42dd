"""Pictures of a domain that is one line of points, along a circle of latitude or a meridian."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.pyplot import Axes
from matplotlib.ticker import MaxNLocator

from hindsight.fields.grid import Grid, wrap_longitude
from hindsight.verify import maps, style

MARK = {"color": "black", "markersize": 3.5, "linestyle": "none", "clip_on": False, "zorder": 5}


@dataclass(frozen=True)
class Line:
    """The coordinate along the line: its name, the points and the edges of their cells (degrees)."""

    name: str
    places: np.ndarray
    edges: np.ndarray

    @classmethod
    def of(cls, grid: Grid) -> "Line":
        """The line of a grid that has only one latitude or longitude."""
        south, west = grid.cell_edges
        if grid.shape[0] == 1:
            return cls("longitude", grid.longitude, west)
        return cls("latitude", grid.latitude, south)

    def label(self, axis: Axes) -> None:
        """Label the horizontal axis in degrees, from end to end of the line."""
        steps = [1, 1.5, 3, 4.5, 6, 9, 10] if np.ptp(self.edges) > 80 else [1, 2, 5, 10]
        axis.xaxis.set_major_locator(MaxNLocator(4, steps=steps))
        format_degrees = style.format_longitude if self.name == "longitude" else style.format_latitude
        axis.xaxis.set_major_formatter(lambda value, _: format_degrees(value))
        axis.set_xlim(self.edges[0], self.edges[-1])

    def mark(self, axis: Axes, stations: pd.DataFrame) -> None:
        """Draw triangles at stations, at the upper edge of a picture; longitudes may be -180 to 180 or 0 to 360."""
        where = stations[self.name].to_numpy()
        where = wrap_longitude(where, self.edges[0]) if self.name == "longitude" else where
        axis.plot(where, np.ones(len(where)), "v", transform=axis.get_xaxis_transform(), **MARK)


def hovmoller(
    truth: np.ndarray,
    members: np.ndarray,
    times: np.ndarray,
    channels: list[str],
    grid: Grid,
    used: pd.DataFrame,
    network: str,
    columns: int = 4,
    size: tuple[float, float] = (style.WIDTH, 4.4),
    label: str = "truth",
    antithetic: bool = False,
) -> Figure:
    """Hovmöller diagrams (1949) of truth, analysis, error and spread of every channel; time runs downwards.

    Args:
        truth: (T, C, H, W), H or W 1.
        members: (E, T, C, H, W).
        times: of the frames, evenly spaced.
        channels: their names.
        grid: of the fields.
        used: stations, latitude and longitude.
        network: its name.
        columns: panels in a row, 4 or 2.
        size: width of the figure and height of a row of panels, inches.
        label: of the truth, if it is a reference; empty: there is none.
        antithetic: whether members come in pairs of opposite noise.
    """
    line, time_edges = Line.of(grid), _edges(times)
    truth, members = (values.reshape(*values.shape[:-2], -1) for values in (truth, members))
    panels = 4 if label else 2
    columns = min(columns, panels)
    rows = len(channels) * panels // columns
    figure, axes = style.plt.subplots(
        rows, columns, figsize=(size[0], size[1] * rows), squeeze=False, sharex=True, sharey=True
    )
    for c, (channel, row) in enumerate(zip(channels, axes.reshape(len(channels), panels))):
        of_channel = maps.comparison(truth[:, c], members[:, :, c], label, antithetic=antithetic)
        for axis, (title, values, colours, limits) in zip(row, of_channel):
            mesh = axis.pcolormesh(line.edges, time_edges, values, cmap=colours, rasterized=True, **limits)
            figure.colorbar(mesh, ax=axis, location="bottom", shrink=0.9, aspect=25, label=style.label(channel))
            axis.set_title(f"{network}: {title}", pad=8)
            line.label(axis)
            if title != label:
                line.mark(axis, used)
    axes[0, 0].set_ylim(time_edges[-1], time_edges[0])
    dates = ConciseDateFormatter(
        axes[0, 0].yaxis.get_major_locator(), show_offset=False
    )  # which would push the title up
    axes[0, 0].yaxis.set_major_formatter(dates)
    return figure


def errors(scores: xr.Dataset, grid: Grid, used: dict[str, pd.DataFrame]) -> Figure:
    """RMSE of the ensemble mean, and spread, along the line, for every network and channel.

    Args:
        scores: `rmse_map` and `spread_map` of every network and analysis.
        grid: of the fields.
        used: stations of each network, latitude and longitude.
    """
    line = Line.of(grid)
    figure, axes = style.panels(scores.sizes["network"], scores.sizes["channel"], 2.6)
    for axis, part in style.cells(axes, scores):
        for name in (n for n in scores["analysis"].values if n != "climatology"):
            one, look = part.sel(analysis=name), {"color": style.colour(name), "linewidth": 1.2}
            if "rmse_map" in one:
                axis.plot(line.places, one["rmse_map"].values.ravel(), **look, label=f"{style.readable(name)}, error")
            axis.plot(
                line.places, one["spread_map"].values.ravel(), "--", **look, label=f"{style.readable(name)}, spread"
            )
        axis.set(ylim=(0, None), xlabel=line.name, ylabel=style.label(str(part["channel"].values)))
        axis.set_title(axis.get_title(loc="left"), pad=8)
        line.label(axis)
        line.mark(axis, used[str(part["network"].values)])
    style.legend(axes)
    return figure


def _edges(times: np.ndarray) -> np.ndarray:
    """Edges of the cells of evenly spaced frames, (T + 1,)."""
    half = (times[1] - times[0]) / 2 if len(times) > 1 else np.timedelta64(1, "h")
    return np.append(times - half, times[-1] + half)
