"""Roll-outs of a prior under control, which give gradients: what a controller is trained on.

A roll-out is what the sampler does in regimes nowcast and fixed_lag with a fixed past, frame after frame from nothing,
for the members of several training windows side by side, each window with a random network of observations of its own.

With `cost: truth` the costs on the way are those of denoising: the error of the estimate from the *true* frame with
noise, given the finished frames of the roll-out and the observations. The estimate with the least cost is E[x_0 | x_s,
past, y], with which sampling draws from the posterior. The error of an estimate from the roll-out's own noisy frame
would not do: that frame and the truth are independent, given the observations, so the best estimate would be the mean
whatever the frame, for all members.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from hindsight.diffusion import frame_random, noise, sampler, schedule, steps
from hindsight.diffusion.denoiser import error_scale
from hindsight.diffusion.guidance import falling
from hindsight.diffusion.guidance.controlled import Controlled, Lifted
from hindsight.diffusion.guidance.unguided import Cost
from hindsight.diffusion.sampler import MAX_STEPS_PER_CYCLE, State, StepSettings
from hindsight.diffusion.schedule import Cycle
from hindsight.prior import Prior
from hindsight.settings import Controller, Sampling


@dataclass(frozen=True)
class GridObservations:
    """Observed values of states, y = w x + e, with their errors; an error of 0 stands for a value that is not observed.

    Attributes:
        value: y, (E, T, D).
        error: standard deviation of e, (E, T, D).
        weight: w, (D,): one over the weight by area of each value.
    """

    value: torch.Tensor
    error: torch.Tensor
    weight: torch.Tensor

    def __call__(self, clean: torch.Tensor, error: torch.Tensor) -> Lifted:
        """Lift them to the grid, see `controlled.Preview`."""
        observed = self.error > 0
        expected = (error[:, None] * self.weight).square()
        total = (expected + self.error.square()).clamp(min=1e-12)
        departure = (self.value - self.weight * clean) / total.sqrt() * observed
        return Lifted(departure, expected / total * observed)

    def frames(self, view: slice) -> "GridObservations":
        """Those of some frames."""
        return GridObservations(self.value[:, view], self.error[:, view], self.weight)

    def misfit(self, state: torch.Tensor) -> torch.Tensor:
        """Half the mean squared departure in observation errors; 0 if nothing is observed."""
        observed = self.error > 0
        departure = torch.where(observed, (self.value - self.weight * state) / self.error.clamp(min=1e-12), 0.0)
        return 0.5 * departure.square().sum() / observed.sum().clamp(min=1)


def observe(
    clean: torch.Tensor,
    shape: tuple[int, int, int],
    weight: torch.Tensor,
    settings: Controller,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Observed values and errors (T, D) of a window (T, D) by a random network.

    The network observes a share of the places (log-uniform), the same in all frames or new ones in each, with one error
    (log-uniform), in every, every second … frame from some frame on.
    """
    channels, height, width = shape
    frames, places = len(clean), height * width
    draw = lambda *size: torch.rand(*size, generator=generator)
    between = lambda low, high: math.exp(math.log(low) + math.log(high / low) * float(draw(1)))
    count = max(1, round(between(settings.share_min, settings.share_max) * places))
    error = between(settings.error_min, settings.error_max)
    rank = draw(frames, places).argsort(-1).argsort(-1)
    rank = rank[:1].expand(frames, -1) if float(draw(1)) < 0.5 else rank
    every = settings.every[int(draw(1) * len(settings.every))]
    when = (torch.arange(frames) + int(draw(1) * every)) % every == 0
    observed = ((rank < count) & when[:, None]).repeat(1, channels)
    errors = observed * error
    value = weight * clean + errors * torch.randn(clean.shape, generator=generator)
    return torch.where(observed, value, 0.0), errors


class Recorded(Controlled):
    """The guidance, which remembers its last estimate and control."""

    estimate: torch.Tensor
    parts: tuple[torch.Tensor, ...] = ()

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """The controlled estimate (E, T, D)."""
        self.parts = ()
        self.estimate = super().mean(noisy, above, below)
        return self.estimate

    def _tally(self, parts: tuple[torch.Tensor, ...], seen: torch.Tensor) -> None:
        super()._tally(parts, seen)
        self.parts = parts


@dataclass(frozen=True)
class Start:
    """What a roll-out starts from: windows and what is random about it.

    Attributes:
        clean: the windows, once for each member, (E, T, D).
        conditions: of their frames, (E, T, K).
        observations: of the windows.
        members: numbers that determine the noise of each member, (E,).
    """

    clean: torch.Tensor
    conditions: torch.Tensor
    observations: GridObservations
    members: Sequence[int]


class Walk:
    """A roll-out under way.

    Args:
        prior: the frozen prior.
        control: the controller.
        start: windows, observations and members.
        settings: costs, and how many steps the gradient goes back.
        sampling: regime, steps and noise levels.
    """

    def __init__(
        self, prior: Prior, control: nn.Module, start: Start, settings: Controller, sampling: Sampling
    ) -> None:
        self.prior, self.control, self.begun, self.settings, self.sampling = prior, control, start, settings, sampling
        self.cycles = cycles(sampling, start.clean.shape[1], prior.metadata.step_hours)
        self.step = StepSettings(steps.build(sampling.sampler.step, **sampling.sampler.options()))
        self.state = State(torch.zeros_like(start.clean), np.full(start.clean.shape[1], np.inf))
        self.cost = Cost()

    @property
    def over(self) -> bool:
        """Whether all frames are finished."""
        return self.state.cycle == len(self.cycles)

    def advance(self, rows: int) -> torch.Tensor:
        """Walk some sampling steps on; the mean of their costs, whose gradient does not go further back."""
        state, costs = self.state, []
        state.fields = state.fields.detach()
        state.partial = None if state.partial is None else state.partial.detach()
        while len(costs) < rows and not self.over:
            costs.append(self._row())
        return torch.stack(costs).mean()

    def noise(
        self, view: slice, steps: np.ndarray, purpose: str, size: int | None = None, keys: torch.Tensor | None = None
    ) -> torch.Tensor:
        """White noise for some frames, a function of seed, member, frame, step and purpose; (E, V, size)."""
        frames = range(*view.indices(self.begun.clean.shape[1]))
        size = self.prior.process.size if size is None else size
        drawn = frame_random.normal(self.settings.seed, self.begun.members, frames, steps, purpose, size)
        return drawn.to(self.begun.clean.device)

    def _row(self) -> torch.Tensor:
        """One sampling step, its costs and those of the frames that it finishes."""
        state, cycle = self.state, self.cycles[self.state.cycle]
        guided = self._denoiser(cycle.view)
        before = state.partial if state.row else sampler.initial(cycle, state, guided, self.noise, None)
        row = state.row + 1
        walk = lambda x: self._step(x, cycle, row, guided)
        if self.settings.recompute and self.settings.truncate > 1 and torch.is_grad_enabled():
            x, cost = checkpoint(walk, before, use_reentrant=False)
        else:
            x, cost = walk(before)
        state.row, state.partial = row, x
        return cost + self._end_cycle(cycle, x) if row == len(cycle.rows) - 1 else cost

    def _step(self, x: torch.Tensor, cycle: Cycle, row: int, guided: Recorded) -> tuple[torch.Tensor, torch.Tensor]:
        """The next fields, and the costs on the way."""
        above, below = (
            torch.as_tensor(level, dtype=x.dtype, device=x.device) for level in cycle.rows[row - 1 : row + 1]
        )
        after = sampler.next_row(cycle, row, x, guided, self.step, self.noise)
        if self.settings.cost == "truth":
            guided.mean(self._noisy_truth(x, above, cycle, row), above, below)
        cost = self.settings.intermediate * self._intermediate(
            guided.estimate, above, falling(above, below), cycle.view
        )
        if self.settings.size:
            cost = cost + self.settings.size * sum(part.square().mean() for part in guided.parts)
        return after, cost

    def _noisy_truth(self, x: torch.Tensor, above: torch.Tensor, cycle: Cycle, row: int) -> torch.Tensor:
        """The true frames with noise of their levels, after the finished frames of the roll-out."""
        key = cycle.noise_number * MAX_STEPS_PER_CYCLE + row  # "select" is for particles, so its numbers are free here
        noisy = self.begun.clean[:, cycle.view] + above[:, None] * self.noise(cycle.view, key, "select")
        return torch.where(above[:, None] > 0, noisy, x.detach())

    def _intermediate(
        self, estimate: torch.Tensor, above: torch.Tensor, moving: torch.Tensor, view: slice
    ) -> torch.Tensor:
        """Squared error of the denoised estimates of the frames that move, in expected errors."""
        error = error_scale(self.prior.process, above.clamp(min=self._fixed_sigma)[None])[0]
        if self.settings.cost == "truth":
            departure = (estimate - self.begun.clean[:, view]) / error[:, None]
            return departure[:, moving].square().mean()
        lifted = self.begun.observations.frames(view)(estimate, error)
        observed = (lifted.share > 0)[:, moving]
        return lifted.departure[:, moving].square().sum() / observed.sum().clamp(min=1)

    def _end_cycle(self, cycle: Cycle, x: torch.Tensor) -> torch.Tensor:
        """Put the fields of a cycle back; the costs of the frames that are finished now."""
        state = self.state
        state.fields = state.fields.clone()
        state.fields[:, cycle.view] = x
        state.level[cycle.view] = cycle.rows[-1]
        done = slice(state.finished, max(state.finished, cycle.finished))
        state.finished, state.cycle, state.row, state.partial = done.stop, state.cycle + 1, 0, None
        return self._finished(state.fields[:, done], done) if done.stop > done.start else x.new_zeros(())

    def _finished(self, fields: torch.Tensor, done: slice) -> torch.Tensor:
        """Costs of finished frames: the misfit of the members to observations, or their CRPS."""
        if self.settings.cost == "observations":
            return self.begun.observations.frames(done).misfit(fields)
        return crps(fields.unflatten(0, (-1, self.settings.members)), self.begun.clean[:: self.settings.members, done])

    @property
    def _fixed_sigma(self) -> float:
        return self.sampling.fixed_sigma or self.sampling.sigma_min

    def _denoiser(self, view: slice) -> Recorded:
        """The controlled denoiser of some frames."""
        conditions = self.begun.conditions[:, view]
        prior = self.prior.unguided(view.start, conditions, self.sampling, len(conditions), self.cost)
        return Recorded(prior, self.begun.observations.frames(view), self.control)


def cycles(sampling: Sampling, frames: int, step_hours: float) -> list[Cycle]:
    """The cycles of a roll-out: those of regime nowcast or fixed_lag with a fixed past."""
    levels = noise.levels(sampling.steps, sampling.sigma_min, sampling.sigma_max, sampling.rho)
    return schedule.staircase(frames, levels, sampling.lag_frames(step_hours), sampling.context)


def crps(members: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean fair continuous ranked probability score of members (B, M, …), given the truth (B, …); Ferro (2014)."""
    count = members.shape[1]
    apart = sum((members - members.roll(k, 1)).abs().mean() for k in range(1, count)) / (count - 1)
    return (members - truth[:, None]).abs().mean() - apart / 2
