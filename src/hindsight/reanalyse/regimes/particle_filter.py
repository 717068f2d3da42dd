"""Particle filter: members are weighted by how well they foresee new observations, resampled, and then guided by them.

With a lag of zero it is the fully adapted auxiliary particle filter (Pitt and Shephard 1999; with a diffusion model as
its proposal Savary et al. 2025, arXiv:2509.18811, FA-APF); with more, a fixed-lag smoother. Finished frames are kept
fixed: without the weights it would be regime nowcast or fixed_lag with `past: fixed`.
"""

from hindsight.diffusion import schedule
from hindsight.diffusion.schedule import Cycle
from hindsight.reanalyse import sampling
from hindsight.reanalyse.regimes.sliding import resample
from hindsight.settings import Reanalyse


def cycles(settings: Reanalyse, frames: int, step_hours: float) -> list[Cycle]:
    """A staircase whose members are resampled before each new frame enters."""
    lag, levels = settings.lag_frames(step_hours), sampling.levels(settings)
    return schedule.staircase(frames, levels, lag, settings.context, settings.window.weigh)


__all__ = ["cycles", "resample"]
