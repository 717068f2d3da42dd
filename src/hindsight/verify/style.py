"""How every picture of the report looks: colours that colour-blind readers can tell apart, and a unit at every axis."""

import base64
import io
from dataclasses import dataclass

import matplotlib
import numpy as np
import xarray as xr

from hindsight.settings.lexicon import CHANNELS

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

WIDTH = 11.5  # inches, of the wide pictures
DPI = 132
ACROSS = 4  # panels beside each other, at most
COLOUR = {"diffusion": "#0072B2", "optimal_interpolation": "#D55E00", "climatology": "#7F7F7F"}  # Okabe and Ito
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
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Picture:
    """A figure ready for the page: a data URI, its width in inches, and what it shows in words."""

    source: str
    inches: float
    alt: str


def picture(figure: Figure, alt: str) -> Picture:
    """Turn a figure into a PNG inside the page."""
    buffer = io.BytesIO()
    look = {"dpi": DPI, "bbox_inches": "tight", "pad_inches": 0.04}  # maps keep their shape and leave margins empty
    figure.savefig(buffer, format="png", metadata={"Software": None}, **look)
    plt.close(figure)
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    buffer.seek(0)
    return Picture(source, plt.imread(buffer).shape[1] / DPI, alt)


def panels(rows: int, columns: int, height: float, **options: object) -> tuple[Figure, np.ndarray]:
    """Axes (rows, columns) for a row a network and a column a channel; many channels are wrapped onto further rows.

    Of one channel, the networks stand beside each other.
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
    """Every panel with the scores of its network and channel, titled."""
    found = []
    for row, network in enumerate(scores["network"].values):
        for column, channel in enumerate(scores["channel"].values):
            axes[row, column].set_title(f"{network}, {channel}")
            found.append((axes[row, column], scores.sel(network=network, channel=channel)))
    return found


def legend(axes: np.ndarray) -> None:
    """One legend above all panels, of what the panels of the first column show."""
    shown = {}
    for axis in axes[:, 0]:
        handles, labels = axis.get_legend_handles_labels()
        shown |= dict(zip(labels, handles))
    axes[0, 0].figure.legend(shown.values(), shown.keys(), loc="outside upper left", ncols=5, borderaxespad=0.2)


def _wide(across: int) -> float:
    """Fewer panels make a narrower picture, not wider panels."""
    return WIDTH * min(1.0, (across + 0.6) / 3.6)


def colour(name: str) -> str:
    """The colour of an analysis, the same in every picture."""
    return COLOUR.get(name, "#009E73")


def readable(name: str) -> str:
    """A name as people write it."""
    return str(name).replace("_", " ")


def units(text: str) -> str:
    """Units with raised exponents; of pure numbers, none."""
    parts = [part.rstrip("-0123456789") for part in text.split() if text != "1"]
    return " ".join(base + part[len(base) :].translate(_RAISED) for base, part in zip(parts, text.split()))


def label(channel: str, squared: bool = False) -> str:
    """A channel with its unit, or the square of its unit."""
    if not (unit := units(CHANNELS[channel].units)):
        return f"{channel}²" if squared else channel
    return f"{channel}, ({unit})²" if squared else f"{channel} ({unit})"


def with_minus_sign(text: str) -> str:
    """A number with a proper minus sign."""
    return text.replace("-", "−")


def format_latitude(latitude: float) -> str:
    """A latitude as people write it."""
    return f"{abs(latitude):g}°{'S' if latitude < 0 else 'N' if latitude > 0 else ''}"


def format_longitude(longitude: float) -> str:
    """A longitude as people write it."""
    turned = (longitude + 180) % 360 - 180
    return f"{abs(turned):g}°{'' if turned in (-180, 0) else 'W' if turned < 0 else 'E'}"


def format_place(latitude: float, longitude: float) -> str:
    """A place as people write it."""
    return f"{format_latitude(round(latitude, 1))}, {format_longitude(round(longitude, 1))}"


def format_time(time: np.datetime64) -> str:
    """A time to the hour, in UTC."""
    return str(time.astype("datetime64[h]")).replace("T", " ") + " UTC"
