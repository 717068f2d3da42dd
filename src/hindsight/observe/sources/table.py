"""Format `table`: CSV or Parquet with a column for each kind of value, and a map that says which column is what."""

from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.observe import reports
from hindsight.observe.reports import Measured
from hindsight.settings.reports import Column, TableFormat
from hindsight.settings.units import conversion

PLACE = ("time", "latitude", "longitude", "elevation", "pressure", "station", "platform", "flag")
NUMBERS = ("latitude", "longitude", "elevation", "pressure")


def read(path: Path, settings: TableFormat, stations: Path | None = None) -> pd.DataFrame:
    """Read the values of a table (`reports.COLUMNS`).

    Args:
        path: CSV or Parquet, perhaps compressed.
        settings: which column is what.
        stations: a table with a row a station, whose columns are added to the rows of that station.

    Raises:
        UserError: if a file cannot be read, lacks columns that the map names, or states units that do not fit.
    """
    table = _joined(_table(path), stations, settings) if stations else _table(path)
    _require(table, settings, path, stations)
    place = pd.DataFrame({name: table[column] for name, column in settings.columns.items() if name != "flag"})
    place = place.reindex(columns=[name for name in PLACE if name != "flag"])
    place["time"] = _times(table[settings.columns["time"]], settings)
    place["platform"] = place["platform"].fillna(settings.platform)
    for name in NUMBERS:
        place[name] = pd.to_numeric(place[name], errors="coerce").astype(float)
    flag = _flags(table, settings)
    parts = [_of_column(table, place, column, flag, path) for column in settings.values]
    return pd.concat(parts, ignore_index=True) if parts else reports.empty()


def _of_column(table: pd.DataFrame, place: pd.DataFrame, column: Column, flag: np.ndarray, path: Path) -> pd.DataFrame:
    chosen = np.ones(len(table), bool)
    for name, accepted in column.where.items():
        chosen &= table[name].isin(accepted).to_numpy()
    factor = conversion(column.units, reports.UNITS[column.quantity])
    if factor is None:
        raise UserError(
            f"{path}: column {column.column!r} is {column.quantity} in {column.units!r}, which cannot be converted to "
            f"{reports.UNITS[column.quantity]}; correct `units` or `quantity`"
        )
    values = pd.to_numeric(table[column.column], errors="coerce").to_numpy(float) * factor[0] + factor[1]
    measured = Measured(np.where(chosen, values, np.nan), flag)
    return reports.stack(place, {column.quantity: measured}).assign(kind=column.name)


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
    places, key = _table(stations), settings.columns["station"]
    for where, columns in ((stations, places), ("the table", table)):
        if key not in columns:
            raise UserError(f"{where} has no column {key!r} with names of stations; it has {', '.join(columns)}")
    if places[key].duplicated().any():
        raise UserError(f"{stations} lists {places[key][places[key].duplicated()].iloc[0]!r} more than once")
    return table.merge(places, on=key, how="left", suffixes=("", " of the station"))


def _table(path: Path) -> pd.DataFrame:
    reader = pd.read_parquet if ".parquet" in path.suffixes or path.suffix == ".pq" else pd.read_csv
    try:
        return reader(path)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read as a table ({error})") from None


def _times(column: pd.Series, settings: TableFormat) -> np.ndarray:
    """Times in UTC; a date alone means the hour that the settings give to dates."""
    times = pd.to_datetime(column, errors="coerce", utc=True).dt.tz_localize(None)
    if settings.hour_of_dates is not None:
        times = times.dt.normalize() + pd.Timedelta(hours=settings.hour_of_dates)
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
