"""Format `igra`: soundings of the Integrated Global Radiosonde Archive, version 2, as text, zipped or gzipped.

A header line begins with `#`, a line a level follows; columns are those of NCEI's `igra2-data-format.txt`. Values that
NCEI's quality assurance removed (-8888) are missing here too; a letter says which checks the others have passed.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.observe import reports
from hindsight.observe.reports import Measured
from hindsight.observe.sources import content
from hindsight.observe.sources.content import Warn
from hindsight.settings.units import GRAVITY

WIDTH, SHORTEST = 71, 51  # characters of a header line, and of a level line without blanks at its end
MISSING = (-9999, -8888)
CHECKED = (b"A", b"B")  # within climatological limits


def read(path: Path, warn: Warn = print) -> pd.DataFrame:
    """Read the soundings of a file (`reports.COLUMNS`).

    Values of levels without a pressure have no level; those of soundings without an hour, of the day or of the release,
    have no time.
    Lines that are cut short are left out.

    Args:
        path: of the file.
        warn: is given a sentence on what was lost of the file.

    Raises:
        UserError: if the file cannot be read or holds no sounding.
    """
    every = content.lines(path, warn)
    lines = [line for line in every if len(line) >= (WIDTH if line[:1] == b"#" else SHORTEST)]
    padded = np.array([line[:WIDTH].ljust(WIDTH) for line in lines], f"S{WIDTH}").view("S1").reshape(len(lines), WIDTH)
    is_header = padded[:, 0] == b"#" if lines else np.zeros(0, bool)
    if not is_header.any() or not is_header[0]:
        raise UserError(f"{path} holds no IGRA sounding: it does not begin with a header line, which begins with #")
    if len(lines) < len(every):
        warn(f"{path}: {len(every) - len(lines)} of {len(every)} lines are cut short and left out")
    headers, levels = padded[is_header], padded[~is_header]
    of = np.cumsum(is_header)[~is_header] - 1  # the sounding of each level
    pressure = _numbers(levels, 9, 15) / 100
    place = pd.DataFrame(
        {
            "time": _times(headers)[of],
            "latitude": (_numbers(headers, 55, 62) / 1e4)[of],
            "longitude": (_numbers(headers, 62, 71) / 1e4)[of],
            "pressure": reports.aloft(pressure),
            "platform": "sonde",
            "station": _texts(headers, 1, 12)[of],
        }
    )
    return reports.stack(place, _quantities(levels, pressure))


def _quantities(levels: np.ndarray, pressure: np.ndarray) -> dict[str, Measured]:
    temperature = _numbers(levels, 22, 27) / 10 + 273.15
    dew_point = temperature - _numbers(levels, 34, 39) / 10
    flag_of = lambda column: np.where(np.isin(levels[:, column], CHECKED), "good", "unchecked").astype(object)
    unchecked = np.full(len(levels), "unchecked", object)
    speed, direction = _numbers(levels, 46, 51) / 10, _numbers(levels, 40, 45)
    return {
        "geopotential": Measured(_numbers(levels, 16, 21) * GRAVITY, flag_of(21)),
        "air_temperature": Measured(temperature, flag_of(27)),
        "specific_humidity": Measured(reports.specific_humidity(dew_point, pressure * 100), flag_of(27)),
        **reports.wind(Measured(speed, unchecked), Measured(direction, unchecked)),
    }


def _texts(lines: np.ndarray, first: int, last: int) -> np.ndarray:
    part = np.ascontiguousarray(lines[:, first:last])
    return np.char.strip(part.view(f"S{last - first}").ravel().astype(str)).astype(object)


def _numbers(lines: np.ndarray, first: int, last: int) -> np.ndarray:
    """Whole numbers in columns; NaN where they are missing or are no numbers."""
    values = pd.to_numeric(pd.Series(_texts(lines, first, last)), errors="coerce").to_numpy(float)
    return np.where(np.isin(values, MISSING), np.nan, values)


def _times(headers: np.ndarray) -> np.ndarray:
    """Nominal times; where a header has no hour, that of the release; NaT where it has neither."""
    hour, release = _numbers(headers, 24, 26), _numbers(headers, 27, 31)
    hour = np.where(hour == 99, np.where(release < 9999, release // 100, np.nan), hour)
    dates = [
        f"{y}-{m}-{d}" for y, m, d in zip(_texts(headers, 13, 17), _texts(headers, 18, 20), _texts(headers, 21, 23))
    ]
    days = pd.to_datetime(pd.Series(dates), errors="coerce", format="%Y-%m-%d")
    return (days + pd.to_timedelta(pd.Series(hour), unit="h")).to_numpy("datetime64[ns]")
