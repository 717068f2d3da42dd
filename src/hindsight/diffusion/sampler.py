"""Sample the cycles of a regime, from noise to analyses; the same sampler serves every regime."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch

from hindsight.diffusion import inversion, langevin
from hindsight.diffusion.guidance import Denoiser
from hindsight.diffusion.schedule import Cycle
from hindsight.diffusion.steps import Step

Resample = Callable[[torch.Tensor, np.ndarray, Cycle], torch.Tensor]
MAX_STEPS_PER_CYCLE = 2**20  # no cycle has as many; the counter of random numbers starts at a multiple of it


class Noise(Protocol):
    """White noise for the frames `view` of the stretch; `steps` (V,) numbers the sampling steps of each frame."""

    def __call__(
        self,
        view: slice,
        steps: np.ndarray,
        purpose: str,
        size: int | None = None,
        keys: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`size` numbers for each frame, D by default, (E, V, size); with `keys`, one for each observation, (E, V, N).

        Args:
            view: the frames.
            steps: a number for each frame that no other of its sampling steps has.
            purpose: use of the noise, one of `frame_random.PURPOSES`.
            size: numbers for each frame.
            keys: of the observations, (V, N).
        """


@dataclass
class State:
    """Members during sampling: fields (E, T, D) and the noise level of each frame (T,), infinite before it enters.

    During a cycle `row` of its sampling steps are done, `partial` (E, V, D) is the result so far, and `memory` is what
    the sampling step remembers; `fields` and `level` do not change from its first row until it ends.
    """

    fields: torch.Tensor
    level: np.ndarray
    finished: int = 0
    cycle: int = 0
    row: int = 0
    partial: torch.Tensor | None = None
    memory: tuple[torch.Tensor, ...] = ()


class Diverged(FloatingPointError):
    """Members whose fields are not finite or implausibly large; none of them may be written.

    Attributes:
        cycle, row: in which cycle, from 0, and after how many of its steps.
        members: their positions on the axis of members; `describe` takes the members' numbers.
        channels: positions of the channels that show it.
    """

    def __init__(self, cycle: int, row: int, members: list[int], channels: list[int]) -> None:
        self.cycle, self.row, self.members, self.channels = cycle, row, members, channels
        super().__init__(self.describe(range(max(members) + 1)))

    def describe(self, numbers: Sequence[int]) -> str:
        """Which members diverged, by their numbers (E,), and when."""
        members = ", ".join(str(numbers[e]) for e in self.members)
        return f"member(s) {members} diverged in step {self.row} of cycle {self.cycle + 1}"


@dataclass(frozen=True)
class StepSettings:
    """A sampling step, with Langevin corrections after each.

    `bound` is the largest plausible root-mean-square of a channel of a member's frame, one for each channel; a single
    number holds for all values together.
    """

    step: Step
    corrections: int = 0
    correction_size: float = 0.1
    bound: float | tuple[float, ...] = float("inf")


@torch.no_grad()
def sample(
    cycles: list[Cycle],
    state: State,
    denoiser: Callable[[slice], Denoiser],
    step_settings: StepSettings,
    noise: Noise,
    resample: Resample = lambda members, level, cycle: members,
    progress: Callable[[int], None] = lambda done: None,
    after_row: Callable[[State], None] = lambda state: None,
    unguided: Callable[[slice], Denoiser] | None = None,
) -> Iterator[State]:
    """Sample the cycles one after the other, from `state` on.

    Args:
        cycles: views and noise schedules, see `schedule`.
        state: where sampling begins or resumes; it is changed in place.
        denoiser: returns the guided denoiser of a view.
        step_settings: sampling step and corrections.
        noise: random numbers.
        resample: resamples members (E, V, D) at noise levels (V,), as `Cycle.weigh` says.
        progress: is called with the number of rows done in all cycles.
        after_row: is called with the state after every row but the last of a cycle.
        unguided: returns the denoiser of a view without observations, for cycles with an inversion.

    Yields:
        The state after every cycle: frames before `finished` are samples of the analysis.

    Raises:
        Diverged: if members are not finite or implausibly large.
        ValueError: if a cycle has an inversion, and there is no unguided denoiser.
    """
    done = sum(len(cycle.rows) - 1 for cycle in cycles[: state.cycle]) + state.row
    for number in range(state.cycle, len(cycles)):
        cycle = cycles[number]
        if not state.row:
            _weigh_before(cycle, state, resample)
        guided = denoiser(cycle.view)
        x = state.partial if state.row else initial(cycle, state, guided, noise, unguided)
        step_settings.step.begin(*state.memory)
        for row in range(state.row + 1, len(cycle.rows)):
            x, done = next_row(cycle, row, x, guided, step_settings, noise), done + 1
            _check_bounds(x, cycle, number, row, step_settings)
            progress(done)
            if row < len(cycle.rows) - 1:
                state.row, state.partial, state.memory = row, x, step_settings.step.memory
                after_row(state)
        if cycle.weigh == "after":
            x = resample(x, cycle.rows[-1], cycle)
        state.fields[:, cycle.view] = x
        state.level[cycle.view] = cycle.rows[-1]
        state.finished, state.cycle = max(state.finished, cycle.finished), number + 1
        state.row, state.partial, state.memory = 0, None, ()
        yield state


def _weigh_before(cycle: Cycle, state: State, resample: Resample) -> None:
    """Resample the members' past before the cycles that ask for it, if they have one."""
    level = state.level[cycle.view]
    if cycle.weighs_before(level):
        state.fields[:, cycle.view] = resample(state.fields[:, cycle.view], level, cycle)


def initial(
    cycle: Cycle, state: State, guided: Denoiser, noise: Noise, unguided: Callable[[slice], Denoiser] | None
) -> torch.Tensor:
    """The frames of a cycle at its first levels: new ones enter, the others get the noise that they lack."""
    x, first = state.fields[:, cycle.view], cycle.rows[0]
    white = partial(noise, cycle.view, cycle.noise_number * MAX_STEPS_PER_CYCLE)
    tensor = lambda values: torch.as_tensor(values, dtype=x.dtype, device=x.device)
    anew = cycle.new_frames(state.level[cycle.view])
    before = np.where(anew, np.inf, state.level[cycle.view])
    new, target = torch.as_tensor(anew, device=x.device)[:, None], tensor(first)[:, None]
    if bool(new.any()):
        drawn = guided.start(torch.where(new, 0.0, x), tensor(before), white)
        x = torch.where(new, drawn + target * white("start"), x)
    if bool((clean := torch.as_tensor(cycle.inverts(before), device=x.device)).any()):
        if unguided is None:
            raise ValueError("a cycle with an inversion needs a denoiser without observations")
        return inversion.inverted(x, clean, cycle.low, tensor(first), cycle.inversion, unguided(cycle.view))
    older = tensor(np.where(np.isinf(before), first, before))[:, None]
    more = (target.square() - older.square()).clamp(min=0).sqrt()
    return x + more * white("carry") if bool((more > 0).any()) else x


def next_row(
    cycle: Cycle, row: int, x: torch.Tensor, guided: Denoiser, step_settings: StepSettings, noise: Noise
) -> torch.Tensor:
    """The fields at the levels of a row, from those at the row before it."""
    above, below = torch.as_tensor(cycle.rows[row - 1 : row + 1], dtype=x.dtype, device=x.device)
    number = cycle.noise_number * MAX_STEPS_PER_CYCLE + row * (1 + step_settings.corrections)
    white = partial(noise, cycle.view, number)
    x = step_settings.step(x, above, below, guided, white)
    for k in range(step_settings.corrections):
        fresh = partial(noise, cycle.view, number + k)
        x = langevin.correct(x, below, below < above, guided, fresh, step_settings.correction_size)
    return x


def _check_bounds(x: torch.Tensor, cycle: Cycle, number: int, row: int, step_settings: StepSettings) -> None:
    """Raise an error if members are not finite or a channel exceeds its bound plus a multiple of its noise.

    The root-mean-square of M values of white noise is 1 to within a few times 1 / sqrt(2 M).
    """
    level = torch.as_tensor(cycle.rows[row], dtype=x.dtype, device=x.device)[:, None]
    bound = torch.as_tensor(step_settings.bound, dtype=x.dtype, device=x.device).reshape(-1)
    channels = x.unflatten(2, (len(bound), -1))
    size, noise = channels.square().mean(3).sqrt(), max(2.0, 1 + 8 / (2 * channels.shape[3]) ** 0.5)
    wrong = ~torch.isfinite(size) | (size > bound + noise * level)  # (E, V, C)
    if bool(wrong.any()):
        members, channels = (torch.nonzero(wrong.any(others))[:, 0].tolist() for others in ((1, 2), (0, 1)))
        raise Diverged(number, row, members, channels)
