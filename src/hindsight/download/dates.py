"""Decode the times of files: calendars, text, numbers and rounding as files have them."""

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.errors import UserError

CALENDARS = ("standard", "gregorian", "proleptic_gregorian")  # the same since 1582
QUARTER = 900 * 10**9  # ns
TOLERANCE = np.timedelta64(180, "s")  # days since 1900 in single precision are off by up to 169 s
DAYS = "%Y%m%d.%f"  # units of the Climate Data Operators' absolute times
STEPS = ("step", "forecast_period", "prediction_timedelta", "lead_time")  # hours since a forecast's base time
Runs = list[list[int]]  # first, step, count (ns since 1970)


def decode(times: xr.Variable, where: str) -> np.ndarray:
    """Times as dates, NaT where a file has none.

    Args:
        times: as the file has them; or bounds of times, (T, 2).
        where: their name in errors.

    Returns:
        Of the shape of `times`, datetime64[ns].

    Raises:
        UserError: for a calendar or units that are not of dates.
    """
    units, calendar = str(times.attrs.get("units", "")), str(times.attrs.get("calendar", "standard")).lower()
    if np.issubdtype(times.dtype, np.datetime64):
        return times.values.astype("datetime64[ns]")
    if times.dtype.kind in "OUS":
        return _of_text(times.values, where)
    if calendar not in CALENDARS:
        raise UserError(
            f"{where} has the calendar {calendar}, whose days are not those of real dates; expected standard or "
            "proleptic_gregorian, so convert the file first (xarray: convert_calendar), or take another source"
        )
    if DAYS in units or not units and _are_days(times.values):
        return _of_numbers(np.asarray(times.values, float))
    if " since " not in units or units.split()[0].lower().rstrip("s") in ("month", "year"):
        raise UserError(
            f"{where} is {times.dtype} with units {units!r}, not dates; expected CF time units such as 'hours since "
            "1900-01-01', so set the attribute, or convert the file first"
        )
    return _of_units(times, where)


def snap(times: np.ndarray) -> np.ndarray:
    """Times rounded to the nearest quarter of an hour if they are within `TOLERANCE` of it; else unchanged."""
    number = times.astype("datetime64[ns]").astype(np.int64)
    near = (number + QUARTER // 2) // QUARTER * QUARTER
    close = ~np.isnat(times) & (np.abs(near - number) <= TOLERANCE.astype("timedelta64[ns]").astype(int))
    return np.where(close, near, number).astype("datetime64[ns]")


def pack(times: np.ndarray) -> Runs:
    """Times as runs of equal steps, for a small file; NaT is a run of its own."""
    numbers = times.astype("datetime64[ns]").astype(np.int64).tolist()
    found: Runs = []
    for number in numbers:
        if found and found[-1][2] == 1 and number > found[-1][0] != _NAT:
            found[-1] = [found[-1][0], number - found[-1][0], 2]
        elif found and found[-1][2] > 1 and number == found[-1][0] + found[-1][1] * found[-1][2]:
            found[-1][2] += 1
        else:
            found.append([number, 0, 1])
    return found


def unpack(runs: Runs) -> np.ndarray:
    """The times of runs that `pack` made."""
    parts = [first + step * np.arange(count, dtype=np.int64) for first, step, count in runs]
    return np.concatenate([np.empty(0, np.int64), *parts]).astype("datetime64[ns]")


def to_minute(time: np.datetime64) -> str:
    """A time as text, to the minute."""
    return str(np.datetime64(time, "m"))


def preliminary(versions: np.ndarray) -> np.ndarray:
    """Which of ECMWF's versions (`expver`) are preliminary: 5, `5` or `0005`; final data are 1 or `0001`."""
    text = (v.decode() if isinstance(v, bytes) else str(v) for v in np.ravel(versions))
    return np.array([t.strip().lstrip("0").split(".")[0] == "5" for t in text])


_NAT = np.datetime64("NaT", "ns").astype(np.int64).item()


def _of_text(values: np.ndarray, where: str) -> np.ndarray:
    text = [v.decode() if isinstance(v, bytes) else str(v) for v in values.ravel()]
    try:
        found = pd.to_datetime(text, format="ISO8601", utc=True).tz_localize(None)
    except ValueError:
        raise UserError(
            f"{where} begins with {text[0]!r}, which is no date; expected CF time units, or text like 2000-01-01 06:00"
        ) from None
    return found.to_numpy("datetime64[ns]").reshape(values.shape)


def _are_days(values: np.ndarray) -> bool:
    """Whether numbers without units are days such as 20000131."""
    whole = (
        np.issubdtype(values.dtype, np.integer) and values.size and values.min() > 18000000 and values.max() < 22000000
    )
    return bool(whole) and not np.isnat(_of_numbers(values.astype(float))).any()


def _of_numbers(values: np.ndarray) -> np.ndarray:
    """Days such as 20000131.25, of any shape."""
    flat = values.ravel()
    day = pd.to_datetime(pd.Series(np.floor(flat)).astype("Int64").astype(str), format="%Y%m%d", errors="coerce")
    return (day + pd.to_timedelta(flat % 1, "D")).to_numpy("datetime64[ns]").reshape(values.shape)


def _of_units(times: xr.Variable, where: str) -> np.ndarray:
    units = times.attrs["units"]
    try:
        found = xr.coders.CFDatetimeCoder(time_unit="ns").decode(times).values
    except (ValueError, OverflowError) as error:
        raise UserError(
            f"{where} has units {units!r} that cannot be read ({str(error).splitlines()[0]}); expected CF time units, "
            "so correct them"
        ) from None
    if found.dtype != object:
        return found.astype("datetime64[ns]")
    return np.array([str(t.isoformat()) if t == t else "NaT" for t in found.ravel()], "datetime64[ns]").reshape(
        found.shape
    )
