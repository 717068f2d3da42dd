"""A store's time axis: which frames it has, how far they can be believed, and which sums it can give."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hindsight.download import dates
from hindsight.errors import UserError
from hindsight.settings.lexicon import Channel

BOUNDS = ("valid_time_start", "valid_time_stop", "valid_time_stop_era5t")  # attributes of ARCO-ERA5's stores
HOUR = np.timedelta64(3600, "s")


@dataclass(frozen=True)
class Clock:
    """A store's time axis, and how far it can be believed.

    `first` and `last` are the limits of what is there, `final` the last time that is not preliminary.
    """

    times: np.ndarray
    first: np.datetime64
    last: np.datetime64
    final: np.datetime64
    preliminary: np.ndarray  # times said to be so one by one

    @classmethod
    def of(cls, times: np.ndarray, attributes: dict, versions: np.ndarray | None) -> "Clock":
        """Read off a store's times, its attributes and, where it has one, the version of each time."""
        start, final, stop = (_bound(attributes, key, "stop" in key) for key in BOUNDS)
        first, last = times.min() if start is None else max(start, times.min()), times.max()
        final = last if final is None else final
        known = np.zeros(len(times), bool) if versions is None else dates.preliminary(versions)
        return cls(times, first, min(last, final if stop is None else stop), final, times[known])

    @property
    def step(self) -> np.timedelta64:
        """Time between frames."""
        return np.diff(np.sort(self.times)).min() if len(self.times) > 1 else HOUR

    def rows(self, wanted: np.ndarray) -> np.ndarray:
        """The row of each time, -1 where the store has none."""
        once = np.flatnonzero(~pd.Index(self.times).duplicated())
        found = pd.Index(self.times[once]).get_indexer(wanted)
        return np.where((found >= 0) & (wanted >= self.first) & (wanted <= self.last), once[found], -1)

    def provisional(self, wanted: np.ndarray) -> np.ndarray:
        """Those of some times that are preliminary."""
        there = wanted[self.rows(wanted) >= 0]
        return there[(there > self.final) | np.isin(there, self.preliminary)]

    def check(self, wanted: np.ndarray, where: str) -> None:
        """Refuse frames that a store cannot have.

        Raises:
            UserError: if none of them is there, or they lie between its own.
        """
        if (self.rows(wanted) < 0).all():
            raise UserError(
                f"{where} has no frame from {_text(wanted[0])} to {_text(wanted[-1])}; it has them from "
                f"{_text(self.first)} to {_text(self.last)}: change download.periods, or the domain's splits"
            )
        asked = np.diff(wanted[:2]) / self.step
        if len(asked) and asked[0] % 1:
            raise UserError(
                f"{where} has a frame every {self.step / HOUR:g} h, and one is asked for every "
                f"{asked[0] * (self.step / HOUR):g} h; set download.step_hours to a multiple"
            )


def validity(attributes: dict, wanted: np.ndarray) -> dict[str, str]:
    """How far a store says that it can be believed, as far as some frames are concerned."""
    bounds = {key: _bound(attributes, key, "stop" in key) for key in BOUNDS}
    return {key: _text(np.clip(time, wanted[0], wanted[-1])) for key, time in bounds.items() if time is not None}


def summed(
    channels: list[Channel], attributes: dict, clock: Clock, where: str, told: float | str | None = None
) -> np.ndarray:
    """Hours before a frame at which an accumulation has to be read, so that channels can be summed from it.

    Args:
        channels: sums over time.
        attributes: of the variable; `accumulated_hours` says over how many hours each value is.
        clock: of the store.
        where: what to call the store in errors.
        told: hours that the settings say.

    Raises:
        UserError: if nobody says over how many hours, or these do not fill a channel's.
    """
    names = ", ".join(channel.name for channel in channels)
    if told == "since_midnight":
        raise UserError(
            f"{where}: sums that run up from 00 UTC cannot be taken apart in a store; make one of hourly amounts, or "
            f"read it as files (download.source: local), for {names}"
        )
    if not (own := float(told or attributes.get("accumulated_hours") or 0)):
        raise UserError(
            f"{where} does not say over how many hours the values are that {names} are made from; set "
            f"download.accumulated: {{{channels[0].name}: 1}} if each is of one hour, as ERA5's, or its hours"
        )
    for channel in channels:
        if channel.hours % own or own < min(clock.step / HOUR, channel.hours):
            raise UserError(
                f"{where} has accumulations of {own:g} h every {clock.step / HOUR:g} h, which do not fill the "
                f"{channel.hours} h of {channel.name}; choose tp{own:g}, or another store"
            )
    return np.arange(0, max(channel.hours for channel in channels), own)


def _bound(attributes: dict, key: str, to_the_end: bool) -> np.datetime64 | None:
    """A time in the attributes; a date alone means all of that day."""
    try:
        time = pd.Timestamp(str(attributes[key]))
    except (KeyError, ValueError):
        return None
    if to_the_end and len(str(attributes[key]).strip()) <= len("2000-01-01"):
        time += pd.Timedelta(1, "D") - pd.Timedelta(1, "s")
    return time.tz_localize(None).to_datetime64()


def _text(time: np.datetime64) -> str:
    return str(np.datetime64(time, "m"))
