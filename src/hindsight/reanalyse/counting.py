"""What a stretch of frames takes, counted from its cycles before it is sampled."""

from dataclasses import dataclass

import numpy as np

from hindsight.diffusion import composed
from hindsight.diffusion.plan import Cycle
from hindsight.reanalyse import regimes
from hindsight.settings import Reanalyse


@dataclass(frozen=True)
class Work:
    """Frames of members that the network sees, and frames of members that steps and guidance move."""

    evaluations: float = 0
    updates: float = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.evaluations + other.evaluations, self.updates + other.updates)

    def __mul__(self, factor: float) -> "Work":
        return Work(self.evaluations * factor, self.updates * factor)


class Counter:
    """Counts stretches, each length and place among the windows once: fifty years are cut into few kinds of jobs.

    Args:
        settings: regime, steps, stride.
        step_hours: between frames.
        window: frames of the prior's window.
    """

    def __init__(self, settings: Reanalyse, step_hours: int, window: int) -> None:
        self.settings, self.step_hours = settings, step_hours
        self.window = settings.frames or window
        self._known: dict[tuple[int, int], Work] = {}

    def __call__(self, first: int, frames: int) -> Work:
        """What one member takes, without retries.

        Args:
            first: absolute number of the stretch's first frame.
            frames: of the stretch, halo included.
        """
        key = (int(first) % self.settings.stride, frames)  # windows start at absolute frame numbers
        if key not in self._known:
            cycles = regimes.cycles(self.settings, frames, self.step_hours)
            self._known[key] = sum((self._cycle(cycle, key[0]) for cycle in cycles), Work())
        return self._known[key]

    def _cycle(self, cycle: Cycle, first: int) -> Work:
        """A row evaluates the windows that hold a frame whose level falls; a correction evaluates all of them."""
        rows, seen = len(cycle.rows) - 1, cycle.rows.shape[1]
        window = min(self.window, seen)
        starts = composed.starts(first + cycle.first, seen, window, self.settings.stride)
        falls = np.diff(cycle.rows, axis=0) < 0
        needed = sum(int(falls[:, start : start + window].any(1).sum()) for start in starts)
        corrections = self.settings.sampler.corrections
        return Work(window * (needed + corrections * rows * len(starts)), seen * rows * (1 + corrections))
