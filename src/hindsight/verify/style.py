"""How every picture of the report looks: colours that colour-blind readers can tell apart, and a unit at every axis."""

import base64
import io
from dataclasses import dataclass

import matplotlib
import numpy as np

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
    """Axes (rows, columns) for a row a network and a column a channel; many channels are wrapped onto further rows."""
    across = min(columns, ACROSS)
    deep = -(-columns // across)
    figure, axes = plt.subplots(
        rows * deep, across, figsize=(_wide(across), height * rows * deep), squeeze=False, **options
    )
    axes = axes.reshape(rows, deep * across)
    for spare in axes[:, columns:].ravel():
        spare.remove()
    return figure, axes[:, :columns]


def _wide(across: int) -> float:
    """Fewer panels make a narrower picture, not wider panels."""
    return WIDTH * min(1.0, (across + 0.6) / 3.6)


def colour(name: str) -> str:
    """The colour of an analysis, the same in every picture."""
    return COLOUR.get(name, "#009E73")


def words(name: str) -> str:
    """A name as people write it."""
    return str(name).replace("_", " ")


def units(text: str) -> str:
    """Units with raised exponents."""
    parts = [part.rstrip("-0123456789") for part in text.split()]
    return " ".join(base + part[len(base) :].translate(_RAISED) for base, part in zip(parts, text.split()))


def label(channel: str) -> str:
    """A channel with its unit."""
    return f"{channel} ({units(CHANNELS[channel].units)})"


def signed(text: str) -> str:
    """A number with a proper minus sign."""
    return text.replace("-", "−")


def north(latitude: float) -> str:
    """A latitude as people write it."""
    return f"{abs(latitude):g}°{'S' if latitude < 0 else 'N' if latitude > 0 else ''}"


def east(longitude: float) -> str:
    """A longitude as people write it."""
    turned = (longitude + 180) % 360 - 180
    return f"{abs(turned):g}°{'' if turned in (-180, 0) else 'W' if turned < 0 else 'E'}"


def place(latitude: float, longitude: float) -> str:
    """A place as people write it."""
    return f"{north(round(latitude, 1))}, {east(round(longitude, 1))}"


def moment(time: np.datetime64) -> str:
    """A time to the hour, in UTC."""
    return str(time.astype("datetime64[h]")).replace("T", " ") + " UTC"
