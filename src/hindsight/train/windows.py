"""Training windows, read from the store as they are drawn."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from hindsight.errors import UserError
from hindsight.fields import calendar
from hindsight.fields.frames import ReadFrames
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.prior import conditions
from hindsight.settings import Train


def scaling_for(settings: Train, grid: Grid, climatology: Path, statistics: Path) -> Scaling:
    """The normalisation of fields for the prior, with weights by area if the linear prior has waves."""
    scaling, linear_prior = Scaling.read(climatology, statistics), settings.linear_prior
    by_area = linear_prior.basis == "waves" and linear_prior.form != "white"
    return scaling.weighted_by_area(grid.weights) if by_area else scaling


class Windows:
    """All training windows of a split, shuffled by the seed alone.

    Args:
        times: times of the frames of the split.
        read: reads frames.
        window: number of frames in a window.
        split: name of the split, for errors.
        segment: number of the unbroken segment of each frame, negative if the frame is masked (`calendar.segments`);
            each window lies in one segment and has no masked frame; None: there are no gaps.
        setting: that gives the number of frames, for errors.

    Attributes:
        starts: frame with which each window begins, (N,).

    Raises:
        UserError: if there is no window.
    """

    def __init__(
        self,
        times: np.ndarray,
        read: ReadFrames,
        window: int,
        split: str,
        segment: np.ndarray | None = None,
        setting: str = "train.window",
    ) -> None:
        if len(times) == 0:
            raise UserError(f"the {split} period has no frame; move or lengthen domain.{split.removesuffix('ing')}")
        if len(times) < window:
            raise UserError(
                f"the {split} period has {len(times)} frames, fewer than a window ({setting} = {window}); "
                "lengthen the period or shorten the window"
            )
        segment = np.zeros(len(times), int) if segment is None else segment
        self.read, self.window, self.conditions = read, window, conditions(times)
        self.times, self.segment = times, segment
        self.starts = calendar.window_starts(segment, window)
        if len(self.starts) == 0:
            raise UserError(_too_short(segment, window, split, setting))
        self._epoch: tuple[tuple[int, int], np.ndarray] | None = None
        self._reader, self._prefetched = ThreadPoolExecutor(1, "windows"), None

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, numbers: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return windows by number: fields (B, T, D) and conditions (B, T, K)."""
        numbers, prefetched = list(numbers), self._prefetched
        fields = prefetched[1].result() if prefetched and prefetched[0] == numbers else self._fields(numbers)
        spans = [slice(self.starts[n], self.starts[n] + self.window) for n in numbers]
        return torch.from_numpy(fields), torch.stack([self.conditions[span] for span in spans])

    def prefetch(self, numbers: Sequence[int]) -> None:
        """Start to read windows that will be taken next, in a separate thread."""
        numbers = list(numbers)
        self._prefetched = numbers, self._reader.submit(self._fields, numbers)

    def _fields(self, numbers: list[int]) -> np.ndarray:
        starts = [int(self.starts[n]) for n in numbers]
        return np.stack([self.read(start, start + self.window) for start in starts])

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw windows at random."""
        return self.take(torch.randint(len(self), (count,), generator=generator).tolist())

    def shuffled(self, seed: int, first: int, count: int) -> list[int]:
        """`count` window numbers from position `first` of an endless sequence of epochs, each shuffled anew."""
        return [self._permutation(seed, n // len(self))[n % len(self)] for n in range(first, first + count)]

    def _permutation(self, seed: int, epoch: int) -> np.ndarray:
        if self._epoch is None or self._epoch[0] != (seed, epoch):
            generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, epoch, 2**63]))
            self._epoch = (seed, epoch), generator.permutation(len(self))
        return self._epoch[1]


def _too_short(segment: np.ndarray, window: int, split: str, setting: str) -> str:
    """The error for a split in which no segment is as long as a window."""
    known = segment[segment >= 0]
    longest = np.bincount(known).max() if len(known) else 0
    return (
        f"no segment of the {split} period is as long as a window ({setting} = {window}): the longest "
        f"has {longest}, and {len(segment) - len(known)} of {len(segment)} frames are masked; shorten the "
        f"window or move domain.{split.removesuffix('ing')}"
    )
