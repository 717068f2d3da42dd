"""Dates and times in a configuration, the year first: 2000, 2000-01, 2000-01-01, 2000-01-01T06."""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

RESOLUTION = timedelta(seconds=1)  # of times in settings
FIRST_YEAR, LAST_YEAR = 1678, 2261  # complete years within the range of datetime64[ns], the type of data times
DATE = r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?"
CLOCK = re.compile(r"(\d{1,2})(?::?(\d\d)(?::?(\d\d)(?:[.,]0*)?)?)?")
ZONE = re.compile(r"\s*(?:Z|UTC|GMT|([+-])(\d\d):?(\d\d)?)$", re.IGNORECASE)
WRITE = "write the year first, as in 2000, 2000-01, 2000-01-31 or 2000-01-31T18:00 (UTC)"


def first(value: object) -> datetime:
    """A time, or the first second of a day, month or year.

    Raises:
        ValueError: explaining the format.
    """
    return _span(value)[0]


def last(value: object) -> datetime:
    """A time, or the last second of a day, month or year: `end: 2007` is the end of 2007.

    Raises:
        ValueError: explaining the format.
    """
    return _span(value)[1]


_SCHEMA = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})
Time = Annotated[datetime, BeforeValidator(first), _SCHEMA]  # UTC, without a time zone, like times of data
End = Annotated[datetime, BeforeValidator(last), _SCHEMA]


def _span(value: object) -> tuple[datetime, datetime]:
    """The first and the last second of a day, month or year; the same twice for a time."""
    if isinstance(value, datetime):
        return (_check_range(_utc(value)),) * 2
    if isinstance(value, date):
        return _of_day(value.year, value.month, value.day)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"is not a date; {WRITE}")
    date_, clock = _parts(str(value).strip())
    if clock is None:
        return _of_day(*date_)
    if date_[2] is None:
        raise ValueError(f"has an hour and no day; {WRITE}")
    return (_check_range(_of_day(*date_)[0] + _since_midnight(clock)),) * 2


def _parts(text: str) -> tuple[tuple[int | None, ...], str | None]:
    """Year, month and day, none where not given, and the text of the time of day, if any."""
    if re.fullmatch(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}.*", text):
        raise ValueError(f"may have the day before the month or after it; {WRITE}")
    text = re.sub(r"^(\d{4})(\d\d)(\d\d)?(?!\d)", lambda run: "-".join(filter(None, run.groups())), text)
    found = re.fullmatch(rf"({DATE})(?:(?:[T_]|\s+)(\d.*)|\s*(?:Z|UTC|GMT))?", text, re.IGNORECASE)
    if not found:
        raise ValueError(f"is not a date; {WRITE}")
    return tuple(int(n) if n else None for n in re.fullmatch(DATE, found[1]).groups()), found[found.re.groups]


def _of_day(year: int, month: int | None, day: int | None) -> tuple[datetime, datetime]:
    """The first and the last second of a year, a month or a day."""
    try:
        begins = datetime(year, 1 if month is None else month, 1 if day is None else day)
    except ValueError as error:
        raise ValueError(f"is not a date ({error}); {WRITE}") from None
    days = 1 if day else monthrange(year, month)[1] if month else (datetime(year + 1, 1, 1) - begins).days
    return _check_range(begins), _check_range(begins + timedelta(days) - RESOLUTION)


def _since_midnight(text: str) -> timedelta:
    """The time of day in UTC; with a time zone it may be before midnight or after the next."""
    zone = ZONE.search(text)
    found = CLOCK.fullmatch(text[: zone.start()] if zone else text)
    hour, minute, second = (int(n or 0) for n in found.groups()) if found else (99, 0, 0)
    if hour == 24:
        raise ValueError("has hour 24; write 00:00 of the next day")
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"has an invalid time of day; {WRITE}")
    clock = timedelta(hours=hour, minutes=minute, seconds=second)
    if not zone or not zone[1]:
        return clock
    ahead = timedelta(hours=int(zone[2]), minutes=int(zone[3] or 0))
    return clock - ahead if zone[1] == "+" else clock + ahead


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def _check_range(value: datetime) -> datetime:
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise ValueError(f"is not between {FIRST_YEAR} and {LAST_YEAR}, the years that times of data can represent")
    return value
