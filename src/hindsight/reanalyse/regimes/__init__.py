"""Regimes: which observations a frame's analysis uses. A regime is one module of this package.

`reanalyse.regime: nowcast` names the module `nowcast`. Its function `cycles` lays out the cycles of a stretch; its
function `resample` weights and resamples members before or after a cycle.
"""

from importlib import import_module
from types import ModuleType

import numpy as np
import torch

from hindsight.diffusion.schedule import Cycle
from hindsight.reanalyse.assimilation import Assimilation
from hindsight.settings import Reanalyse


def cycles(settings: Reanalyse, frames: int, step_hours: float) -> list[Cycle]:
    """The cycles of a stretch of frames."""
    return _module(settings).cycles(settings, frames, step_hours)


def steps(settings: Reanalyse, frames: int, step_hours: float) -> int:
    """Number of sampling steps of a stretch."""
    return sum(len(cycle.rows) - 1 for cycle in cycles(settings, frames, step_hours))


def resample(assimilation: Assimilation, members: torch.Tensor, level: np.ndarray, cycle: Cycle) -> torch.Tensor:
    """Members (E, V, D), whose frames have noise levels (V,), resampled as `Cycle.weigh` of a cycle says."""
    return _module(assimilation.settings).resample(assimilation, members, level, cycle)


def _module(settings: Reanalyse) -> ModuleType:
    return import_module(f"{__name__}.{settings.regime}")
