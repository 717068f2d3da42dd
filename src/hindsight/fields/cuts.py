"""How long stretches of time are cut into jobs, and what the jobs are called. Numpy alone: the Snakefile asks this."""

from dataclasses import dataclass

import numpy as np

from hindsight.errors import UserError
from hindsight.settings.domain import Domain
from hindsight.settings.download import Download
from hindsight.settings.preprocess import Regrid


@dataclass(frozen=True)
class Cut:
    """Frames that one job makes. The name says which, so a longer period gives the old jobs their old names."""

    start: np.datetime64
    frames: int
    step_hours: int

    @property
    def name(self) -> str:
        """First time and number of frames, `19590101T00_1460`; with minutes where there are any, `20000101T0030_24`."""
        text = np.datetime_as_string(self.start, "m").replace("-", "").replace(":", "")
        return f"{text.removesuffix('00')}_{self.frames}"

    @property
    def times(self) -> np.ndarray:
        """Times of the frames."""
        steps = np.arange(self.frames) * np.timedelta64(self.step_hours, "h")
        return (self.start + steps).astype("datetime64[ns]")

    @property
    def last(self) -> np.datetime64:
        """Time of the last frame."""
        return self.start + (self.frames - 1) * np.timedelta64(self.step_hours, "h")

    def meets(self, start: np.datetime64, end: np.datetime64) -> bool:
        """Whether a frame lies in a period, both ends included."""
        return bool(self.start <= np.datetime64(end) and self.last >= np.datetime64(start))


def named(name: str, step_hours: int) -> Cut:
    """The cut that a name speaks of.

    Raises:
        UserError: if it speaks of none.
    """
    try:
        start, frames = name.split("_")
        date, clock = start.split("T")
        at = f"{date[:-4]}-{date[-4:-2]}-{date[-2:]}T{clock[:2]}:{clock[2:] or '00'}"
        return Cut(np.datetime64(at, "m"), int(frames), step_hours)
    except ValueError:
        raise UserError(f"{name!r} names no stretch of time; expected one like 20000101T00_1460") from None


def pieces(domain: Domain, settings: Regrid) -> list[Cut]:
    """The pieces that `fields` are made in: whole files of the store, those that no split reaches into left out."""
    times, step = axis(domain), domain.step_hours
    cuts = [
        Cut(times[k], len(times[k : k + settings.piece_frames]), step)
        for k in range(0, len(times), settings.piece_frames)
    ]
    return [cut for cut in cuts if any(cut.meets(p.start, p.end) for p in domain.splits.values())]


def axis(domain: Domain) -> np.ndarray:
    """Times of all frames from the first split's start to the last one's end, on steps from the test period's start."""
    step, origin = np.timedelta64(domain.step_hours, "h"), np.datetime64(domain.test.start, "s")
    first = np.datetime64(min(p.start for p in domain.splits.values()), "s")
    last = np.datetime64(max(p.end for p in domain.splits.values()), "s")
    first += (origin - first) % step.astype("timedelta64[s]")
    return np.arange(first, last + np.timedelta64(1, "s"), step).astype("datetime64[ns]")


def parts(asked: Download) -> list[Cut]:
    """The parts that a source is fetched in: periods that touch are one, cut at multiples of a part from the epoch."""
    step = np.timedelta64(asked.step_hours, "h")
    epoch = np.datetime64(asked.epoch or min(p.start for p in asked.periods), "s")
    frames = sorted({k for period in asked.periods for k in _numbers(period.start, period.end, epoch, step)})
    found, run = [], []
    for number in frames:
        if run and (number != run[-1] + 1 or number % asked.part_frames == 0):
            found, run = [*found, run], []
        run.append(number)
    return [Cut(epoch + run[0] * step, len(run), asked.step_hours) for run in [*found, run] if run]


def _numbers(start: object, end: object, epoch: np.datetime64, step: np.timedelta64) -> range:
    """Frames of a period, counted from the epoch."""
    first, last = (np.datetime64(time, "s") - epoch for time in (start, end))
    return range(-int(-first // step), int(last // step) + 1)
