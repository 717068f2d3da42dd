"""Rain rates from the values of a composite, the part of it that is kept, and means over squares."""

from dataclasses import dataclass

import numpy as np

from hindsight.download.radar.composite import Layout
from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.fields.plane import Plane
from hindsight.settings.radar import Radar


def rain_rates(values: np.ndarray, quantity: str, settings: Radar) -> np.ndarray:
    """Rain rates (mm/h) of values in a quantity, (H, W); NaN stays NaN, and dry is 0.

    Marshall and Palmer (1948), The distribution of raindrops with size, J. Meteor. 5, 165-166.
    """
    if quantity == "dBZ":
        dbz = values if settings.highest_dbz is None else np.minimum(values, settings.highest_dbz)
        values = (10 ** (dbz.astype(float) / 10) / settings.a) ** (1 / settings.b)
    return np.where(values < settings.dry_below, 0.0, values)


def above(values: np.ndarray, quantity: str, settings: Radar) -> int:
    """The number of reflectivities above `highest_dbz`, which are lowered to it."""
    if quantity != "dBZ" or settings.highest_dbz is None:
        return 0
    return int(np.count_nonzero(values > settings.highest_dbz))


def largest_rectangle(covered: np.ndarray) -> tuple[int, int, int, int]:
    """The largest rectangle of points that are all covered, (H, W) of bool: its first row and column, rows, columns."""
    best, height = (0, 0, 0, 0), np.zeros(covered.shape[1] + 1, int)
    for row, line in enumerate(covered):
        height[:-1] = np.where(line, height[:-1] + 1, 0)
        open_columns: list[tuple[int, int]] = []  # where a rectangle of a height begins; heights rise
        for column, tall in enumerate(height.tolist()):
            begins = column
            while open_columns and open_columns[-1][1] >= tall:
                begins, taller = open_columns.pop()
                if taller * (column - begins) > best[2] * best[3]:
                    best = (row - taller + 1, begins, taller, column - begins)
            open_columns.append((begins, tall))
    return best


@dataclass(frozen=True)
class Cut:
    """The part of a composite that is kept: its first row and column, and its rows and columns after averaging."""

    top: int
    left: int
    rows: int
    columns: int
    average: int

    @classmethod
    def of(cls, layout: Layout, settings: Radar) -> "Cut":
        """The part of a composite that the settings ask for; without a rectangle all of it, in whole squares.

        Raises:
            UserError: if the rectangle does not fit.
        """
        asked, size, edges = settings.rectangle, settings.average, []
        for name, have, side in (("rows", layout.rows, "top"), ("columns", layout.columns, "left")):
            count = getattr(asked, name) if asked else have // size
            given = getattr(asked, side) if asked else None
            first = (have - count * size) // 2 if given is None else given
            if have < 2 * size:
                raise UserError(
                    f"download.radar.average: two squares of {size} x {size} points do not fit into the {have} {name} "
                    f"of the composites; lower it to {have // 2} at most"
                )
            if count < 2 or first < 0 or first + count * size > have:
                most = (have - (given or 0)) // size
                advice = f"ask for 2 to {most}" if most >= 2 else f"lower {side}"
                raise UserError(
                    f"download.radar.rectangle: {count} {name} of {size} points each from point {max(first, 0)} do not "
                    f"fit into the {have} {name} of the composites; {advice}"
                )
            edges.append((first, count))
        (top, rows), (left, columns) = edges
        return cls(top, left, rows, columns, size)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Means over squares of a composite (H, W), of the part that is kept, south first; NaN if any point is NaN."""
        size = self.average
        part = values[self.top : self.top + self.rows * size, self.left : self.left + self.columns * size]
        return part.reshape(self.rows, size, self.columns, size).mean((1, 3))[::-1]

    def place(self, layout: Layout) -> tuple[Plane, Grid]:
        """The plane on which the part lies, its centre at 0 N 0 E, and its grid, south first."""
        width, height = layout.width * self.average, layout.height * self.average
        x = layout.west + layout.width * self.left + width * (np.arange(self.columns) + 0.5)
        y = layout.north - layout.height * self.top - height * (np.arange(self.rows) + 0.5)
        plane = Plane(layout.projection, float((x[0] + x[-1]) / 2), float((y[0] + y[-1]) / 2))
        return plane, plane.grid(x, y[::-1])
