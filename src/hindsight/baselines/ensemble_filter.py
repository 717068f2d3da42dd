"""The loop of an ensemble filter: forecast to the next frame, analyse its observations, and so on.

An observation is analysed at the latest frame that it depends on, and not before its own: a mean over the day waits for
the end of the day, an observation between two frames for the later one. It depends on the members of all its frames, so
the members of the last few frames are analysed together; what is returned is each frame's analysis without later
observations.
"""

from typing import Protocol

import numpy as np

from hindsight.baselines import each_frame
from hindsight.baselines.forecasts import Forecasts
from hindsight.fields import intervals
from hindsight.operators.rows import Rows
from hindsight.progress import Progress


class Method(Protocol):
    """The analysis of a filter."""

    def analyse(self, states: np.ndarray, rows: Rows, time: np.datetime64) -> np.ndarray:
        """The members of S frames, one after the other, (E, S * D), given rows whose points are indices into these."""
        ...


def forecast_and_analyse(
    name: str, method: Method, forecasts: Forecasts, rows: Rows, times: np.ndarray, step_hours: float, first: int
) -> np.ndarray:
    """Members of the analyses of the frames from the `first` on, (E, T - first, D), normalised.

    Args:
        name: of the method, for the progress.
        method: the analysis.
        forecasts: from frame to frame.
        rows: observations; those that depend on other frames than these are counted and not used.
        times: of all frames, T.
        step_hours: between frames.
        first: number of frames of the spin-up, which are not returned.
    """
    queue, history, found = Queue(rows, times, step_hours), [], []
    if queue.unused:
        print(f"{queue.unused} of {len(rows)} observations depend on frames outside the stretch and are not used")
    watch = Progress(f"baselines.{name}", len(times), "frames")
    for t, time in enumerate(times):
        states = forecasts.after(history[-1], time) if history else forecasts.start(time)
        history = [*history, states][-queue.span :]
        if len(given := queue.at(t, states.shape[1])):
            together = method.analyse(np.concatenate(history, 1), given, time)
            history = np.split(together, len(history), 1)
        if t >= first:
            found.append(history[-1].astype(np.float32))
        watch(t + 1)
    return np.stack(found, 1)


class Queue:
    """Observations in the order in which a filter can use them.

    `unused` is the number of those that depend on frames outside the stretch, `span` the number of frames from the
    first to the last that one of the others depends on, at most.
    """

    def __init__(self, rows: Rows, times: np.ndarray, step_hours: float) -> None:
        self.times, self.step_hours = times, step_hours
        own = np.round((rows.time - times[0]) / intervals.time_step(step_hours)).astype(int)
        offset = np.zeros((len(rows), 1), int) if rows.offset is None else rows.offset
        when, since = own + offset.max(1, initial=0), own + offset.min(1, initial=0)
        inside = (since >= 0) & (when < len(times))
        self.unused = int((~inside).sum())
        self.rows, self.when = rows.each(lambda column: column[inside]), when[inside]
        self.span = 1 + int((when - since)[inside].max(initial=0))

    def at(self, t: int, size: int) -> Rows:
        """The rows to analyse at a frame; their points are indices into the values (`size` each) of the last frames."""
        now, count = self.when == t, min(t + 1, self.span)
        rows = self.rows.each(lambda column: column[now])
        return each_frame.of_frames(rows, self.times[t + 1 - count], count, self.step_hours, size)
