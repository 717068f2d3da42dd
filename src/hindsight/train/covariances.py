"""Covariances of a long series, at no lag and at one frame's, added up block by block: it is never in memory whole."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from hindsight.fields import calendar
from hindsight.fields.frames import Frames
from hindsight.progress import Progress

View = Callable[
    [torch.Tensor], list[torch.Tensor]
]  # fields (n, D), in double precision, to samples (n, size) of some kinds


@dataclass
class Moments:
    """Sums of products of samples, which may be complex; of two parts of a series they add up.

    Args:
        frames: how many known frames.
        pairs: how many of them follow the frame before without a break.
        now: sum of x_t x_t^H over the frames, (size, size).
        later: sum of x_{t+1} x_t^H over the pairs, (size, size).
    """

    frames: int
    pairs: int
    now: torch.Tensor
    later: torch.Tensor

    @classmethod
    def none(cls, like: torch.Tensor) -> "Moments":
        """Of no sample, of the size and kind of `like` (n, size)."""
        now, later = torch.zeros(2, like.shape[1], like.shape[1], dtype=like.dtype).unbind()
        return cls(0, 0, now, later)

    def add(self, x: torch.Tensor, known: np.ndarray, pairs: np.ndarray) -> None:
        """Take samples (n, size) in: the frames that are known, and pairs by their first."""
        one, earlier, further = x[known], x[pairs], x[pairs + 1]
        self.frames, self.pairs = self.frames + len(known), self.pairs + len(pairs)
        self.now.addmm_(one.T, one.conj())
        self.later.addmm_(further.T, earlier.conj())

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(*(getattr(self, name) + getattr(other, name) for name in ("frames", "pairs", "now", "later")))

    @property
    def covariance(self) -> torch.Tensor:
        """E[x_t x_t^H]."""
        return self.now / self.frames

    @property
    def lagged(self) -> torch.Tensor:
        """E[x_{t+1} x_t^H]; zero where nothing follows anything."""
        return self.later / max(self.pairs, 1)


def summed(frames: Frames, view: View) -> list[Moments]:
    """Add up the moments of a period, its frames read once.

    Args:
        frames: of the period; those that are not known are left out, and so are pairs that are not of one stretch.
        view: what of the fields is sampled.

    Returns:
        The moments of every kind of sample.
    """
    found, blocks = None, frames.blocks(overlap=1)
    watch = Progress("train.colour", len(blocks))
    for done, (start, first, last) in enumerate(blocks, 1):
        samples = view(torch.from_numpy(frames(start, last)).double())
        found = found or [Moments.none(x) for x in samples]
        known, pairs = _own(frames.stretch[start:last], first - start)
        for moments, x in zip(found, samples):
            moments.add(x, known, pairs)
        watch(done)
    return found


def _own(stretch: np.ndarray, before: int) -> tuple[np.ndarray, np.ndarray]:
    """The known frames of a block, and the pairs that end in it; the frame before it may come first."""
    known = np.flatnonzero(stretch >= 0)
    return known[known >= before], calendar.unbroken(stretch, 2)
