"""Time: splits, frames, and checks of a time axis."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.settings.domain import Domain, Period

_ORIGIN = np.datetime64("1900-01-01T00", "h")
_TURN = np.datetime64("2000-01-01T00", "h")


def frame_number(times: np.ndarray, step_hours: int) -> np.ndarray:
    """Number of each frame since 1900, the same in every job: what random numbers are keyed by."""
    return (times.astype("datetime64[h]") - _ORIGIN) // np.timedelta64(step_hours, "h")


def known(dataset: xr.Dataset) -> np.ndarray:
    """Which frames of `fields` are there: those that are masked are NaN, and nothing may be learnt from them; (T,)."""
    return dataset["known"].values if "known" in dataset else np.ones(dataset.sizes["time"], bool)


def stretches(times: np.ndarray, known: np.ndarray, joints: Sequence[np.datetime64] = ()) -> np.ndarray:
    """Which stretch of unbroken weather each frame belongs to: what lies in one may be learnt from together.

    Args:
        times: of frames, in order, (T,).
        known: which of them are there.
        joints: times at which other weather begins (`stretch_starts` of a store).

    Returns:
        A number for each frame, rising; -1 where a frame is not known.
    """
    if len(times) < 2:
        return np.where(known, 0, -1)
    before, step = np.searchsorted(np.sort(np.array(joints, "datetime64[ns]")), times, side="right"), np.diff(times)
    begins = (np.diff(before) > 0) | (step > step.min()) | ~known[:-1]
    return np.where(known, np.concatenate([[0], np.cumsum(begins)]), -1)


def unbroken(stretch: np.ndarray, frames: int) -> np.ndarray:
    """First frames of all windows of so many consecutive frames that lie within one stretch."""
    count = len(stretch) - frames + 1
    if count < 1:
        return np.empty(0, int)
    return np.flatnonzero((stretch[:count] == stretch[frames - 1 :]) & (stretch[:count] >= 0))


def in_period(dataset: xr.Dataset, period: Period, where: str) -> xr.Dataset:
    """The frames of a period.

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
    """Time of year in turns of the mean Gregorian year, from 1 January 2000, 00 UTC.

    It never jumps. A date has it to within a day, for leap years come and go: 31 December 2000 lies in the next turn.
    """
    return ((times - _TURN) / np.timedelta64(1, "D") / 365.2425) % 1


def day_phase(times: np.ndarray) -> np.ndarray:
    """Time of day (UTC) in turns."""
    return (times - times.astype("datetime64[D]")) / np.timedelta64(1, "D")


def check_splits(domain: Domain, times: np.ndarray, where: str) -> None:
    """Refuse splits that a source does not hold, and a test period that does not start with a frame."""
    dataset = xr.Dataset(coords={"time": times})
    for period in domain.splits.values():
        in_period(dataset, period, where)
    first = in_period(dataset, domain.test, where)["time"].values[0]
    if first != np.datetime64(domain.test.start):
        raise UserError(
            f"{where}: its first frame of the test period is {first.astype('datetime64[m]')}, and domain.test.start is "
            f"{domain.test.start:%Y-%m-%dT%H:%M}; set domain.test.start to the time of a frame"
        )
