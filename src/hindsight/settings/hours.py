"""Hours in settings: whole numbers, or parts of an hour that are whole minutes, such as 1/12."""

from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

WRITE = "write hours (6), a part of an hour (1/12 for 5 minutes, 0.25), or minutes with their unit (5 min)"
LARGEST = 1e9  # minutes
ROUNDING = 1e-6  # minutes by which a decimal fraction, such as 0.08333333333, may be off


def minutes(hours: float | Fraction) -> int:
    """The minutes of a number of hours.

    Raises:
        ValueError: if they are not whole.
    """
    exact = hours * 60
    if not abs(exact) < LARGEST:
        raise ValueError(f"is not a number of hours; {WRITE}")
    found = round(exact)
    if abs(exact - found) > ROUNDING:
        raise ValueError(f"is {float(exact):g} minutes, which is not a whole number; {WRITE}")
    return found


def in_frames(hours: float, step_hours: float) -> int:
    """The number of whole steps in some hours."""
    return minutes(hours) // minutes(step_hours)


def is_whole(hours: float, step_hours: float) -> bool:
    """Whether some hours are a whole number of steps."""
    return minutes(hours) % minutes(step_hours) == 0


def in_words(hours: float) -> str:
    """`6 h`, or `5 min` where the hours are not whole."""
    found = minutes(hours)
    return f"{found} min" if found % 60 else f"{found // 60} h"


def in_full(hours: float) -> str:
    """`6 hours`, or `5 minutes` where the hours are not whole."""
    found = minutes(hours)
    return f"{found} minutes" if found % 60 else f"{found // 60} hours"


def iso_duration(hours: float) -> str:
    """As an ISO 8601 duration: PT6H, PT5M."""
    found = minutes(hours)
    return f"PT{found}M" if found % 60 else f"PT{found // 60}H"


def _of_text(text: str) -> Fraction:
    """The hours of a text: `1/12`, `0.25`, `5 min`, `6 h`."""
    number, _, unit = text.strip().partition(" ")
    units = {"": 1, "h": 1, "min": Fraction(1, 60)}
    try:
        return Fraction(number) * units[unit.strip()]
    except (ValueError, ZeroDivisionError, KeyError):
        raise ValueError(f"is not a number of hours; {WRITE}") from None


def _from_settings(value: object) -> int | float:
    """Hours from the settings, as an integer if they are whole, so that settings files stay as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"is not a number of hours; {WRITE}")
    found = minutes(_of_text(value) if isinstance(value, str) else value)
    return found // 60 if found % 60 == 0 else found / 60


def _above_zero(value: int | float) -> int | float:
    if value <= 0:
        raise ValueError(f"must be more than 0; {WRITE}")
    return value


def _not_negative(value: int | float) -> int | float:
    if value < 0:
        raise ValueError(f"must not be negative; {WRITE}")
    return value


_SCHEMA = WithJsonSchema({"anyOf": [{"minimum": 0, "type": "number"}, {"type": "string"}]})
_READ = BeforeValidator(_from_settings)
Hours = Annotated[int | float, _READ, AfterValidator(_above_zero), _SCHEMA]
HoursFromZero = Annotated[int | float, _READ, AfterValidator(_not_negative), _SCHEMA]  # may be 0
