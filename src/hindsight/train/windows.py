"""Windows of frames to learn from, read from the store as they are drawn."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from hindsight.errors import UserError
from hindsight.fields import calendar
from hindsight.fields.frames import Read
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.prior import conditions
from hindsight.settings import Train


def scaling(settings: Train, grid: Grid, climatology: Path, statistics: Path) -> Scaling:
    """How the prior sees fields: by area where its modes are those of the sphere."""
    found, colour = Scaling.read(climatology, statistics), settings.colour
    return found.by_area(grid.weights) if colour.basis == "waves" and colour.form != "white" else found


class Windows:
    """All windows of a split, in an order that is a function of the seed alone.

    Args:
        times: of the split's frames.
        read: gives frames.
        window: frames in a window.
        split: its name, for errors.
        stretch: which stretch of unbroken weather each frame belongs to (`calendar.stretches`): no window reaches from
            one into the next, and none holds a frame that is not known; none: all of them to one.

    Raises:
        UserError: if there is no window.
    """

    def __init__(
        self, times: np.ndarray, read: Read, window: int, split: str, stretch: np.ndarray | None = None
    ) -> None:
        if len(times) == 0:
            raise UserError(f"the {split} period has no frame; move or lengthen domain.{split.removesuffix('ing')}")
        if len(times) < window:
            raise UserError(
                f"the {split} period has {len(times)} frames, fewer than a window (train.window = {window}); "
                "lengthen the period or shorten the window"
            )
        stretch = np.zeros(len(times), int) if stretch is None else stretch
        self.read, self.window, self.conditions = read, window, conditions(times)
        self.starts = calendar.unbroken(stretch, window)
        if len(self.starts) == 0:
            raise UserError(_all_short(stretch, window, split))
        self._epoch: tuple[tuple[int, int], np.ndarray] | None = None
        self._reader, self._coming = ThreadPoolExecutor(1, "windows"), None

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, numbers: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Some windows, by number: fields (B, T, D) and conditions (B, T, K)."""
        asked, coming = list(numbers), self._coming
        fields = coming[1].result() if coming and coming[0] == asked else self._fields(asked)
        told = torch.stack([self.conditions[self.starts[n] : self.starts[n] + self.window] for n in asked])
        return torch.from_numpy(fields), told

    def prepare(self, numbers: Sequence[int]) -> None:
        """Begin to read windows that will be asked for next, in a thread of their own: it reads, and draws nothing."""
        asked = list(numbers)
        self._coming = asked, self._reader.submit(self._fields, asked)

    def _fields(self, numbers: list[int]) -> np.ndarray:
        starts = [int(self.starts[n]) for n in numbers]
        return np.stack([self.read(start, start + self.window) for start in starts])

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Some windows at random."""
        return self.at(torch.randint(len(self), (count,), generator=generator).tolist())

    def order(self, seed: int, first: int, count: int) -> list[int]:
        """Windows number `first` … of the endless order: every epoch has each window once, shuffled anew."""
        return [self._shuffled(seed, n // len(self))[n % len(self)] for n in range(first, first + count)]

    def _shuffled(self, seed: int, epoch: int) -> np.ndarray:
        if self._epoch is None or self._epoch[0] != (seed, epoch):
            generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, epoch, 2**63]))
            self._epoch = (seed, epoch), generator.permutation(len(self))
        return self._epoch[1]


def _all_short(stretch: np.ndarray, window: int, split: str) -> str:
    """What to say where no stretch holds a window."""
    known = stretch[stretch >= 0]
    longest = np.bincount(known).max() if len(known) else 0
    return (
        f"every stretch of known frames of the {split} period is shorter than a window (train.window = {window}): the "
        f"longest has {longest}, and {len(stretch) - len(known)} of {len(stretch)} frames are masked; shorten the "
        f"window or move domain.{split.removesuffix('ing')}"
    )
