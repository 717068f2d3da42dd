"""A radar composite: its time, what it shows, and where; what the module of a format reads of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

Quantity = Literal["dBZ", "mm h-1"]


@dataclass(frozen=True)
class Layout:
    """What the composites of one source have in common.

    Attributes:
        format: the module that reads it.
        product: name of the composite, with the quantity that it shows.
        quantity: of its values: reflectivity (dBZ) or rain rate (mm/h).
        projection: in the words of PROJ, in metres.
        west: x of its western edge, km.
        north: y of its northern edge, km.
        width: of a point along x, km.
        height: of a point along y, km.
        rows: from north to south.
        columns: from west to east.
    """

    format: str
    product: str
    quantity: Quantity
    projection: str
    west: float
    north: float
    width: float
    height: float
    rows: int
    columns: int

    def __str__(self) -> str:
        return (
            f"{self.product} ({self.format.upper()}), {self.rows} x {self.columns} points of {self.width:.4g} x "
            f"{self.height:.4g} km from x = {self.west:.4g}, y = {self.north:.5g} km of {self.projection}"
        )


@dataclass(frozen=True)
class Composite:
    """The description of one file: its time (UTC), for amounts the end of their period, and its layout."""

    time: np.datetime64
    layout: Layout


class Values(Protocol):
    """Reads the values of one file: `values` of the module of a format."""

    def __call__(self, path: Path) -> np.ndarray:
        """Values in the quantity of the layout (rows, columns), north first: NaN: no data; dry: -inf dBZ, or 0 mm/h."""
        ...


class Damaged(Exception):
    """A file that cannot be read as a composite; the text says why."""
