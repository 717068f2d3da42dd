"""Over which time each value of a sum is: what a file says of it, and what its values show; never what is likely."""

import re

import numpy as np

from hindsight.errors import UserError
from hindsight.settings.lexicon import CHANNELS, Channel

MIDNIGHT = "since_midnight"
HOUR = np.timedelta64(3600, "s")
INTERVAL = re.compile(r"sum\s*\(interval:\s*([\d.]+)\s*(h|hr|hour|day)s?\b")
FEW = 4  # ends of days, at least, by which a running sum is told


def begins(
    valid: np.ndarray, told: float | str | None, says: dict, bounds: np.ndarray | None, channel: Channel, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last moment that each value is of.

    Args:
        valid: times of the values, (T,).
        told: hours, or `since_midnight`, by the settings, an attribute or the variable's name.
        says: the variable's attributes; `runs_up` is what `runs_up` found.
        bounds: of the times, (T, 2), where the file has them.
        channel: that is to be summed.
        where: what to call the variable in errors.

    Raises:
        UserError: if nothing says over how many hours, if what is said is wrong, or the hours do not fill the
            channel's.
    """
    runs = says.get("runs_up")
    if told is None and bounds is not None:
        _fill(np.unique((bounds[:, 1] - bounds[:, 0]) / HOUR), bounds[:, 1], channel, where)
        return bounds[:, 0], bounds[:, 1]
    told = MIDNIGHT if told is None and runs else told or _interval(says.get("cell_methods", ""), valid)
    if told is None:
        raise UserError(
            f"channel {channel.name}: {where} does not say over how many hours its values are summed; set "
            f"download.accumulated: {{{channel.name}: 1}} if each is of one hour (ERA5), or the hours that it is, or "
            f"{MIDNIGHT} if the sum begins anew at 00 UTC each day (ERA5-Land)"
        )
    if runs is not None and runs != (told == MIDNIGHT) and told != 24:
        shows = "runs up from 00 UTC each day" if runs else "falls within a day, so it does not run up from 00 UTC"
        raise UserError(f"channel {channel.name}: {where} {shows}, and download.accumulated says {told}; correct it")
    if told == MIDNIGHT:
        return (valid - np.timedelta64(1, "ns")).astype("datetime64[D]").astype("datetime64[ns]"), valid
    _fill(np.array([float(told)]), valid, channel, where)
    return valid - np.timedelta64(round(3600 * float(told)), "s"), valid


def hours_of(called: str) -> int | None:
    """The hours of a sum, where a name of the lexicon says them."""
    return next((c.hours for c in CHANNELS.values() if c.hours and called in (c.name, c.variable)), None)


def runs_up(valid: np.ndarray, values: np.ndarray) -> bool | None:
    """Whether sums run up from 00 UTC each day; none where their values do not tell.

    Within a day such sums never fall, and after 00 UTC they begin anew (ERA5-Land).

    Args:
        valid: times, rising, (T,).
        values: at some points, (T, N).
    """
    day = (valid - np.timedelta64(1, "s")).astype("datetime64[D]")
    same, change = np.diff(day) == np.timedelta64(0), np.diff(np.nan_to_num(values), axis=0)
    slack = 1e-4 * np.nanmax(np.abs(values), initial=0.0)
    if (change[same] < -slack).any():
        return False
    full = np.nan_to_num(values[:-1])[~same] > 10 * slack
    falls = (change[~same] < -slack) & full
    return True if same.any() and full.sum() >= FEW and falls.sum() > full.sum() / 2 else None


def _fill(hours: np.ndarray, valid: np.ndarray, channel: Channel, where: str) -> None:
    """Refuse sums of one length that leave hours out, or are over more than the channel's."""
    step, wanted = _step(valid), channel.hours
    if len(hours) == 1 and (wanted % hours[0] or hours[0] < min(step, wanted)):
        every = f" every {step:g} h" if step else ""
        raise UserError(
            f"channel {channel.name}: {where} has sums over {hours[0]:g} h{every}, which do not fill its {wanted} h; "
            f"choose tp{hours[0]:g}, or take a source that has them all"
        )


def _step(valid: np.ndarray) -> float:
    """Hours between frames; 0 where there are not two."""
    steps = np.diff(np.unique(valid))
    return float(steps.min() / HOUR) if len(steps) else 0.0


def _interval(methods: str, valid: np.ndarray) -> float | None:
    """Hours of `time: sum (interval: 6 hours)`, if they are those between frames: else it may be of what was summed."""
    found = INTERVAL.search(str(methods))
    hours = float(found[1]) * (24 if found[2] == "day" else 1) if found else 0.0
    return hours if hours and hours == _step(valid) else None
