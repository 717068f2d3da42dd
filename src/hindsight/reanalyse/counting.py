"""The network evaluations of a stretch of frames, counted from its cycles before it is sampled."""

from dataclasses import dataclass

import numpy as np

from hindsight.diffusion import composed
from hindsight.diffusion.schedule import Cycle
from hindsight.reanalyse import regimes
from hindsight.settings import Reanalyse


@dataclass(frozen=True)
class Work:
    """Numbers of frames, over all members, that the network evaluates and that steps and guidance update."""

    evaluations: float = 0
    updates: float = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.evaluations + other.evaluations, self.updates + other.updates)

    def __mul__(self, factor: float) -> "Work":
        return Work(self.evaluations * factor, self.updates * factor)


class Counter:
    """Counts the work of a stretch; stretches of the same length and place among the windows are counted once.

    Args:
        settings: regime, steps, stride.
        step_hours: between frames.
        window: frames of the prior's window.
    """

    def __init__(self, settings: Reanalyse, step_hours: int, window: int) -> None:
        self.settings, self.step_hours = settings, step_hours
        self.window = settings.frames or window
        self._counted: dict[tuple[int, int], Work] = {}

    def __call__(self, first: int, frames: int) -> Work:
        """The work of one member, without retries.

        Args:
            first: absolute number of the first frame of the stretch.
            frames: of the stretch, halo included.
        """
        key = (int(first) % self.settings.stride, frames)  # windows start at absolute frame numbers
        if key not in self._counted:
            cycles = regimes.cycles(self.settings, frames, self.step_hours)
            self._counted[key] = sum((self._cycle(cycle, key[0]) for cycle in cycles), Work())
        return self._counted[key]

    def _cycle(self, cycle: Cycle, first: int) -> Work:
        """A row evaluates the windows with a frame whose level falls; a correction evaluates all windows."""
        rows, frames = len(cycle.rows) - 1, cycle.rows.shape[1]
        window = min(self.window, frames)
        starts = composed.starts(first + cycle.first, frames, window, self.settings.stride)
        falls = np.diff(cycle.rows, axis=0) < 0
        needed = sum(int(falls[:, start : start + window].any(1).sum()) for start in starts)
        corrections = self.settings.sampler.corrections
        return Work(window * (needed + corrections * rows * len(starts)), frames * rows * (1 + corrections))
