"""Walk the cycles of a regime from noise to analyses: one walker for batch, fixed lag, nowcast and moving windows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from hindsight.diffusion.guidance import Denoiser
from hindsight.diffusion.plan import Cycle
from hindsight.diffusion.steps import Step, langevin

AGES = 2**20  # sampling steps of one round of a frame stay below this


class Noise(Protocol):
    """White noise of frames (absolute within the stretch), each at its own count of steps."""

    def __call__(
        self, view: slice, steps: np.ndarray, purpose: str, size: int | torch.Tensor | None = None
    ) -> torch.Tensor:
        """(E, V, size), D where no size is given; (E, V, N) for the keys (V, N) of observations."""


@dataclass
class State:
    """Members on their way: fields (E, T, D), the noise level of each frame (T,), infinite where it was never seen.

    Inside a cycle `row` of its steps are done, `moving` are its frames by then (E, V, D), and `memory` is what the step
    remembers of them; `fields` and `level` are those from before the cycle.
    """

    fields: torch.Tensor
    level: np.ndarray
    finished: int = 0
    cycle: int = 0
    row: int = 0
    moving: torch.Tensor | None = None
    memory: tuple[torch.Tensor, ...] = ()


class Diverged(FloatingPointError):
    """Members whose sample left the range of anything that could be; nothing of them may be written."""

    def __init__(self, cycle: int, row: int, members: list[int], channels: list[int]) -> None:
        super().__init__(f"member(s) {', '.join(map(str, members))} diverged in cycle {cycle}, step {row}")
        self.members, self.channels = members, channels


@dataclass(frozen=True)
class Way:
    """How the walker goes: the step, and Langevin corrections after each.

    `bound` is the largest root-mean-square of a channel of a member's frame that is still believed, one a channel; a
    single one holds for all values together.
    """

    step: Step
    corrections: int = 0
    correction_size: float = 0.1
    bound: float | tuple[float, ...] = float("inf")


@torch.no_grad()
def walk(
    cycles: list[Cycle],
    state: State,
    denoiser: Callable[[slice], Denoiser],
    way: Way,
    noise: Noise,
    weigh: Callable[[torch.Tensor, Cycle], torch.Tensor] = lambda members, cycle: members,
    watch: Callable[[int], None] = lambda done: None,
    between: Callable[[State], None] = lambda state: None,
) -> Iterator[State]:
    """Walk cycles, from where `state` is on.

    Args:
        cycles: what is seen and how noisy it is, see `plan`.
        state: where the walk begins, or was left.
        denoiser: the guided denoiser of a view.
        way: the step and what comes with it.
        noise: random numbers.
        weigh: resamples members (E, V, D) after a cycle that asks for it.
        watch: told of cycles and rows done, counted in rows.
        between: given the state after every row but the last of a cycle.

    Yields:
        The state after every cycle: frames before `finished` are samples of the analysis.

    Raises:
        Diverged: if a sample leaves what is believable.
    """
    done = sum(len(cycle.rows) - 1 for cycle in cycles[: state.cycle]) + state.row
    for number in range(state.cycle, len(cycles)):
        cycle = cycles[number]
        guided = denoiser(cycle.view)
        x = state.moving if state.row else _entered(cycle, state, guided, noise)
        way.step.begin(*state.memory)
        for row in range(state.row + 1, len(cycle.rows)):
            x, done = _down(cycle, row, x, guided, way, noise), done + 1
            _believable(x, cycle, number, row, way)
            watch(done)
            if row < len(cycle.rows) - 1:
                state.row, state.moving, state.memory = row, x, way.step.memory
                between(state)
        if cycle.weigh:
            x = weigh(x, cycle)
        state.fields[:, cycle.view] = x
        state.level[cycle.view] = cycle.rows[-1]
        state.finished, state.cycle = max(state.finished, cycle.finished), number + 1
        state.row, state.moving, state.memory = 0, None, ()
        yield state


def _entered(cycle: Cycle, state: State, guided: Denoiser, noise: Noise) -> torch.Tensor:
    """The frames of a cycle at its first levels: new ones enter, the others are made as noisy as is asked."""
    x, before, first = state.fields[:, cycle.view], state.level[cycle.view], cycle.rows[0]
    key = cycle.age * AGES
    white = lambda purpose, size=None: noise(cycle.view, key, purpose, size)
    tensor = lambda values: torch.as_tensor(values, dtype=x.dtype, device=x.device)
    new = torch.as_tensor(np.isinf(before), device=x.device)[:, None]
    target = tensor(first)[:, None]
    if bool(new.any()):
        drawn = guided.start(torch.where(new, 0.0, x), tensor(before), white)
        x = torch.where(new, drawn + target * white("start"), x)
    older = tensor(np.where(np.isinf(before), first, before))[:, None]
    more = (target.square() - older.square()).clamp(min=0).sqrt()
    return x + more * white("carry") if bool((more > 0).any()) else x


def _down(cycle: Cycle, row: int, x: torch.Tensor, guided: Denoiser, way: Way, noise: Noise) -> torch.Tensor:
    """The fields after a row, from those after the one before it."""
    above, below = torch.as_tensor(cycle.rows[row - 1 : row + 1], dtype=x.dtype, device=x.device)
    key = cycle.age * AGES + row * (1 + way.corrections)
    white = lambda purpose, size=None: noise(cycle.view, key, purpose, size)
    x = way.step(x, above, below, guided, white)
    for k in range(way.corrections):
        fresh = lambda purpose, size=None, key=key + k: noise(cycle.view, key, purpose, size)
        x = langevin(x, below, below < above, guided, fresh, way.correction_size)
    return x


def _believable(x: torch.Tensor, cycle: Cycle, number: int, row: int, way: Way) -> None:
    """Refuse members that are not finite or whose channels are larger than anything they and their noise could be.

    The root-mean-square of M values of white noise is 1 to within a few times 1 / sqrt(2 M).
    """
    level = torch.as_tensor(cycle.rows[row], dtype=x.dtype, device=x.device)[:, None]
    bound = torch.as_tensor(way.bound, dtype=x.dtype, device=x.device).reshape(-1)
    channels = x.unflatten(2, (len(bound), -1))
    size, noise = channels.square().mean(3).sqrt(), max(2.0, 1 + 8 / (2 * channels.shape[3]) ** 0.5)
    astray = ~torch.isfinite(size) | (size > bound + noise * level)  # (E, V, C)
    if bool(astray.any()):
        members, channels = (torch.nonzero(astray.any(others))[:, 0].tolist() for others in ((1, 2), (0, 1)))
        raise Diverged(number, row, members, channels)
