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
    """Sums of products of samples, which may be complex; the sums of two series can be added.

    The frames are summed in P consecutive parts, so that what is fitted to some can be judged by the others.

    Args:
        counts: frames with data in each part.
        pairs: number of pairs of consecutive frames, without a gap between the two.
        now: sum of x_t x_t^H over the frames of each part, (P, size, size), or C of them (P, C, size, size).
        later: sum of x_{t+1} x_t^H over the pairs of all parts, (size, size) or (C, size, size).
    """

    counts: list[int]
    pairs: int
    now: torch.Tensor
    later: torch.Tensor

    @classmethod
    def zero(cls, like: torch.Tensor, parts: int = 1) -> "CovarianceSums":
        """Sums of no samples, with the size and type of `like` (n, size) or (C, n, size)."""
        shape = *like.shape[:-2], like.shape[-1], like.shape[-1]
        return cls([0] * parts, 0, torch.zeros(parts, *shape, dtype=like.dtype), torch.zeros(shape, dtype=like.dtype))

    def add(self, x: torch.Tensor, available: np.ndarray, pairs: np.ndarray, part: int = 0) -> None:
        """Add samples to a part, given the indices of frames with data and those of the first frame of each pair."""
        present, earlier, later = (x[..., chosen, :] for chosen in (available, pairs, pairs + 1))
        self.counts[part], self.pairs = self.counts[part] + len(available), self.pairs + len(pairs)
        add = torch.Tensor.addmm_ if x.ndim == 2 else torch.Tensor.baddbmm_
        add(self.now[part], present.mT, present.conj())
        add(self.later, later.mT, earlier.conj())

    def __add__(self, other: "CovarianceSums") -> "CovarianceSums":
        counts = [one + more for one, more in zip(self.counts, other.counts, strict=True)]
        return CovarianceSums(counts, self.pairs + other.pairs, self.now + other.now, self.later + other.later)

    @property
    def frames(self) -> int:
        """Frames with data."""
        return sum(self.counts)

    @property
    def parts(self) -> list[int]:
        """The parts that have frames."""
        return [part for part, count in enumerate(self.counts) if count]

    @property
    def covariance(self) -> torch.Tensor:
        """E[x_t x_t^H]."""
        return self.now.sum(0) / self.frames

    @property
    def lagged(self) -> torch.Tensor:
        """E[x_{t+1} x_t^H]; zero if there are no pairs."""
        return self.later / max(self.pairs, 1)

    def without(self, part: int) -> torch.Tensor:
        """E[x_t x_t^H] over the other parts."""
        return (self.now.sum(0) - self.now[part]) / (self.frames - self.counts[part])


def accumulate(frames: Frames, sampler: Sampler, parts: int = 1) -> list[CovarianceSums]:
    """Sum products over a period, reading its frames once.

    Args:
        frames: frames of the period; masked frames and pairs across a gap are left out.
        sampler: computes the samples from the fields.
        parts: consecutive parts with equal numbers of frames with data.

    Returns:
        The sums for each array of samples.
    """
    sums, blocks = None, frames.blocks(overlap=1)
    known = np.cumsum(frames.segment >= 0)  # frames with data so far
    part_of = np.maximum(known - 1, 0) * parts // known[-1]
    progress = Progress("train.linear_prior", len(blocks))
    for done, (start, first, last) in enumerate(blocks, 1):
        samples = sampler(torch.from_numpy(frames(start, last)).double())
        sums = sums or [CovarianceSums.zero(x, parts) for x in samples]
        available, pairs = _indices(frames.segment[start:last], first - start)
        here = part_of[start:last]
        for part in range(here[first - start], here[-1] + 1):
            for total, x in zip(sums, samples):
                total.add(x, available[here[available] == part], pairs[here[pairs + 1] == part], part)
        progress(done)
    return sums


def _indices(segment: np.ndarray, before: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the frames with data in a block, and of the pairs that end in it; `before` frames precede it."""
    known = np.flatnonzero(segment >= 0)
    return known[known >= before], calendar.window_starts(segment, 2)
