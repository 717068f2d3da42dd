"""Sliding: a fixed lag by particles (members that are weighted and resampled) in a moving window."""

import numpy as np
import torch

from hindsight.diffusion import schedule, selection
from hindsight.diffusion.schedule import Cycle
from hindsight.fields.grid import great_circle
from hindsight.reanalyse import sampling
from hindsight.reanalyse.assimilation import Assimilation
from hindsight.settings import Reanalyse


def cycles(settings: Reanalyse, frames: int, step_hours: float) -> list[Cycle]:
    """A moving window whose frames carried over go back to `window.carried`, by noise or by inversion."""
    lag, hop, window = settings.lag_frames(step_hours), settings.hop_frames(step_hours), settings.window
    levels, newest = sampling.levels(settings), window.carried_newest or window.carried
    carried = window.carried, newest
    return schedule.moving_window(
        frames, levels, lag, settings.context, hop, carried, window.weigh, window.inversion_steps
    )


def resample(assimilation: Assimilation, members: torch.Tensor, level: np.ndarray, cycle: Cycle) -> torch.Tensor:
    """Resample whole trajectories, or each place by costs with Gaussian weights, see `window.reach_km`."""
    window = assimilation.settings.window
    if cycle.weigh == "before":
        cost = assimilation.predictive_misfit(members, level, cycle, covariance=window.weights == "predictive")
    else:
        cost = assimilation.misfit(members, cycle)
    if window.reach_km is None:
        chosen = assimilation.resampled(cost.sum((1, 2))[:, None], window.effective, cycle)
        return selection.take(members, chosen[..., None])
    cost = torch.einsum("evn,vnp->ep", cost, _nearness(assimilation, cycle, window.reach_km))
    chosen = assimilation.resampled(cost, window.effective, cycle)
    return selection.take(members, chosen.repeat(1, len(assimilation.prior.metadata.channels))[:, None])


def _nearness(assimilation: Assimilation, cycle: Cycle, reach: float) -> torch.Tensor:
    """Weight of each observation for each place, exp(-(distance / reach)^2 / 2); (V, N, H * W)."""
    about = assimilation.prior.metadata
    latitude, longitude = np.meshgrid(about.latitude, about.longitude, indexing="ij")
    place = assimilation.observations.frames(cycle.view).point[..., 0].cpu().numpy() % latitude.size
    distance = great_circle(
        latitude.ravel()[place][..., None],
        longitude.ravel()[place][..., None],
        latitude.ravel(),
        longitude.ravel(),
    )
    near = torch.as_tensor(np.exp(-0.5 * (distance / reach) ** 2), dtype=torch.float32)
    return near.to(assimilation.device)
