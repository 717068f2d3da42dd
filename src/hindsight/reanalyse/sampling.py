"""From settings to noise levels and settings of the sampling step."""

from collections.abc import Sequence

import numpy as np

from hindsight.diffusion import noise, sigmoid, steps
from hindsight.diffusion.sampler import StepSettings
from hindsight.settings import Reanalyse

IMPLAUSIBLE = 6.0  # standard deviations: no weather departs that far from its climatology in the whole domain
MARGIN = 1.5  # times the largest observed departure of a channel, if that is larger


def levels(settings: Reanalyse) -> np.ndarray:
    """Noise levels of the sampling steps, rising from 0; (steps + 1,), fewer where sigmoid levels are cut off."""
    if settings.noise_levels == "sigmoid":
        published = sigmoid.levels(settings.steps)
        below = published[published < settings.sigma_max]
        return published if settings.sigma_max >= published[-1] else np.append(below, settings.sigma_max)
    return noise.levels(settings.steps, settings.sigma_min, settings.sigma_max, settings.rho)


def step_settings(settings: Reanalyse, spread: float, departures: Sequence[float] = (0.0,)) -> StepSettings:
    """The sampling step, its corrections, and the bounds of plausible fields.

    Args:
        settings: of the sampler.
        spread: root-mean-square of the prior's fields.
        departures: largest observed departure of each channel from the climatology, in the same units.
    """
    sampler = settings.sampler
    bounds = tuple(max(IMPLAUSIBLE * spread, MARGIN * departure) for departure in departures)
    step = steps.build(sampler.step, **sampler.options())
    return StepSettings(step, sampler.corrections, sampler.correction_size, bounds)
