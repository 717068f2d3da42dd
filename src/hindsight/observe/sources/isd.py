"""Format `isd`: NOAA's Integrated Surface Database, full records or ISD-Lite, plain or gzipped.

A full record carries its own place. ISD-Lite has none: the name of a file states the station as `USAF-WBAN-YEAR`, and a
station list (`isd-history.csv`) its place. Columns are those of NCEI's `isd-format-document.pdf` and
`isd-lite-format.txt`.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.observe import reports
from hindsight.observe.reports import Measured
from hindsight.observe.sources import content
from hindsight.observe.sources.content import Warn

FLAG_OF = {"2": "suspect", "6": "suspect", "3": "rejected", "7": "rejected", "1": "good", "5": "good"}
NAME = re.compile(r"([0-9A-Z]{6})-([0-9]{5})-[0-9]{4}")
PRESSURE = re.compile(r"MA1.{5}.(\d{5})(.)")  # altimeter setting and its code, station pressure and its code
LITE = ["year", "month", "day", "hour", "temperature", "dew_point", "sea_level", "direction", "speed"]
LITE_COLUMNS = 12  # with cloud cover and precipitation, which are not read
MANDATORY = 105  # characters of a full record before its additional data; the first four state its length


def read(path: Path, stations: Path | None = None, warn: Warn = print) -> pd.DataFrame:
    """Read the reports of a file (`reports.COLUMNS`).

    Args:
        path: full records or ISD-Lite.
        stations: the station list, which ISD-Lite needs.
        warn: is given a sentence on what was lost of the file.

    Raises:
        UserError: if the file cannot be read or is neither, or its station is not in the list.
    """
    every = [line.decode("latin-1") for line in content.lines(path, warn)]
    is_full = any(re.match(r"\d{4}[0-9A-Z]{6}\d{5}\d{12}", line) for line in every[:10])
    lines = [line for line in every if (_is_whole if is_full else _has_all_columns)(line)]
    if lines and len(lines) < len(every):
        warn(f"{path}: {len(every) - len(lines)} of {len(every)} records are damaged and left out")
    if lines and is_full:
        return full(lines)
    if lines and re.match(r"\s*\d{4}\s+\d{1,2}\s+\d{1,2}\s+\d{1,2}(\s+-?\d+){5,}\s*$", lines[0]):
        return lite(lines, path, stations)
    raise UserError(
        f"{path} holds neither full ISD records nor ISD-Lite; its first line is {(every or [''])[0][:60]!r}"
    )


def full(lines: list[str]) -> pd.DataFrame:
    """Full records: a line a report, 105 characters and additional data."""
    text = pd.Series(lines, dtype=object).str
    number = lambda first, last, missing: _scaled(text[first:last], missing)
    elevation = number(46, 51, 9999)
    place = pd.DataFrame(
        {
            "time": pd.to_datetime(text[15:27], format="%Y%m%d%H%M", errors="coerce").to_numpy("datetime64[ns]"),
            "latitude": number(28, 34, 99999) / 1000,
            "longitude": number(34, 41, 999999) / 1000,
            "elevation": elevation,
            "platform": "land",
            "station": (text[4:10] + "-" + text[10:15]).to_numpy(object),
        }
    )
    flag = lambda column: _flags(text[column])
    more = [PRESSURE.search(line, MANDATORY) for line in lines]
    pressure = np.array([float(m[1]) * 10 if m and m[1] != "99999" else np.nan for m in more])
    measured = {
        "air_temperature": Measured(number(87, 92, 9999) / 10 + 273.15, flag(92)),
        "dew_point_temperature": Measured(number(93, 98, 9999) / 10 + 273.15, flag(98)),
        "air_pressure_at_mean_sea_level": Measured(number(99, 104, 99999) * 10, flag(104)),
        "surface_air_pressure": Measured(pressure, _flags(pd.Series([m[2] if m else "" for m in more], dtype=object))),
        **reports.wind(
            Measured(number(65, 69, 9999) / 10, flag(69)),
            Measured(number(60, 63, 999), flag(63)),
        ),
    }
    return reports.stack(place, measured)


def lite(lines: list[str], path: Path, stations: Path | None) -> pd.DataFrame:
    """ISD-Lite: columns of numbers, -9999 where there is none, at a station of the list."""
    name = NAME.search(path.name)
    if name is None or stations is None:
        raise UserError(
            f"{path} is ISD-Lite, which does not say where its station is: it has to be called USAF-WBAN-YEAR, and the "
            "reports need `stations`, the list isd-history.csv"
        )
    where = _station(stations, *name.groups())
    rows = [line.split()[: len(LITE)] for line in lines]
    table = pd.DataFrame(rows, columns=LITE).apply(pd.to_numeric, errors="coerce")
    table = table.astype(float).replace(-9999.0, np.nan)
    unchecked = np.full(len(table), "unchecked", object)
    value = lambda column, scale, offset=0.0: Measured(table[column].to_numpy() * scale + offset, unchecked)
    place = pd.DataFrame(
        {
            "time": pd.to_datetime(table[["year", "month", "day", "hour"]], errors="coerce").to_numpy("datetime64[ns]"),
            "platform": "land",
            **where,
        }
    )
    measured = {
        "air_temperature": value("temperature", 0.1, 273.15),
        "dew_point_temperature": value("dew_point", 0.1, 273.15),
        "air_pressure_at_mean_sea_level": value("sea_level", 10.0),
        **reports.wind(value("speed", 0.1), value("direction", 1.0)),
    }
    return reports.stack(place, measured)


def _station(stations: Path, usaf: str, wban: str) -> dict[str, object]:
    """Place of a station in `isd-history.csv`."""
    try:
        table = pd.read_csv(stations, dtype=str, skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the station list {stations} ({error})") from None
    table = table.rename(columns=str.strip)
    found = table[(table["USAF"].str.strip() == usaf) & (table["WBAN"].str.strip() == wban)]
    if found.empty:
        raise UserError(f"{stations} has no station {usaf}-{wban}")
    latitude, longitude, elevation = pd.to_numeric(found[["LAT", "LON", "ELEV(M)"]].iloc[-1], errors="coerce")
    return {"latitude": latitude, "longitude": longitude, "elevation": elevation, "station": f"{usaf}-{wban}"}


def _is_whole(line: str) -> bool:
    """Whether a full record has the length that it states."""
    return line[:4].isdecimal() and MANDATORY <= MANDATORY + int(line[:4]) <= len(line)


def _has_all_columns(line: str) -> bool:
    return len(line.split()) == LITE_COLUMNS


def _scaled(text: pd.Series, missing: int) -> np.ndarray:
    values = pd.to_numeric(text, errors="coerce").to_numpy(float)
    return np.where(np.abs(values) == missing, np.nan, values)


def _flags(codes: pd.Series) -> np.ndarray:
    """Flags of ISD's quality codes; 0, 4, 9 and edited values have passed no more than gross limits."""
    return codes.map(FLAG_OF).fillna("unchecked").to_numpy(object)
