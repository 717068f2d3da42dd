"""Format `table`: CSV or Parquet with a column for each kind of value, and a map that says which column is what."""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.observe import reports
from hindsight.observe.reports import Measured
from hindsight.observe.sources import content
from hindsight.observe.sources.content import Warn
from hindsight.settings.reports import COLUMNS, Column, TableFormat
from hindsight.settings.units import conversion

NUMBERS = ("latitude", "longitude", "elevation", "pressure")


def read(path: Path, settings: TableFormat, stations: Path | None = None, warn: Warn = print) -> pd.DataFrame:
    """Read the values of a table (`reports.COLUMNS`).

    Args:
        path: CSV, perhaps gzipped or zipped, or Parquet.
        settings: which column is what.
        stations: a table with a row a station, whose columns are added to the rows of that station.
        warn: is given a sentence on what was lost of the file: times and values that cannot be read.

    Raises:
        UserError: if a file cannot be read, or lacks columns that the map names.
    """
    table = _table(path, settings.columns.get("station"), warn)
    table = _joined(table, stations, settings) if stations else table
    _require(table, settings, path, stations)
    place = pd.DataFrame({name: table[column] for name, column in settings.columns.items() if name != "flag"})
    place = place.reindex(columns=[name for name in COLUMNS if name != "flag"])
    place["time"] = _times(table[settings.columns["time"]], settings, path, warn)
    place["platform"] = place["platform"].fillna(settings.platform)
    for name in NUMBERS:
        place[name] = _numbers(place[name], path, warn)
    flag = _flags(table, settings)
    parts = [_of_column(table, place, column, flag, path, warn) for column in settings.values]
    return pd.concat(parts, ignore_index=True) if parts else reports.empty()


def _of_column(
    table: pd.DataFrame, place: pd.DataFrame, column: Column, flag: np.ndarray, path: Path, warn: Warn
) -> pd.DataFrame:
    chosen = np.ones(len(table), bool)
    for name, accepted in column.where.items():
        chosen &= table[name].map(_word).isin(accepted).to_numpy()
    factor, offset = conversion(column.units, reports.UNITS[column.quantity]) or (np.nan, 0.0)  # settings checked it
    values = _numbers(table[column.column].where(chosen), path, warn) * factor + offset
    return reports.stack(place, {column.quantity: Measured(values, flag)}).assign(kind=column.name)


def _numbers(column: pd.Series, path: Path, warn: Warn) -> np.ndarray:
    """The numbers of a column; NaN, with a warning, where there is something else."""
    values = pd.to_numeric(column, errors="coerce").astype(float)
    if (wrong := column.notna() & values.isna()).any():
        warn(f"{path}: {wrong.sum()} values of {column.name!r} are no numbers ({column[wrong].iloc[0]!r}, for one)")
    return values.to_numpy(float)


def _require(table: pd.DataFrame, settings: TableFormat, path: Path, stations: Path | None) -> None:
    named = [
        *settings.columns.values(),
        *(name for column in settings.values for name in (column.column, *column.where)),
    ]
    if missing := sorted({name for name in named if name not in table}):
        beside = f", joined with {stations}," if stations else ""
        raise UserError(
            f"{path}{beside} lacks the column(s) {', '.join(missing)} that the settings name; it has "
            f"{', '.join(map(str, table.columns))}"
        )


def _joined(table: pd.DataFrame, stations: Path, settings: TableFormat) -> pd.DataFrame:
    """The table with the columns of the station list."""
    key = settings.columns["station"]
    places = _table(stations, key)
    for where, columns in ((stations, places), ("the table", table)):
        if key not in columns:
            raise UserError(f"{where} has no column {key!r} with names of stations; it has {', '.join(columns)}")
    if places[key].duplicated().any():
        raise UserError(f"{stations} lists {places[key][places[key].duplicated()].iloc[0]!r} more than once")
    return table.merge(places, on=key, how="left", suffixes=("", " of the station"))


def _table(path: Path, station: str | None, warn: Warn = print) -> pd.DataFrame:
    """A table; names of stations, in one column, are texts, so that 03772 keeps its zero."""
    if ".parquet" in path.suffixes or path.suffix == ".pq":
        table = reports.read_parquet(path, [], "the table", warn)
        return table.assign(**{station: table[station].map(_word)}) if station in table else table
    try:
        return pd.read_csv(io.BytesIO(b"\n".join(_whole_lines(path, warn))), dtype={station: str})
    except ValueError as error:
        raise UserError(f"{path} cannot be read as a table ({error})") from None


def _whole_lines(path: Path, warn: Warn) -> list[bytes]:
    """The lines of a CSV file, without the last one if it is cut short."""
    lines = content.lines(path, warn)
    if lines and lines[-1].count(b",") < lines[0].count(b","):
        warn(f"{path} is truncated: its last line is cut short and left out")
        return lines[:-1]
    return lines


def _times(column: pd.Series, settings: TableFormat, path: Path, warn: Warn) -> np.ndarray:
    """Times in UTC, of which some may have a zone; a date alone means the hour that the settings give to dates.

    Of times that are no texts, those at midnight are dates.
    """
    given = column
    if pd.api.types.is_numeric_dtype(column):  # 20000131 is a date, not nanoseconds
        given = column.map(_word)
    times = pd.to_datetime(given, errors="coerce", utc=True, format="ISO8601").dt.tz_localize(None)
    if (wrong := column.notna() & times.isna()).any():
        warn(
            f"{path}: {wrong.sum()} of {len(column)} times in {column.name!r} are not ISO 8601, like "
            f"2000-01-31T12:00+01:00 ({column[wrong].iloc[0]!r}, for one)"
        )
    if settings.hour_of_dates is not None:
        clock = given.map(lambda one: isinstance(one, str) and ("T" in one or ":" in one)).astype(bool)
        dates = ~clock & (times == times.dt.normalize())
        times = times.where(~dates, times + pd.Timedelta(hours=settings.hour_of_dates))
    return times.to_numpy("datetime64[ns]")


def _flags(table: pd.DataFrame, settings: TableFormat) -> np.ndarray:
    """Flags of the provider, by the words that the settings give to its codes."""
    if "flag" not in settings.columns:
        return np.full(len(table), "unchecked", object)
    codes = table[settings.columns["flag"]].map(_word)
    return codes.map(settings.flags).fillna("unchecked").to_numpy(object)


def _word(code: object) -> str:
    """A code as the settings spell it; pandas reads whole numbers beside missing ones as 9.0."""
    whole = isinstance(code, float) and code.is_integer()
    return "" if pd.isna(code) else f"{int(code)}" if whole else f"{code}"
