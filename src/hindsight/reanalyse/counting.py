"""The network evaluations of a stretch of frames, counted from its cycles before it is sampled."""

from dataclasses import dataclass

import numpy as np

from hindsight.diffusion import composed
from hindsight.diffusion.schedule import Cycle
from hindsight.reanalyse import regimes
from hindsight.settings import Reanalyse


@dataclass(frozen=True)
class Work:
    """The work of sampling, counted in frames.

    Attributes:
        evaluations: frames given to the network; one in several windows counts as often.
        updates: frames that a sampling step, a correction or a solve of the guidance changes.
    """

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

    def __init__(self, settings: Reanalyse, step_hours: float, window: int) -> None:
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
            self._counted[key] = self._stretch(key[0], frames)
        return self._counted[key]

    def _stretch(self, first: int, frames: int) -> Work:
        level, work = np.full(frames, np.inf), Work()
        for cycle in regimes.cycles(self.settings, frames, self.step_hours):
            work += self._weights(cycle, level[cycle.view], first) + self._cycle(cycle, first)
            work += self._inversion(cycle, level[cycle.view], first)
            level[cycle.view] = cycle.rows[-1]
        return work

    def _weights(self, cycle: Cycle, level: np.ndarray, first: int) -> Work:
        """Weights before a cycle evaluate the windows with a frame that is not clean, and solve two systems."""
        if not cycle.weighs_before(level):
            return Work()
        covariances = 2 * len(level) if self.settings.window.weights == "predictive" else 0
        return Work(self._windows(cycle, level[None] > 0, first), covariances)

    def _inversion(self, cycle: Cycle, level: np.ndarray, first: int) -> Work:
        """A step of an inversion evaluates the windows with a frame that is inverted."""
        return Work(self._windows(cycle, cycle.inverts(level)[None], first)) * cycle.inversion

    def _cycle(self, cycle: Cycle, first: int) -> Work:
        """A row evaluates the windows with a frame whose level falls; a correction evaluates all windows."""
        rows, frames = len(cycle.rows) - 1, cycle.rows.shape[1]
        corrections, falls = self.settings.sampler.corrections, np.diff(cycle.rows, axis=0) < 0
        needed = self._windows(cycle, falls, first) + corrections * self._windows(cycle, falls | True, first)
        return Work(needed, frames * rows * (1 + corrections))

    def _windows(self, cycle: Cycle, needed: np.ndarray, first: int) -> int:
        """Frames of the windows that the network evaluates: those with a frame that is `needed` in a row (R, V)."""
        window = min(self.window, needed.shape[1])
        starts = composed.starts(first + cycle.first, needed.shape[1], window, self.settings.stride)
        return window * sum(int(needed[:, start : start + window].any(1).sum()) for start in starts)
