"""One attempt to analyse a stretch of frames: prior, observations, members and their random numbers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from hindsight import prior as priors
from hindsight.diffusion import frame_random, guidance, predictive, selection
from hindsight.diffusion.guidance import Denoiser, Setup, analytic
from hindsight.diffusion.guidance.unguided import Cost, Unguided
from hindsight.diffusion.sampler import MAX_STEPS_PER_CYCLE
from hindsight.diffusion.schedule import Cycle
from hindsight.fields import calendar
from hindsight.operators.linear import LinearObservations
from hindsight.prior import Prior
from hindsight.settings import Reanalyse


@dataclass(frozen=True)
class Task:
    """Which frames and members to analyse, and from which observations.

    Attributes:
        times: of the frames, T.
        table: the observations that may be used.
        members: their numbers, E of them.
        seed: of the product.
        extremes: of each channel in the training period, see `rows.reject_gross_errors`.
        antithetic: whether members come in pairs of opposite noise.
    """

    times: np.ndarray
    table: pd.DataFrame
    members: list[int]
    seed: int
    extremes: np.ndarray | None = None
    antithetic: bool = False


class Assimilation:
    """Supplies the sampler with guided denoisers and random numbers for a stretch of frames.

    Args:
        prior: trained.
        task: frames, members and seed.
        observations: of the frames.
        settings: guidance and noise levels.
        attempt: number of earlier attempts; each has its own random numbers.
    """

    def __init__(
        self, prior: Prior, task: Task, observations: LinearObservations, settings: Reanalyse, attempt: int = 0
    ) -> None:
        self.prior, self.members, self.seed, self.settings = prior, task.members, task.seed, settings
        self.antithetic = task.antithetic
        self.device = prior.maps.device
        self.observations = observations.to(self.device)
        self.frames = calendar.frame_number(task.times, prior.metadata.step_hours)
        self.conditions = priors.conditions(task.times).to(self.device)
        self.cost, self.attempt, self._cache = Cost(), attempt, {}

    def noise(
        self,
        view: slice,
        steps: np.ndarray,
        purpose: str,
        size: int | None = None,
        keys: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """White noise (E, V, size) for some frames, or (E, V, N) for their observations, given the keys (V, N)."""
        steps = steps + self.attempt * MAX_STEPS_PER_CYCLE**2
        if keys is not None:
            drawn = frame_random.for_observations(self.seed, self.members, keys, steps, purpose, self.antithetic)
            return drawn.to(self.device)
        size, frames = self.prior.process.size if size is None else size, self.frames[view]
        drawn = frame_random.normal(self.seed, self.members, frames, steps, purpose, size, self.antithetic)
        return drawn.to(self.device)

    def denoiser(self, view: slice) -> Denoiser:
        """The guided denoiser of some frames; it has the observations of these frames only."""
        chosen = self.settings.guidance
        return guidance.build(chosen.method, self._setup(view), **chosen.options())

    def predictive_misfit(
        self, members: torch.Tensor, level: np.ndarray, cycle: Cycle, covariance: bool
    ) -> torch.Tensor:
        """-log p of observations that members (E, V, D) have not used, see `predictive.misfit`; (E, V, N)."""
        steps = cycle.noise_number * MAX_STEPS_PER_CYCLE
        white = self.noise(cycle.view, steps, "select")
        tensor = lambda values: torch.as_tensor(values, dtype=members.dtype, device=self.device)
        guided = analytic.build(self._setup(cycle.view))
        return predictive.misfit(guided, members, tensor(level), tensor(cycle.rows[0]), white, covariance)

    def misfit(self, members: torch.Tensor, cycle: Cycle) -> torch.Tensor:
        """Half the squared normalised departures of members (E, V, D) from the observations; (E, V, N)."""
        return selection.misfit(members, self.observations.frames(cycle.view))

    def resampled(self, cost: torch.Tensor, effective_share: float, cycle: Cycle) -> torch.Tensor:
        """Member numbers (E, P) after resampling by costs (E, P), tempered to keep a share of the members effective.

        Each of the P frames or points, or the whole trajectory (P = 1), is resampled by its own costs.
        """
        weights = selection.tempered(cost, max(1.0, effective_share * len(self.members)))
        number = int(cycle.noise_number[0]) + self.attempt * MAX_STEPS_PER_CYCLE
        offset = frame_random.uniform(self.seed, int(self.frames[cycle.first]), number, "select")
        return selection.resampled(weights, offset)

    def _setup(self, view: slice) -> Setup:
        """What a guidance of some frames is built from."""
        settings = self.settings
        shape = (len(self.prior.metadata.channels), *self.prior.maps.shape[-2:])
        solver = settings.solver_tolerance, settings.solver_iterations, self._cache, settings.solver_memory
        return Setup(self.unguided(view), self.observations.frames(view), shape, *solver, self.prior.control)

    def unguided(self, view: slice) -> Unguided:
        """The prior's denoiser of some frames, without observations."""
        first, conditions = int(self.frames[view][0]), self.conditions[view]
        return self.prior.unguided(first, conditions, self.settings, self.settings.batch, self.cost)
