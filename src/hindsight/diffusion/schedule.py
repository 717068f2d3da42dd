"""Noise schedules: the noise level of each frame at each sampling step.

One trained prior serves every regime; a regime sets when frames become clean. With S steps from pure noise
to clean and a delay of d steps between the starts of neighbouring frames,

    schedule[s, t] = clip(S + floor(d * t) - s, 0, S)

is filtering for d = S (a frame waits for the one before it), batch reanalysis for d = 0 (all frames together), and
fixed-lag smoothing in between (Chen et al. 2024, Diffusion Forcing, arXiv:2407.01392). ForcingDAS's training draws rows
of it. In sampling, `batch` has d = 0, and `staircase` serves `past: fixed`: its delay is S / (lag + 1) rounded up, so
that a frame waits for its observations.

A stretch of frames is sampled in cycles, each with a noise schedule over the frames in its view. A cycle has only the
observations of its view, so its schedule determines which observations an analysis can use.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np


def noise_schedule(frames: int, steps: int, delay: float) -> np.ndarray:
    """The noise level of every frame at every sampling step, counted in steps.

    These are ForcingDAS's scheduling matrices (arXiv:2605.14285): `full_sequence` for a delay of 0, `pyramid` between,
    `autoregressive` for a delay of S.

    Args:
        frames: frames in the view, T.
        steps: steps from pure noise to clean, S.
        delay: steps between the starts of neighbouring frames, 0 … S; a fraction is rounded down frame by frame.

    Returns:
        Levels counted in steps, 0 (clean) … S (pure noise); int64, shape (S + floor(delay * (T - 1)) + 1, T).
        The first row is all S, the last all 0, and no level ever rises.

    Raises:
        ValueError: if the delay is not within 0 … S.
    """
    if not 0 <= delay <= steps:
        raise ValueError(f"delay must lie in 0 … steps = {steps}, got {delay}")
    return np.stack([row(s, frames, steps, delay) for s in range(length(frames, steps, delay))])


def length(frames: int, steps: int, delay: float) -> int:
    """Number of rows of a noise schedule."""
    return steps + int(delay * (frames - 1)) + 1


def row(number: int, frames: int, steps: int, delay: float) -> np.ndarray:
    """One row of a noise schedule, (T,)."""
    starts = np.floor(delay * np.arange(frames)).astype(int)
    return np.clip(steps + starts - number, 0, steps)


Weigh = Literal["never", "before", "after"]


@dataclass(frozen=True)
class Cycle:
    """One round of denoising of the frames `first` … `first + V - 1`, its view.

    Attributes:
        first: first frame of the view, counted from the start of the stretch.
        rows: noise level of each frame at each step, (R + 1, V); 0 is clean. A new frame begins at its level in the
            first row; an earlier frame with a lower level is first made noisy up to it, or begins anew if new
            frames begin at that level.
        noise_number: a number for each frame, (V,), that rises from one cycle of the frame to its next one and that its
            random numbers depend on; it may skip numbers.
        finished: frames before this one are final after the cycle.
        weigh: when members are weighted and resampled: before the cycle, by how well they foresee the observations of
            the frames that enter (if any frame entered before), or after it, by their misfit.
        inversion: steps by which clean frames are brought to their first level, see `inversion`; 0: by new noise.
    """

    first: int
    rows: np.ndarray
    noise_number: np.ndarray
    finished: int
    weigh: Weigh = "never"
    inversion: int = 0

    @property
    def low(self) -> float:
        """The lowest noise level above 0, at which an inversion begins."""
        return float(self.rows[self.rows > 0].min())

    def inverts(self, level: np.ndarray) -> np.ndarray:
        """Which frames are inverted (V,): those that are clean (levels (V,)) and whose first level lies above `low`."""
        return (level == 0) & (self.rows[0] > self.low) & bool(self.inversion)

    @property
    def view(self) -> slice:
        """The frames of the cycle."""
        return slice(self.first, self.first + self.rows.shape[1])

    def new_frames(self, level: np.ndarray) -> np.ndarray:
        """Which frames begin anew (V,): new ones (levels (V,), infinite), and those brought to the level of new ones.

        A field plus noise of that level would still contain the field, a share of about 1 / level^2.
        """
        new = np.isinf(level)
        as_new = self.rows[0] >= self.rows[0][new].max(initial=0) if new.any() else new
        return new | (as_new & (level < self.rows[0]) & ~self.inverts(level))

    def weighs_before(self, level: np.ndarray) -> bool:
        """Whether members are weighted before it: some frames (levels (V,)) are in it, and others enter."""
        return self.weigh == "before" and bool(np.isfinite(level).any() and np.isinf(level).any())


def batch(frames: int, levels: np.ndarray) -> list[Cycle]:
    """All frames together: every frame uses all observations.

    Args:
        frames: T.
        levels: noise levels, rising from 0, (S + 1,).
    """
    rows = levels[noise_schedule(frames, len(levels) - 1, 0)]
    return [Cycle(0, rows, np.zeros(frames, int), frames)]


def rejuvenated(frames: int, levels: np.ndarray, passes: int, sigma: float) -> list[Cycle]:
    """Batch, then passes of resampling and rejuvenation: members are resampled, noised to `sigma` and denoised."""
    cycles, low = batch(frames, levels), np.append(levels[levels < sigma], sigma)
    for k in range(passes):
        rows = low[noise_schedule(frames, len(low) - 1, 0)]
        cycles.append(Cycle(0, rows, np.full(frames, k + 1), 0))
    return [
        Cycle(c.first, c.rows, c.noise_number, frames if last else 0, "never" if last else "after")
        for c, last in zip(cycles, [False] * passes + [True])
    ]


def staircase(frames: int, levels: np.ndarray, lag: int, context: int, weigh: Weigh = "never") -> list[Cycle]:
    """A staircase of noise levels over a stretch, finished frames kept fixed (ForcingDAS, arXiv:2605.14285).

    A frame is finished in the cycle in which the frame `lag` after it is the newest. Later frames take finished ones
    as certain. That is exact given a member's past; it is the Kalman filter or fixed-lag smoother if members are also
    weighted before each cycle (docs/explanation/regimes.md).

    Args:
        frames: T.
        levels: noise levels, rising from 0, (S + 1,).
        lag: number of later frames whose observations a frame may use; 0 is nowcasting.
        context: frames in view, the newest included.
        weigh: see `Cycle`.
    """
    steps = _steps_by_row(len(levels) - 1, lag + 1)
    delay = (len(steps) - 1) // (lag + 1)
    row = np.arange(len(steps) + delay * (frames - 1))[:, None]
    schedule, cycles = steps[np.clip(row - delay * np.arange(frames), 0, len(steps) - 1)], []
    for newest in range(frames):
        last = newest == frames - 1
        part = schedule[newest * delay :] if last else schedule[newest * delay : (newest + 1) * delay + 1]
        view = slice(max(0, newest - max(context, lag + 1) + 1), newest + 1)
        rows = levels[part[:, view]]
        rows = rows[np.append(True, (np.diff(rows, axis=0) < 0).any(1))]
        finished = frames if last else int((part[-1] == 0).sum())
        cycles.append(Cycle(view.start, rows, newest - np.arange(view.start, view.stop), finished, weigh))
    return cycles


def _steps_by_row(steps: int, rounds: int) -> np.ndarray:
    """Number of steps that a frame has yet to take, by row, from `steps` to 0.

    All rounds have the same number of rows. If `steps` is not a multiple of `rounds`, the frame waits in the last rows
    of some rounds, but never of the last one.
    """
    taken = np.diff(steps * np.arange(rounds + 1) // rounds)
    falls = np.arange(taken.max()) < taken[:, None]
    return steps - np.append(0, falls.cumsum())


def carried_levels(carried: float | tuple[float, float], frames: int) -> np.ndarray:
    """Noise levels of frames that are carried over, (frames,); see `moving_window`."""
    oldest, newest = carried if isinstance(carried, tuple) else (carried, carried)
    if oldest == newest:
        return np.full(frames, oldest)
    return 1 / np.linspace(1 / (1 + oldest), 1 / (1 + newest), frames) - 1


def moving_window(
    frames: int,
    levels: np.ndarray,
    lag: int,
    context: int,
    hop: int = 1,
    carried: float | tuple[float, float] = np.inf,
    weigh: Weigh = "never",
    inversion: int = 0,
) -> list[Cycle]:
    """A window that moves over a stretch; all its frames are made noisy again and denoised together.

    Args:
        frames: T.
        levels: noise levels, rising from 0, (S + 1,).
        lag: least number of later frames whose observations a frame may use; 0 is nowcasting.
        context: frames in the window.
        hop: frames that the window moves by.
        carried: noise level that frames carried over are brought to; infinite: all frames begin anew, and each window
            is analysed by itself, which is exact if it is long enough. Two levels are those of the oldest and the
            newest of them; between these, 1 / (1 + level) is linear in time (DAWIS, arXiv:2610.03314).
        weigh: see `Cycle`.
        inversion: see `Cycle`.
    """
    cycles, entered, newest = [], 0, min(frames, lag + hop) - 1
    while True:
        view = np.arange(max(0, newest - max(context, lag + hop) + 1), newest + 1)
        cap = np.full(len(view), levels[-1])
        cap[: entered - view[0]] = np.minimum(carried_levels(carried, entered - view[0]), levels[-1])
        rows = np.minimum(levels[noise_schedule(len(view), len(levels) - 1, 0)], cap)
        last = newest == frames - 1
        finished = frames if last else newest - lag + 1
        cycles.append(Cycle(int(view[0]), rows, newest - view, finished, weigh, inversion if entered else 0))
        if last:
            return cycles
        entered, newest = newest + 1, min(newest + hop, frames - 1)
