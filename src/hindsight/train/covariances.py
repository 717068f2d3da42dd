"""Covariances of a long series at lags of zero and one frame, summed block by block to bound memory."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from hindsight.fields import calendar
from hindsight.fields.frames import Frames
from hindsight.progress import Progress

# from fields (n, D) in double precision to arrays of samples (n, size), or (C, n, size) for C covariances at once
Sampler = Callable[[torch.Tensor], list[torch.Tensor]]


@dataclass
class CovarianceSums:
    """Sums of products of samples, which may be complex; the sums of two parts of a series can be added.

    Args:
        frames: number of frames with data.
        pairs: number of consecutive frames without a gap between them.
        now: sum of x_t x_t^H over the frames, (size, size), or C of them (C, size, size).
        later: sum of x_{t+1} x_t^H over the pairs, like `now`.
    """

    frames: int
    pairs: int
    now: torch.Tensor
    later: torch.Tensor

    @classmethod
    def zero(cls, like: torch.Tensor) -> "CovarianceSums":
        """Sums of no samples, with the size and type of `like` (n, size) or (C, n, size)."""
        size = like.shape[-1]
        now, later = torch.zeros(2, *like.shape[:-2], size, size, dtype=like.dtype).unbind()
        return cls(0, 0, now, later)

    def add(self, x: torch.Tensor, available: np.ndarray, pairs: np.ndarray) -> None:
        """Add samples, given the indices of frames with data and those of the first frame of each pair."""
        present, earlier, later = (x[..., chosen, :] for chosen in (available, pairs, pairs + 1))
        self.frames, self.pairs = self.frames + len(available), self.pairs + len(pairs)
        add = torch.Tensor.addmm_ if x.ndim == 2 else torch.Tensor.baddbmm_
        add(self.now, present.mT, present.conj())
        add(self.later, later.mT, earlier.conj())

    def __add__(self, other: "CovarianceSums") -> "CovarianceSums":
        return CovarianceSums(
            *(getattr(self, name) + getattr(other, name) for name in ("frames", "pairs", "now", "later"))
        )

    @property
    def covariance(self) -> torch.Tensor:
        """E[x_t x_t^H]."""
        return self.now / self.frames

    @property
    def lagged(self) -> torch.Tensor:
        """E[x_{t+1} x_t^H]; zero if there are no pairs."""
        return self.later / max(self.pairs, 1)


def accumulate(frames: Frames, sampler: Sampler) -> list[CovarianceSums]:
    """Sum products over a period, reading its frames once.

    Args:
        frames: frames of the period; masked frames and pairs across a gap are left out.
        sampler: computes the samples from the fields.

    Returns:
        The sums for each array of samples.
    """
    sums, blocks = None, frames.blocks(overlap=1)
    progress = Progress("train.linear_prior", len(blocks))
    for done, (start, first, last) in enumerate(blocks, 1):
        samples = sampler(torch.from_numpy(frames(start, last)).double())
        sums = sums or [CovarianceSums.zero(x) for x in samples]
        available, pairs = _indices(frames.segment[start:last], first - start)
        for total, x in zip(sums, samples):
            total.add(x, available, pairs)
        progress(done)
    return sums


def _indices(segment: np.ndarray, before: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the frames with data in a block, and of the pairs that end in it; `before` frames precede it."""
    known = np.flatnonzero(segment >= 0)
    return known[known >= before], calendar.window_starts(segment, 2)
