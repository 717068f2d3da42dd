"""From settings to the arrays and steps of a regime."""

from collections.abc import Sequence

import numpy as np

from hindsight.diffusion import noise, plan, sigmoid, steps
from hindsight.diffusion.sampler import Way
from hindsight.settings import Reanalyse

UNBELIEVABLE = 6.0  # standard deviations: no weather is that far from its climatology all over the domain
BEYOND = 1.5  # times the furthest observation of a channel, where that is further: it may rain as it never did


def ladder(settings: Reanalyse) -> np.ndarray:
    """Noise levels, rising from 0."""
    if settings.ladder == "sigmoid":
        levels = sigmoid.ladder(settings.steps)
        below = levels[levels < settings.sigma_max]
        return levels if settings.sigma_max >= levels[-1] else np.append(below, settings.sigma_max)
    return noise.levels(settings.steps, settings.sigma_min, settings.sigma_max, settings.rho)


def lag(settings: Reanalyse, step_hours: int) -> int:
    """Frames that a frame looks ahead; 0 where it does not, or where it sees everything."""
    return (settings.lag_hours or 0) // step_hours


def hop(settings: Reanalyse, step_hours: int) -> int:
    """Frames that the window of a stream moves by."""
    return (settings.window.hop_hours or step_hours) // step_hours if settings.regime == "sliding" else 1


def cycles(settings: Reanalyse, frames: int, step_hours: int) -> list[plan.Cycle]:
    """The cycles of a stretch of frames."""
    levels, ahead = ladder(settings), lag(settings, step_hours)
    if settings.regime == "batch":
        return plan.again(frames, levels, settings.selection.passes, settings.selection.sigma)
    if settings.regime == "sliding":
        moved, window = hop(settings, step_hours), settings.window
        return plan.moving(frames, levels, ahead, settings.context, moved, window.carried, weigh=window.effective < 1)
    if settings.past == "held":
        return plan.held(frames, levels, ahead, settings.context)
    return plan.moving(frames, levels, ahead, settings.context)


def rows(settings: Reanalyse, frames: int, step_hours: int) -> int:
    """Sampling steps of a stretch."""
    return sum(len(cycle.rows) - 1 for cycle in cycles(settings, frames, step_hours))


def way(settings: Reanalyse, spread: float, furthest: Sequence[float] = (0.0,)) -> Way:
    """The steps of the walk.

    Args:
        settings: which steps.
        spread: root-mean-square of the prior's fields.
        furthest: departure of the observation of each channel that is furthest from the climatology, in the same units.
    """
    sampler = settings.sampler
    step = {
        "covariance": steps.Covariance,
        "ddim": lambda: steps.Ddim(sampler.eta),
        "second_order": steps.SecondOrder,
    }[sampler.step]()
    bounds = tuple(max(UNBELIEVABLE * spread, BEYOND * one) for one in furthest)
    return Way(step, sampler.corrections, sampler.correction_size, bounds)
