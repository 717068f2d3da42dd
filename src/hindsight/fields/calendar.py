"""Frame numbers, periods, segments of continuous weather, and the time of year and day."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import intervals
from hindsight.settings.domain import Domain, Period
from hindsight.settings.hours import in_words

_ORIGIN = np.datetime64("1900-01-01T00:00", "m")
_SPARE = 2**40  # more than the hours since 1970 of any time
_YEAR_ORIGIN = np.datetime64("2000-01-01T00", "h")


def frame_number(times: np.ndarray, step_hours: float) -> np.ndarray:
    """Number of each frame since 1900, the same in every job; random numbers are keyed by it."""
    return (times.astype("datetime64[m]") - _ORIGIN) // intervals.time_step(step_hours)


def time_key(times: np.ndarray) -> np.ndarray:
    """A number for each time, of a full hour the hour since 1970; random numbers are keyed by it."""
    minute = times.astype("datetime64[m]").astype(int)
    return np.where(minute % 60 == 0, minute // 60, _SPARE + minute)


def in_whole_hours(times: np.ndarray) -> bool:
    """Whether all times are full hours."""
    return bool((times.astype("datetime64[ns]") == times.astype("datetime64[h]")).all())


def text(time: np.datetime64) -> str:
    """A time to the hour, or to the minute where it is no full hour."""
    return str(np.datetime_as_string(time, "h" if in_whole_hours(np.asarray(time)) else "m"))


def available(dataset: xr.Dataset) -> np.ndarray:
    """Whether each frame of `fields` is available, (T,); the others are masked: NaN, and not to be learnt from."""
    return dataset["available"].values if "available" in dataset else np.ones(dataset.sizes["time"], bool)


def segments(times: np.ndarray, available: np.ndarray, breaks: Sequence[np.datetime64] = ()) -> np.ndarray:
    """Number the segments: consecutive available frames of continuous weather, from which windows may be drawn.

    Args:
        times: of frames, in order, (T,).
        available: whether each frame is available, (T,).
        breaks: times of frames that do not continue the weather before (`segment_starts` of a store).

    Returns:
        The number of each frame's segment, rising, (T,); -1 for a frame that is not available.
    """
    if len(times) < 2:
        return np.where(available, 0, -1)
    before, step = np.searchsorted(np.sort(np.array(breaks, "datetime64[ns]")), times, side="right"), np.diff(times)
    begins = (np.diff(before) > 0) | (step > step.min()) | ~available[:-1]
    return np.where(available, np.concatenate([[0], np.cumsum(begins)]), -1)


def segment_ends(times: np.ndarray, segment: np.ndarray) -> list[list[str]]:
    """First and last time of every segment, as text to the minute; `segment` (T,) as from `segments`."""
    texts = np.datetime_as_string(times, "m")
    pairs = [np.flatnonzero(segment == number)[[0, -1]] for number in np.unique(segment[segment >= 0])]
    return [[str(texts[first]), str(texts[last])] for first, last in pairs]


def within(times: np.ndarray, ends: Sequence[Sequence[str]]) -> np.ndarray:
    """Whether times lie within any of some segments, given by their ends; (T,)."""
    found = np.zeros(len(times), bool)
    for first, last in ends:
        found |= (times >= np.datetime64(first)) & (times <= np.datetime64(last))
    return found


def window_starts(segment: np.ndarray, frames: int) -> np.ndarray:
    """Indices of the first frames of all windows of `frames` consecutive frames that lie within one segment."""
    count = len(segment) - frames + 1
    if count < 1:
        return np.empty(0, int)
    return np.flatnonzero((segment[:count] == segment[frames - 1 :]) & (segment[:count] >= 0))


def in_period(dataset: xr.Dataset, period: Period, where: str) -> xr.Dataset:
    """The frames of a dataset that lie in a period.

    Raises:
        UserError: if there are none.
    """
    chosen = dataset.sel(time=slice(period.start, period.end))
    if chosen.sizes["time"] == 0:
        have = dataset["time"].values.astype("datetime64[D]")
        raise UserError(
            f"{where} has no frame from {period.start:%Y-%m-%d} to {period.end:%Y-%m-%d} (it has {have[0]} to "
            f"{have[-1]}); change the periods of the domain or the source"
        )
    return chosen


def year_phase(times: np.ndarray) -> np.ndarray:
    """Time of year, 0 to 1, in mean Gregorian years from 1 January 2000, 00 UTC.

    It runs on evenly, without a jump at leap days, so that a date's phase varies by about a day between years
    (by 2.2 days within four centuries).
    """
    return ((times - _YEAR_ORIGIN) / np.timedelta64(1, "D") / 365.2425) % 1


def day_phase(times: np.ndarray) -> np.ndarray:
    """Time of day (UTC), 0 to 1."""
    return (times - times.astype("datetime64[D]")) / np.timedelta64(1, "D")


def check_splits(domain: Domain, times: np.ndarray, where: str, splits: dict[str, Period] | None = None) -> None:
    """Check that a source has frames in every split, and one at the start of the test period.

    Args:
        domain: with the splits.
        times: of the source, in order.
        where: name of the source for error messages.
        splits: those of which the source has fields; none: all. Where the test period is not among them,
            domain.test.start must still be a whole number of steps from the frames.

    Raises:
        UserError: naming the period.
    """
    dataset, splits = xr.Dataset(coords={"time": times}), domain.splits if splits is None else splits
    for period in splits.values():
        in_period(dataset, period, where)
    if "test" not in splits:
        _check_step_to_test(domain, in_period(dataset, domain.train, where)["time"].values[0], where)
        return
    first = in_period(dataset, domain.test, where)["time"].values[0]
    if first != np.datetime64(domain.test.start):
        raise UserError(
            f"{where}: its first frame of the test period is {first.astype('datetime64[m]')}, and domain.test.start is "
            f"{domain.test.start:%Y-%m-%dT%H:%M}; set domain.test.start to the time of a frame"
        )


def _check_step_to_test(domain: Domain, frame: np.datetime64, where: str) -> None:
    """Check that frames of the test period continue the steps of a frame of the source."""
    if (np.datetime64(domain.test.start, "ns") - frame) % intervals.time_step(domain.step_hours):
        raise UserError(
            f"{where}: its frame {frame.astype('datetime64[m]')} is not a whole number of steps of "
            f"{in_words(domain.step_hours)} from domain.test.start ({domain.test.start:%Y-%m-%dT%H:%M}); set "
            "domain.test.start to such a time"
        )
