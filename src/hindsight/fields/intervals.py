"""Intervals of time that jobs work on: parts that are downloaded, pieces that are regridded, and those of reports.

Imports nothing heavy but NumPy, because the Snakefile uses it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hindsight.errors import UserError
from hindsight.settings.domain import Domain, Period
from hindsight.settings.download import Download
from hindsight.settings.hours import minutes
from hindsight.settings.preprocess import Regrid


def time_step(step_hours: float) -> np.timedelta64:
    """The time between frames, in hours if it is whole hours, else in minutes."""
    step = np.timedelta64(minutes(step_hours), "m")
    return step.astype("timedelta64[h]") if step % np.timedelta64(1, "h") == 0 else step


@dataclass(frozen=True)
class Interval:
    """Consecutive frames, named by the first time and their number.

    When a period grows, intervals keep their names, except a last one that had been cut short.
    """

    start: np.datetime64
    frames: int
    step_hours: float

    @property
    def name(self) -> str:
        """First time and number of frames, `19590101T00_1460`; with minutes if not zero, `20000101T0030_24`."""
        text = np.datetime_as_string(self.start, "m").replace("-", "").replace(":", "")
        return f"{text.removesuffix('00')}_{self.frames}"

    @property
    def times(self) -> np.ndarray:
        """Times of the frames."""
        steps = np.arange(self.frames) * time_step(self.step_hours)
        return (self.start + steps).astype("datetime64[ns]")

    @property
    def last(self) -> np.datetime64:
        """Time of the last frame."""
        return self.start + (self.frames - 1) * time_step(self.step_hours)

    @property
    def reach(self) -> tuple[np.datetime64, np.datetime64]:
        """First and last time of the reports that may belong to its frames: one time step beyond them."""
        step = time_step(self.step_hours)
        return self.start - step, self.last + step

    def overlaps(self, start: np.datetime64, end: np.datetime64) -> bool:
        """Whether the interval overlaps a period, both ends included."""
        return bool(self.start <= np.datetime64(end) and self.last >= np.datetime64(start))


def parse(name: str, step_hours: float) -> Interval:
    """The interval of a name such as `20000101T00_1460`.

    Raises:
        UserError: if the name is not of this form.
    """
    try:
        start, frames = name.split("_")
        date, clock = start.split("T")
        at = f"{date[:-4]}-{date[-4:-2]}-{date[-2:]}T{clock[:2]}:{clock[2:] or '00'}"
        return Interval(np.datetime64(at, "m"), int(frames), step_hours)
    except ValueError:
        raise UserError(f"{name!r} is not an interval of time; expected one like 20000101T00_1460") from None


def pieces(domain: Domain, settings: Regrid, periods: Iterable[Period] | None = None) -> list[Interval]:
    """The pieces in which `fields` are regridded: whole files of the store, without pieces that overlap no split.

    Args:
        domain: with the splits.
        settings: for the length of a piece.
        periods: the splits of which there are fields; none: all.
    """
    chosen = [*domain.splits.values()] if periods is None else [*periods]
    times, step = time_axis(domain), domain.step_hours
    found = [
        Interval(times[k], len(times[k : k + settings.piece_frames]), step)
        for k in range(0, len(times), settings.piece_frames)
    ]
    return [piece for piece in found if any(piece.overlaps(p.start, p.end) for p in chosen)]


def of_reports(domain: Domain, frames: int) -> list[str]:
    """Names of the intervals in which reports are collected and screened; they do not change when the period grows.

    All have the same length, counted from the first frame of all splits; those that overlap no split are left out.
    """
    times, step = time_axis(domain), domain.step_hours
    found = [Interval(times[k].astype("datetime64[m]"), frames, step) for k in range(0, len(times), frames)]
    return [each.name for each in found if any(each.overlaps(p.start, p.end) for p in domain.splits.values())]


def time_axis(domain: Domain) -> np.ndarray:
    """Times of all frames from the first split's start to the last one's end, in steps from the test period's start."""
    step, origin = time_step(domain.step_hours), np.datetime64(domain.test.start, "s")
    first = np.datetime64(min(p.start for p in domain.splits.values()), "s")
    last = np.datetime64(max(p.end for p in domain.splits.values()), "s")
    first += (origin - first) % step.astype("timedelta64[s]")
    return np.arange(first, last + np.timedelta64(1, "s"), step).astype("datetime64[ns]")


def parts(settings: Download) -> list[Interval]:
    """The parts in which a source is downloaded: its periods, adjacent ones merged, cut every `part_frames` frames.

    Frames are counted from the epoch: periods are cut at multiples of `part_frames` from it.
    """
    step = time_step(settings.step_hours)
    epoch = np.datetime64(settings.epoch or min(p.start for p in settings.periods), "s")
    frames = sorted({k for period in settings.periods for k in _numbers(period.start, period.end, epoch, step)})
    found, run = [], []
    for number in frames:
        if run and (number != run[-1] + 1 or number % settings.part_frames == 0):
            found, run = [*found, run], []
        run.append(number)
    return [Interval(epoch + run[0] * step, len(run), settings.step_hours) for run in [*found, run] if run]


def _numbers(start: object, end: object, epoch: np.datetime64, step: np.timedelta64) -> range:
    """Frames of a period, counted from the epoch."""
    first, last = (np.datetime64(time, "s") - epoch for time in (start, end))
    return range(-int(-first // step), int(last // step) + 1)
