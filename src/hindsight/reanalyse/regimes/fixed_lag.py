"""Fixed lag: a frame uses the observations up to `lag_hours` after it."""

from hindsight.diffusion import schedule
from hindsight.diffusion.schedule import Cycle
from hindsight.reanalyse import sampling
from hindsight.settings import Reanalyse


def cycles(settings: Reanalyse, frames: int, step_hours: float) -> list[Cycle]:
    """A staircase if `past` is fixed; else a moving window that is sampled again for every new frame."""
    lay_out = schedule.staircase if settings.past == "fixed" else schedule.moving_window
    return lay_out(frames, sampling.levels(settings), settings.lag_frames(step_hours), settings.context)
