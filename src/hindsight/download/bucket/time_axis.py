"""A store's time axis: its frames, which of them are preliminary, and the hours over which its sums are taken."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hindsight.download import dates
from hindsight.download.dates import to_minute
from hindsight.errors import UserError
from hindsight.settings import lexicon
from hindsight.settings.lexicon import Channel

BOUNDS = ("valid_time_start", "valid_time_stop", "valid_time_stop_era5t")  # attributes of ARCO-ERA5's stores
HOUR = np.timedelta64(3600, "s")


@dataclass(frozen=True)
class TimeAxis:
    """A store's time axis, and which of its times hold data.

    `first` and `last` limit the times that hold data; `final` is the last time that is not preliminary; `preliminary`
    are times that the store marks one by one.
    """

    times: np.ndarray
    first: np.datetime64
    last: np.datetime64
    final: np.datetime64
    preliminary: np.ndarray

    @classmethod
    def of(cls, times: np.ndarray, attributes: dict, versions: np.ndarray | None) -> "TimeAxis":
        """Make the time axis from the times, the attributes and, where the store has one, the version of each time."""
        start, final, stop = (_bound(attributes, key, "stop" in key) for key in BOUNDS)
        first, last = times.min() if start is None else max(start, times.min()), times.max()
        final = last if final is None else final
        marked = np.zeros(len(times), bool) if versions is None else dates.preliminary(versions)
        return cls(times, first, min(last, final if stop is None else stop), final, times[marked])

    @property
    def step(self) -> np.timedelta64:
        """Shortest time between frames; an hour for a single frame."""
        return np.diff(np.sort(self.times)).min() if len(self.times) > 1 else HOUR

    def rows(self, times: np.ndarray) -> np.ndarray:
        """The row of each time, -1 where the store has none."""
        first_rows = np.flatnonzero(~pd.Index(self.times).duplicated())
        found = pd.Index(self.times[first_rows]).get_indexer(times)
        return np.where((found >= 0) & (times >= self.first) & (times <= self.last), first_rows[found], -1)

    def preliminary_times(self, times: np.ndarray) -> np.ndarray:
        """Those of the times that are preliminary."""
        available = times[self.rows(times) >= 0]
        return available[(available > self.final) | np.isin(available, self.preliminary)]

    def check(self, times: np.ndarray, where: str) -> None:
        """Refuse frames that the store cannot have.

        Raises:
            UserError: if it has none of them, or its time step is no divisor of theirs.
        """
        if (self.rows(times) < 0).all():
            raise UserError(
                f"{where} has no frame from {to_minute(times[0])} to {to_minute(times[-1])}; it has frames from "
                f"{to_minute(self.first)} to {to_minute(self.last)}: change download.periods, or the domain's splits"
            )
        steps = np.diff(times[:2]) / self.step
        if len(steps) and steps[0] % 1:
            raise UserError(
                f"{where} has a frame every {self.step / HOUR:g} h, and the settings need one every "
                f"{steps[0] * (self.step / HOUR):g} h; set download.step_hours to a multiple"
            )


def validity(attributes: dict, times: np.ndarray) -> dict[str, str]:
    """The limits of valid and final data in a store's attributes, clipped to some times."""
    bounds = {key: _bound(attributes, key, "stop" in key) for key in BOUNDS}
    return {key: to_minute(np.clip(time, times[0], times[-1])) for key, time in bounds.items() if time is not None}


def hours_before(
    channels: list[Channel], attributes: dict, axis: TimeAxis, where: str, hours: float | str | None = None
) -> np.ndarray:
    """Hours before a frame at which to read an accumulation, so that channels can be summed from it.

    Args:
        channels: sums over time.
        attributes: of the variable; `accumulated_hours` are the hours of each sum.
        axis: time axis of the store.
        where: name of the store in errors.
        hours: hours of each sum, from the settings.

    Raises:
        UserError: if the hours are unknown, or do not fill those of a channel.
    """
    names = ", ".join(channel.name for channel in channels)
    if hours == "since_midnight":
        raise UserError(
            f"{where}: running sums from 00 UTC cannot be read from a store; write a store of hourly amounts, or "
            f"read it as files (download.source: local), for {names}"
        )
    if not (length := float(hours or attributes.get("accumulated_hours") or 0)):
        raise UserError(
            f"{where} does not say over how many hours its values for {names} are summed; set "
            f"download.accumulated: {{{channels[0].name}: 1}} if over one hour, as in ERA5, or give the hours"
        )
    for channel in channels:
        if channel.hours % length or length < min(axis.step / HOUR, channel.hours):
            raise UserError(
                f"{where} has accumulations of {length:g} h every {axis.step / HOUR:g} h, which do not fill the "
                f"{channel.hours} h of {channel.name}; {lexicon.choose_sum(length)}take another store"
            )
    return np.arange(0, max(channel.hours for channel in channels), length)


def _bound(attributes: dict, key: str, to_the_end: bool) -> np.datetime64 | None:
    """A time in the attributes; a date alone means all of that day."""
    try:
        time = pd.Timestamp(str(attributes[key]))
    except (KeyError, ValueError):
        return None
    if to_the_end and len(str(attributes[key]).strip()) <= len("2000-01-01"):
        time += pd.Timedelta(1, "D") - pd.Timedelta(1, "s")
    return time.tz_localize(None).to_datetime64()
