"""The period of each value of a sum, from the settings, the attributes and names of a file, and its values.

A period is never guessed: a sum whose period is stated by none of these is refused.
"""

import re

import numpy as np

from hindsight.errors import UserError
from hindsight.settings import lexicon
from hindsight.settings.lexicon import CHANNELS, Channel

MIDNIGHT = "since_midnight"
HOUR = np.timedelta64(3600, "s")
INTERVAL = re.compile(r"sum\s*\(interval:\s*([\d.]+)\s*(h|hr|hour|day)s?\b")
FEWEST_RISES = 12  # time steps within days at which a running sum must rise somewhere to be recognised


def periods(
    valid: np.ndarray,
    hours: float | str | None,
    attributes: dict,
    bounds: np.ndarray | None,
    channel: Channel,
    where: str,
) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last moment of the period of each value.

    Args:
        valid: times of the values, (T,).
        hours: hours, or `since_midnight`, from the settings, an attribute or the variable's name.
        attributes: of the variable; `running_sum` is the result of `is_running_sum`.
        bounds: of the times, (T, 2), if the file has them.
        channel: to be summed.
        where: name of the variable in errors.

    Raises:
        UserError: if the hours are unknown, contradict the values, or do not fill those of the channel.
    """
    running = attributes.get("running_sum")
    if hours is None and bounds is not None:
        _check_hours(np.unique((bounds[:, 1] - bounds[:, 0]) / HOUR), bounds[:, 1], channel, where)
        return bounds[:, 0], bounds[:, 1]
    hours = MIDNIGHT if hours is None and running else hours or _interval(attributes.get("cell_methods", ""), valid)
    if hours is None:
        raise UserError(
            f"channel {channel.name}: {where} does not say over how many hours its values are summed; set "
            f"download.accumulated: {{{channel.name}: 1}} for sums over one hour (ERA5), or their number of hours, or "
            f"{MIDNIGHT} for sums that restart at 00 UTC each day (ERA5-Land)"
        )
    if running is not None and running != (hours == MIDNIGHT):
        found = (
            "is a running sum from 00 UTC each day"
            if running
            else "decreases within a day, so it is no running sum from 00 UTC"
        )
        raise UserError(
            f"channel {channel.name}: {where} {found}, but its name, its attributes or download.accumulated say "
            f"{hours}; set download.accumulated: {{{channel.name}: …}}"
        )
    if hours == MIDNIGHT:
        return (valid - np.timedelta64(1, "ns")).astype("datetime64[D]").astype("datetime64[ns]"), valid
    _check_hours(np.array([float(hours)]), valid, channel, where)
    return valid - np.timedelta64(round(3600 * float(hours)), "s"), valid


def hours_of(called: str) -> int | None:
    """The hours of a sum that a name of the lexicon implies."""
    return next((c.hours for c in CHANNELS.values() if c.hours and called in (c.name, c.variable)), None)


def is_running_sum(valid: np.ndarray, values: np.ndarray) -> bool | None:
    """Whether sums run from 00 UTC each day (ERA5-Land); None if their values do not show it.

    Within a day such sums never decrease, and after 00 UTC they restart. So may amounts in a short file; rain is alike
    at neighbouring points, so what is counted is times at which values rise: six-hourly sums rise at three times a day.

    Args:
        valid: times, rising, (T,).
        values: at some points, (T, N).
    """
    day = (valid - np.timedelta64(1, "s")).astype("datetime64[D]")
    same, change = np.diff(day) == np.timedelta64(0), np.diff(np.nan_to_num(values), axis=0)
    slack = 1e-4 * np.nanmax(np.abs(values), initial=0.0)
    if (change[same] < -slack).any():
        return False
    rises = (change[same] > slack).any(1).sum()
    full = np.nan_to_num(values[:-1])[~same] > 10 * slack
    falls = (change[~same] < -slack) & full
    return True if rises >= FEWEST_RISES and falls.sum() > full.sum() / 2 else None


def _check_hours(hours: np.ndarray, valid: np.ndarray, channel: Channel, where: str) -> None:
    """Refuse sums that leave hours out, or cover more than the channel's."""
    step, wanted = _step(valid), channel.hours
    if len(hours) == 1 and (wanted % hours[0] or hours[0] < min(step, wanted)):
        every = f" every {step:g} h" if step else ""
        raise UserError(
            f"channel {channel.name}: {where} has sums over {hours[0]:g} h{every}, which do not cover the "
            f"{wanted} h of this channel; {lexicon.choose_sum(hours[0])}take a source that has them all"
        )


def _step(valid: np.ndarray) -> float:
    """Hours between frames; 0 for a single frame."""
    steps = np.diff(np.unique(valid))
    return float(steps.min() / HOUR) if len(steps) else 0.0


def _interval(methods: str, valid: np.ndarray) -> float | None:
    """Hours of `time: sum (interval: 6 hours)` if equal to the time step; else it may be that of the addends."""
    found = INTERVAL.search(str(methods))
    hours = float(found[1]) * (24 if found[2] == "day" else 1) if found else 0.0
    return hours if hours and hours == _step(valid) else None
