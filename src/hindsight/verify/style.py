"""Style of the pictures of the report: colours safe for colour-blind readers, and a unit on every axis."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr

from hindsight.fields import calendar
from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.units import readable_units

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

WIDTH, NARROW = 11.5, 5.4  # inches
DPI = 132
MARGIN = 0.04  # inches, around a picture
ACROSS = 4  # panels in a row, at most
COLOUR = {  # Okabe and Ito
    "diffusion": "#0072B2",
    "optimal_interpolation": "#D55E00",
    "three_d_var": "#CC79A7",
    "four_d_var": "#E69F00",
    "letkf": "#009E73",
    "ensf": "#56B4E9",
    "climatology": "#7F7F7F",
}
NAMES = {
    "three_d_var": "3D-Var",
    "four_d_var": "4D-Var",
    "letkf": "LETKF",
    "ensf": "EnSF",
}  # of analyses with names of their own
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.constrained_layout.h_pad": 0.08,
}
plt.rcParams.update(STYLE)


@dataclass(frozen=True)
class Picture:
    """A picture for the page: a data URI, its width in inches, and its alternative text."""

    source: str
    inches: float
    alt: str


def picture(figure: Figure, alt: str) -> Picture:
    """Render a figure as a PNG in a data URI."""
    figure.set_dpi(DPI)
    figure.canvas.draw()
    pixels = _without_margins(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    plt.close(figure)
    buffer = io.BytesIO()
    plt.imsave(buffer, pixels, format="png", metadata={"Software": None})
    return Picture("data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode(), pixels.shape[1] / DPI, alt)


def png(path: Path, alt: str) -> Picture:
    """A PNG that a step before has drawn at this resolution, in a data URI."""
    data = path.read_bytes()
    width = int.from_bytes(data[16:20], "big")  # pixels, in the header
    return Picture("data:image/png;base64," + base64.b64encode(data).decode(), width / DPI, alt)


def _without_margins(pixels: np.ndarray) -> np.ndarray:
    """An image (H, W, 3) without the white margins that maps leave; Matplotlib's own way draws every figure twice."""
    inked, pad = (pixels != 255).any(2), round(MARGIN * DPI)
    cut = []
    for axis in (1, 0):
        (where,) = np.nonzero(inked.any(axis))
        cut.append(slice(max(0, where[0] - pad), where[-1] + 1 + pad) if len(where) else slice(None))
    return np.ascontiguousarray(pixels[tuple(cut)])


def panels(rows: int, columns: int, height: float, **options: object) -> tuple[Figure, np.ndarray]:
    """Axes (rows, columns), a row per network and a column per channel; many channels are wrapped onto further rows.

    If there is only one channel, the networks are drawn side by side.
    """
    lines, each = (1, rows) if columns == 1 else (rows, columns)
    across = min(each, ACROSS)
    deep = -(-each // across)
    figure, axes = plt.subplots(
        lines * deep, across, figsize=(_wide(across), height * lines * deep), squeeze=False, **options
    )
    axes = axes.reshape(lines, deep * across)
    for spare in axes[:, each:].ravel():
        spare.remove()
    return figure, axes[:, :each].reshape(rows, columns)


def cells(axes: np.ndarray, scores: xr.Dataset) -> list[tuple[plt.Axes, xr.Dataset]]:
    """Title every panel, and return it with the scores of its network and channel."""
    titled = []
    for row, network in enumerate(scores["network"].values):
        for column, channel in enumerate(scores["channel"].values):
            axes[row, column].set_title(f"{network}, {channel}")
            titled.append((axes[row, column], scores.sel(network=network, channel=channel)))
    return titled


def legend(axes: np.ndarray, columns: int = 5) -> None:
    """Draw one legend above all panels, with the entries of the first column of panels, in some columns."""
    entries = {}
    for axis in axes[:, 0]:
        handles, labels = axis.get_legend_handles_labels()
        entries |= dict(zip(labels, handles))
    axes[0, 0].figure.legend(
        entries.values(), entries.keys(), loc="outside upper left", ncols=columns, borderaxespad=0.2
    )


def _wide(across: int) -> float:
    """Width of a figure with a number of panels in a row, inches: the panels keep their width."""
    return WIDTH * min(1.0, (across + 0.6) / 3.6)


def colour(name: str) -> str:
    """Colour of an analysis, the same in every picture."""
    return COLOUR.get(name, "#000000")


def readable(name: str) -> str:
    """The name of an analysis or another name, without underscores."""
    return NAMES.get(name, str(name).replace("_", " "))


def label(channel: str, squared: bool = False) -> str:
    """Name of a channel with its unit, or with the square of its unit."""
    if not (unit := readable_units(CHANNELS[channel].units)):
        return f"{channel}²" if squared else channel
    return f"{channel}, ({unit})²" if squared else f"{channel} ({unit})"


def with_minus_sign(text: str) -> str:
    """A number with a minus sign instead of a hyphen."""
    return text.replace("-", "−")


def format_latitude(latitude: float) -> str:
    """A latitude with N or S."""
    return f"{abs(latitude):g}°{'S' if latitude < 0 else 'N' if latitude > 0 else ''}"


def format_longitude(longitude: float) -> str:
    """A longitude with E or W."""
    turned = (longitude + 180) % 360 - 180
    return f"{abs(turned):g}°{'' if turned in (-180, 0) else 'W' if turned < 0 else 'E'}"


def format_place(latitude: float, longitude: float) -> str:
    """Latitude and longitude of a place."""
    return f"{format_latitude(round(latitude, 1))}, {format_longitude(round(longitude, 1))}"


def format_time(time: np.datetime64) -> str:
    """A time to the hour, or to the minute where it is no full hour, in UTC."""
    return calendar.text(time).replace("T", " ") + " UTC"
