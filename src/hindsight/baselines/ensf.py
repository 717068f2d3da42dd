"""The ensemble score filter (Bao, Zhang and Zhang 2024, doi:10.1016/j.cma.2024.117447): a diffusion without training.

Members are forecast as those of `letkf`. An analysis begins with white noise at t = 1 and ends at t = 0 with a draw, by
the reverse of a diffusion whose states are z_t = a x + b e at time t, a = 1 - (1 - LEFT) t, b^2 = t, e white:

    dz = (f z - g^2 s(z, t)) dt + g dw,    f = d log a / dt,    g^2 = d b^2 / dt - 2 f b^2,

by the method of Euler and Maruyama. The score s is that of the forecast, without a network, and that of the
likelihood, damped by 1 - t,

    s(z, t) = -(z - a sum_j w_j x_j) / b^2 + (1 - t) grad log p(y | z),    w_j ~ exp(-|z - a x_j|^2 / (2 b^2)),

with weights w of the forecast members x_j that sum to one. Even for a Gaussian and many members the draws are not from
the posterior, as the likelihood of x is taken at the noisy state. With few members in many dimensions the first term,
which grows as 1 / t, leads to one forecast member, from which the last of K steps moves by g^2 grad log p / K: how much
an observation counts depends on K. Nothing is localised.
"""

from pathlib import Path

import numpy as np
import scipy.special

from hindsight import __version__, prior
from hindsight.baselines import each_frame, ensemble_filter, forecasts
from hindsight.baselines.equivalents import Equivalents
from hindsight.errors import UserError
from hindsight.fields import analyses, calendar, intervals, store
from hindsight.fields.grid import Grid
from hindsight.operators.rows import Rows
from hindsight.settings import Baselines, Ensemble, TrainingDomain
from hindsight.settings.download import WorldWithoutPeriod

PURPOSE = 12 << 32  # constant of this module's random numbers, so that no two methods share any
FORECASTS = 13 << 32  # the same, of its forecasts
LEFT = 0.05  # a at t = 1, as the authors have it


def run(
    domain: TrainingDomain,
    product: Ensemble,
    settings: Baselines,
    world: WorldWithoutPeriod,
    *,
    fields: Path,
    climatology: Path,
    statistics: Path,
    observations: list[Path],
    shard: str,
    analysis: Path,
    linear_prior: Path,
) -> None:
    """Analyse by the ensemble score filter, with forecasts from frame to frame."""
    grid, chosen = Grid.of(store.read(fields)), settings.ensf
    process, scaling = prior.read_linear(linear_prior, climatology, statistics, grid)
    times = intervals.parse(shard, domain.step_hours).times
    step = intervals.time_step(domain.step_hours)
    stretch = times[0] + np.arange(-chosen.halo, len(times)) * step
    files = {"statistics": statistics, "observations": observations}
    rows = each_frame.read_rows(domain, grid, scaling, **files, times=stretch, halo=0)
    model = forecasts.build(
        chosen.model, process, product, FORECASTS, domain=domain, world=world, scaling=scaling, grid=grid
    )
    method = EnsembleScoreFilter(chosen.steps, product, domain.step_hours)
    values = ensemble_filter.forecast_and_analyse("ensf", method, model, rows, stretch, domain.step_hours, chosen.halo)
    values = scaling.restore(values.reshape(*values.shape[:2], len(domain.channels), *grid.shape), times)
    attributes = {"analysis": "ensf", **chosen.model_dump(), "seed": product.seed, "hindsight": __version__}
    analyses.write(values, list(range(product.members)), times, domain.channels, grid, attributes, analysis)


class EnsembleScoreFilter:
    """The analysis of an ensemble.

    Args:
        steps: of the reverse diffusion.
        product: members and seed.
        step_hours: between frames.
    """

    def __init__(self, steps: int, product: Ensemble, step_hours: float) -> None:
        self.steps, self.product, self.step_hours = steps, product, step_hours

    def analyse(self, states: np.ndarray, rows: Rows, time: np.datetime64) -> np.ndarray:
        """The members (E, n) given rows.

        Raises:
            UserError: if the steps are too long for the errors of the observations.
        """
        equivalents = Equivalents(rows, states.shape[1])
        frame = int(calendar.frame_number(np.array([time]), self.step_hours)[0])
        streams = each_frame.generators(self.product, PURPOSE, frame)
        white = lambda: np.stack([stream.standard_normal(states.shape[1]) for stream in streams])
        self._check(equivalents.curvature(states), time)
        found = white()
        for number in range(self.steps):
            t = 1 - number / self.steps
            rate, square = diffusion(t)
            score = forecast_score(found, states, t) + (1 - t) * equivalents.gradient(found)
            drift = rate * found - square * score
            found = found - drift / self.steps + np.sqrt(square / self.steps) * white()
        return found

    def _check(self, curvature: float, time: np.datetime64) -> None:
        """Check that a step does not overshoot what the likelihood asks for."""
        steepest = max((1 - t) * diffusion(t)[1] for t in 1 - np.arange(self.steps) / self.steps)
        if curvature * steepest > 2 * self.steps:
            raise UserError(
                f"baselines.ensf, {calendar.text(time)}: {self.steps} steps are too long for observations "
                f"as exact or as dense as these; set baselines.ensf.steps to {int(curvature * steepest / 2) + 1} or "
                "more, or give the observations larger errors"
            )


def diffusion(t: float) -> tuple[float, float]:
    """The rates f and g^2 at time t."""
    rate = -(1 - LEFT) / (1 - (1 - LEFT) * t)
    return rate, 1 - 2 * rate * t


def forecast_score(states: np.ndarray, members: np.ndarray, t: float) -> np.ndarray:
    """The score at states (E, n) of the diffused distribution of members (M, n), at time t."""
    shrunk = (1 - (1 - LEFT) * t) * members
    distance = (states**2).sum(1)[:, None] - 2 * states @ shrunk.T + (shrunk**2).sum(1)
    return (scipy.special.softmax(-distance / (2 * t), 1) @ shrunk - states) / t
