"""Batch: every frame uses all observations; passes of resampling and rejuvenation may follow."""

import numpy as np
import torch

from hindsight.diffusion import schedule, selection
from hindsight.diffusion.schedule import Cycle
from hindsight.reanalyse import sampling
from hindsight.reanalyse.assimilation import Assimilation
from hindsight.settings import Reanalyse
from hindsight.settings.hours import minutes


def cycles(settings: Reanalyse, frames: int, step_hours: float) -> list[Cycle]:
    """All frames together, then the passes of `reanalyse.selection`."""
    return schedule.rejuvenated(frames, sampling.levels(settings), settings.selection.passes, settings.selection.sigma)


def resample(assimilation: Assimilation, members: torch.Tensor, level: np.ndarray, cycle: Cycle) -> torch.Tensor:
    """Resample members frame by frame, by misfits with Gaussian weights in time, see `selection.reach_hours`."""
    settings = assimilation.settings.selection
    reach = max(1, int(settings.reach_hours * 60 // minutes(assimilation.prior.metadata.step_hours)))
    cost = selection.in_time(assimilation.misfit(members, cycle).sum(2), reach)
    chosen = assimilation.resampled(cost, settings.effective, cycle)  # (E, V)
    return selection.take(members, chosen[..., None])
