"""Less of an archive: coarser values, every n-th frame, means over boxes of points."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hindsight.fields.grid import Grid

FINE = (0.02, 0.2)  # steps of values, as shares of the mean spread: they are right to a hundredth of it, or to a tenth
POINTS, FRAMES = 2000, 300  # only their ratio counts: a page with more points a frame loses points, else frames


@dataclass(frozen=True)
class Reduction:
    """What is kept of an archive.

    Attributes:
        stride: every such frame.
        box: means over boxes of as many by as many points.
        fine: the step to which values are rounded, as a share of the channel's mean spread.
    """

    stride: int = 1
    box: int = 1
    fine: float = FINE[0]

    def kept(self, first: int, count: int) -> slice:
        """Of `count` frames from frame `first` of the archive, those that are kept, as frames of the archive."""
        return slice(first + -first % self.stride, first + count, self.stride)

    def starts(self, grid: Grid) -> list[np.ndarray]:
        """The first row of each box, (h,), and its first column, (w,); the last boxes may be smaller."""
        return [np.arange(0, length, self.box) for length in grid.shape]

    def edges(self, grid: Grid) -> list[np.ndarray]:
        """Edges of the boxes in latitude, (h + 1,), and in longitude, (w + 1,), degrees."""
        cells = zip(self.starts(grid), grid.cell_edges)
        return [np.append(edges[starts], edges[-1]) for starts, edges in cells]

    def means(self, values: np.ndarray, grid: Grid) -> np.ndarray:
        """Means over boxes, weighted by area: (…, H, W) to (…, h, w), float64.

        Points that the grid does not cover do not count; NaN where a box has a missing value, or no point that does.
        """
        weights = grid.weights
        with np.errstate(invalid="ignore"):
            return self._sums(np.where(grid.where, values, 0) * weights, grid) / self._sums(weights, grid)

    def _sums(self, values: np.ndarray, grid: Grid) -> np.ndarray:
        rows, columns = self.starts(grid)
        return np.add.reduceat(np.add.reduceat(values, rows, axis=-2), columns, axis=-1)


def ladder(frames: int, shape: tuple[int, int]) -> Iterator[Reduction]:
    """Reductions of an archive, each coarser than the one before, down to one frame of one box.

    Values are rounded to coarser steps first. Then a step halves the frames or the rows and columns, whichever are
    more, relative to `FRAMES` and `POINTS`.
    """
    yield from (Reduction(fine=fine) for fine in FINE[:-1])
    stride = box = 1
    while True:
        yield Reduction(stride, box, FINE[-1])
        points, left = np.prod([-(-length // box) for length in shape]), -(-frames // stride)
        if points == left == 1:
            return
        coarser = points > 1 and (left == 1 or points * FRAMES > left * POINTS)
        stride, box = (stride, 2 * box) if coarser else (2 * stride, box)
