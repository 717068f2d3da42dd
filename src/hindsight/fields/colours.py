"""Colour maps of fields, the same in all pictures and pages; each can be told apart by colour-blind readers."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

FIELD, DIFFERENCE, AMOUNT = "viridis", "RdBu_r", "cividis"


def sample(name: str, count: int) -> list[str]:
    """Evenly spaced colours of a colour map, from its low end to its high end, as `#rrggbb`."""
    return [to_hex(colour) for colour in colormaps[name](np.linspace(0, 1, count))]
