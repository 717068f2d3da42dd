"""Inference plans: how noisy each frame is at each sampling step.

One trained prior serves every regime; the regime is only the order in which the frames become clean. With S steps from
pure noise to clean and a delay of d steps between the starts of neighbouring frames,

    plan[s, t] = clip(S + d * t - s, 0, S)

is nowcasting for d = S (a frame waits for the one before it), batch reanalysis for d = 0 (all frames together), and
fixed-lag smoothing in between (Chen et al. 2024, Diffusion Forcing, arXiv:2407.01392).

A stream is walked in cycles, each an array of noise levels over the frames that it sees. Observations of frames outside
a cycle's view do not exist for it, so what a regime may know is a property of its arrays.
"""

from dataclasses import dataclass

import numpy as np


def noise_plan(frames: int, steps: int, delay: float) -> np.ndarray:
    """Lay out the noise level of every frame at every sampling step.

    These are ForcingDAS's scheduling matrices (arXiv:2605.14285): `full_sequence` for a delay of 0, `pyramid` between,
    `autoregressive` for a delay of S.

    Args:
        frames: frames in the window, T.
        steps: steps a frame takes from pure noise to clean, S.
        delay: steps between the starts of neighbouring frames, 0 … S; a fraction is rounded down frame by frame.

    Returns:
        Levels counted in steps, 0 (clean) … S (pure noise); int64, shape (S + floor(delay * (T - 1)) + 1, T).
        The first row is all S, the last all 0, and no level ever rises.
    """
    if not 0 <= delay <= steps:
        raise ValueError(f"delay must lie in 0 … steps = {steps}, got {delay}")
    return np.stack([row(s, frames, steps, delay) for s in range(length(frames, steps, delay))])


def length(frames: int, steps: int, delay: float) -> int:
    """Rows of a plan."""
    return steps + int(delay * (frames - 1)) + 1


def row(number: int, frames: int, steps: int, delay: float) -> np.ndarray:
    """One row of a plan, (T,)."""
    starts = np.floor(delay * np.arange(frames)).astype(int)
    return np.clip(steps + starts - number, 0, steps)


@dataclass(frozen=True)
class Cycle:
    """One round of denoising.

    `rows` (R + 1, V) are the noise levels of the frames `first` … `first + V - 1` at each step, 0 where a frame is
    clean; a frame whose first level is above the one it has is made noisier first, and a frame that was never seen
    enters. `age` (V,) tells the rounds of a frame apart, for its random numbers. Frames before `finished` are done
    with after it. `weigh` asks for members to be weighed and resampled.
    """

    first: int
    rows: np.ndarray
    age: np.ndarray
    finished: int
    weigh: bool = False

    @property
    def view(self) -> slice:
        """The frames that it sees."""
        return slice(self.first, self.first + self.rows.shape[1])


def batch(frames: int, ladder: np.ndarray) -> list[Cycle]:
    """All frames together: every frame sees all observations.

    Args:
        frames: T.
        ladder: noise levels, rising from 0, (S + 1,).
    """
    rows = ladder[noise_plan(frames, len(ladder) - 1, 0)]
    return [Cycle(0, rows, np.zeros(frames, int), frames)]


def again(frames: int, ladder: np.ndarray, passes: int, sigma: float) -> list[Cycle]:
    """Batch, then passes of selection and rejuvenation: members are weighed, made noisy to `sigma`, and denoised."""
    cycles, low = batch(frames, ladder), np.append(ladder[ladder < sigma], sigma)
    for k in range(passes):
        rows = low[noise_plan(frames, len(low) - 1, 0)]
        cycles.append(Cycle(0, rows, np.full(frames, k + 1), 0))
    return [
        Cycle(c.first, c.rows, c.age, frames if last else 0, weigh=not last)
        for c, last in zip(cycles, [False] * passes + [True])
    ]


def held(frames: int, ladder: np.ndarray, lag: int, context: int) -> list[Cycle]:
    """A staircase of levels over a stream, finished frames held fixed (ForcingDAS, arXiv:2605.14285).

    A frame's walk ends when the frame `lag` after it has arrived. What is finished is taken for certain by what
    follows: exact for the trajectories of a member, but not the Kalman filter (docs/explanation/regimes.md says by how
    much).

    Args:
        frames: T.
        ladder: noise levels, rising from 0, (S + 1,).
        lag: frames after a frame that it may know; 0 is nowcasting.
        context: frames seen at once, the newest included.
    """
    own = _paced(len(ladder) - 1, lag + 1)
    delay = (len(own) - 1) // (lag + 1)
    row = np.arange(len(own) + delay * (frames - 1))[:, None]
    plan, cycles = own[np.clip(row - delay * np.arange(frames), 0, len(own) - 1)], []
    for newest in range(frames):
        last = newest == frames - 1
        part = plan[newest * delay :] if last else plan[newest * delay : (newest + 1) * delay + 1]
        view = slice(max(0, newest - max(context, lag + 1) + 1), newest + 1)
        rows = ladder[part[:, view]]
        rows = rows[np.append(True, (np.diff(rows, axis=0) < 0).any(1))]
        done = frames if last else int((part[-1] == 0).sum())
        cycles.append(Cycle(view.start, rows, newest - np.arange(view.start, view.stop), done))
    return cycles


def _paced(steps: int, rounds: int) -> np.ndarray:
    """A frame's levels from `steps` to 0 in rounds of as many rows, the last of which ends at 0.

    Where the steps are no multiple of the rounds, a frame waits out some rows; the last round always has a step.
    """
    taken = np.diff(steps * np.arange(rounds + 1) // rounds)
    falls = np.arange(taken.max()) < taken[:, None]
    return steps - np.append(0, falls.cumsum())


def moving(
    frames: int, ladder: np.ndarray, lag: int, context: int, hop: int = 1, carried: float = np.inf, weigh: bool = False
) -> list[Cycle]:
    """A window that moves over a stream, everything in it made noisy again and denoised together.

    Args:
        frames: T.
        ladder: noise levels, rising from 0, (S + 1,).
        lag: frames after a frame that it may know, at least; 0 is nowcasting.
        context: frames seen at once.
        hop: frames the window moves by.
        carried: level to which frames carried over are made noisy; infinite: all begin from pure noise, and the window
            is analysed for itself, which is exact if it is long enough.
        weigh: resample the members after every cycle.
    """
    cycles, done = [], 0
    newest = min(frames, lag + hop) - 1
    seen = 0  # frames that have entered
    while True:
        view = np.arange(max(0, newest - max(context, lag + hop) + 1), newest + 1)
        cap = np.where((view < seen) & np.isfinite(carried), carried, ladder[-1])
        rows = np.minimum(ladder[noise_plan(len(view), len(ladder) - 1, 0)], cap)
        last = newest == frames - 1
        done = frames if last else newest - lag + 1
        cycles.append(Cycle(int(view[0]), rows, newest - view, done, weigh))
        if last:
            return cycles
        seen, newest = newest + 1, min(newest + hop, frames - 1)
