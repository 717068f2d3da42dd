"""Dates and times as people write them in a configuration, the year first: 2000, 2000-01, 2000-01-01, 2000-01-01T06."""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

MOMENT = timedelta(seconds=1)  # what times of settings are told to
FIRST_YEAR, LAST_YEAR = 1678, 2261  # whole ones that are held by times in nanoseconds, as those of the data are
DATE = r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?"
CLOCK = re.compile(r"(\d{1,2})(?::?(\d\d)(?::?(\d\d)(?:[.,]0*)?)?)?")
ZONE = re.compile(r"\s*(?:Z|UTC|GMT|([+-])(\d\d):?(\d\d)?)$", re.IGNORECASE)
WRITE = "write the year first, as in 2000, 2000-01, 2000-01-31 or 2000-01-31T18:00 (UTC)"


def first(value: object) -> datetime:
    """The time that is meant, or the first of the day, month or year.

    Raises:
        ValueError: saying how to write it.
    """
    return _span(value)[0]


def last(value: object) -> datetime:
    """The time that is meant, or the last second of the day, month or year: `end: 2007` is the end of 2007.

    Raises:
        ValueError: saying how to write it.
    """
    return _span(value)[1]


_SCHEMA = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})
Time = Annotated[datetime, BeforeValidator(first), _SCHEMA]  # in UTC and without saying so, as those of the data are
End = Annotated[datetime, BeforeValidator(last), _SCHEMA]


def _span(value: object) -> tuple[datetime, datetime]:
    """The first and the last second of what a value means, which are the same if it is a time."""
    if isinstance(value, datetime):
        return (_held(_utc(value)),) * 2
    if isinstance(value, date):
        return _of_day(value.year, value.month, value.day)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"is no date; {WRITE}")
    date_, clock = _parts(str(value).strip())
    if clock is None:
        return _of_day(*date_)
    if date_[2] is None:
        raise ValueError(f"has an hour and no day; {WRITE}")
    return (_held(_of_day(*date_)[0] + _since_midnight(clock)),) * 2


def _parts(text: str) -> tuple[tuple[int | None, ...], str | None]:
    """Year, month and day, as far as they are given, and the text of the clock, if there is one."""
    if re.fullmatch(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}.*", text):
        raise ValueError(f"may have the day before the month or after it; {WRITE}")
    text = re.sub(r"^(\d{4})(\d\d)(\d\d)?(?!\d)", lambda run: "-".join(filter(None, run.groups())), text)
    found = re.fullmatch(rf"({DATE})(?:(?:[T_]|\s+)(\d.*)|\s*(?:Z|UTC|GMT))?", text, re.IGNORECASE)
    if not found:
        raise ValueError(f"is no date; {WRITE}")
    return tuple(int(n) if n else None for n in re.fullmatch(DATE, found[1]).groups()), found[found.re.groups]


def _of_day(year: int, month: int | None, day: int | None) -> tuple[datetime, datetime]:
    """The first and the last second of a year, a month or a day."""
    try:
        begins = datetime(year, 1 if month is None else month, 1 if day is None else day)
    except ValueError as error:
        raise ValueError(f"is no date ({error}); {WRITE}") from None
    days = 1 if day else monthrange(year, month)[1] if month else (datetime(year + 1, 1, 1) - begins).days
    return _held(begins), _held(begins + timedelta(days) - MOMENT)


def _since_midnight(text: str) -> timedelta:
    """The time of a clock, in UTC; before midnight or after the next where its zone says so."""
    zone = ZONE.search(text)
    found = CLOCK.fullmatch(text[: zone.start()] if zone else text)
    hour, minute, second = (int(n or 0) for n in found.groups()) if found else (99, 0, 0)
    if hour == 24:
        raise ValueError("has an hour 24; write the next day's 00:00")
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"has no time of day that can be read; {WRITE}")
    clock = timedelta(hours=hour, minutes=minute, seconds=second)
    if not zone or not zone[1]:
        return clock
    ahead = timedelta(hours=int(zone[2]), minutes=int(zone[3] or 0))
    return clock - ahead if zone[1] == "+" else clock + ahead


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def _held(value: datetime) -> datetime:
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise ValueError(f"lies beyond {FIRST_YEAR} to {LAST_YEAR}, the years that the times of data can hold")
    return value
