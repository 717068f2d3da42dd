"""The observation table: one row for each observation, in one format for all sources.

Columns: `time` (UTC), `latitude`, `longitude` (degrees), `level` (hPa, NaN at the surface), `channel`, `value` and
`error` (standard deviation; both in the channel's units), `platform`, `station`, `quality` (0: may be used),
`withheld` (kept from every analysis, used for verification), `source`.

Tables may lack `footprint` (the area that a row is the mean of, see `hindsight.operators.footprint`; empty: a value at
a point), which is then empty, and the columns of `OPTIONAL`, whose defaults then hold: `elevation` (m, of the
instrument), `time_weights` (see `hindsight.operators.time_weights`; empty: a value at the time of a frame), `bias`
(that was subtracted from the value), `reasons` (all codes that apply to a row, as bits, where `quality` is the first),
`departure` (from the estimate by all other reports), `departure_spread` (its standard deviation) and `kind` (of
measurement, by which `observe.measurements` describes real reports).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.usage import USED, WITHHELD, reasons

COLUMNS = {
    "time": "datetime64[ns]",
    "latitude": "float64",
    "longitude": "float64",
    "level": "float64",
    "channel": "str",
    "value": "float64",
    "error": "float64",
    "platform": "str",
    "station": "str",
    "quality": "int64",
    "withheld": "bool",
    "source": "str",
    "footprint": "str",
}
OPTIONAL = {"elevation": np.nan, "time_weights": "", "bias": 0.0, "reasons": 0}
OPTIONAL |= {"departure": np.nan, "departure_spread": np.nan, "kind": ""}
NUMERIC = [name for name, kind in COLUMNS.items() if kind == "float64"]
UNKNOWN = -1  # a quality
NAIVE_TIMES = [f"timestamp[{unit}]" for unit in ("s", "ms", "us", "ns")]


def coerce(table: pd.DataFrame, where: Path | str) -> pd.DataFrame:
    """Convert a table to the columns and types of `COLUMNS`; values that are not of their type become NaN or NaT.

    Columns of `OPTIONAL` stay where they are present.

    Times with a time zone are converted to UTC. A missing quality becomes `UNKNOWN`, so that the row is not used.

    Raises:
        UserError: on missing columns, or a `withheld` that is neither true nor false.
    """
    table = table if "footprint" in table else table.assign(footprint="")
    if missing := [name for name in COLUMNS if name not in table]:
        raise UserError(f"{where} lacks the column(s) {', '.join(missing)}; an observation table has {list(COLUMNS)}")
    if (bad := np.flatnonzero(~table["withheld"].isin([True, False]))).size:
        raise UserError(
            f"{where}: withheld is neither true nor false in {bad.size} row(s), the first is row {bad[0]}; correct them"
        )
    numbers = {name: pd.to_numeric(table[name], errors="coerce").astype(float) for name in NUMERIC}
    quality = pd.to_numeric(table["quality"], errors="coerce").fillna(UNKNOWN).astype("int64")
    withheld = table["withheld"].astype(bool)
    names = [*COLUMNS, *(name for name in OPTIONAL if name in table)]
    return table.assign(**numbers, time=_utc(table["time"]), quality=quality, withheld=withheld)[names]


def check(table: pd.DataFrame, where: Path | str, coded: bool = False) -> pd.DataFrame:
    """Check a table before it is written; optional columns that hold nothing but their default are left out.

    Args:
        table: to be written.
        where: its file, for messages.
        coded: whether rows with a code against their use (`quality`) may hold values that are not valid.

    Raises:
        UserError: on missing columns, values that are not numbers or times, or errors not above zero.
    """
    table = coerce(table, where)
    checked = (table["quality"] == 0).to_numpy() if coded else np.ones(len(table), bool)
    numbers = table[["latitude", "longitude", "value", "error"]].to_numpy(float)
    if (bad := np.flatnonzero(~np.isfinite(numbers).all(axis=1) & checked)).size:
        raise UserError(
            f"{where}: {bad.size} row(s) with NaN or infinity, the first is row {bad[0]}; drop or mend them"
        )
    if (bad := np.flatnonzero((table["error"].to_numpy() <= 0) & checked)).size:
        raise UserError(
            f"{where}: {bad.size} row(s) with an error not above zero, the first is row {bad[0]}; drop or mend them"
        )
    if (bad := np.flatnonzero(table["time"].isna() & checked)).size:
        raise UserError(f"{where}: {bad.size} row(s) without a time, the first is row {bad[0]}; drop or mend them")
    present = {name: value for name, value in OPTIONAL.items() if name in table}
    return table.drop(columns=[n for n, value in present.items() if (table[n].isna() | (table[n] == value)).all()])


def _utc(times: pd.Series) -> pd.Series:
    """Times in UTC; NaT where a value is not a time."""
    if isinstance(times.dtype, np.dtype) and times.dtype.kind == "M":
        return times.astype("datetime64[ns]")
    return pd.to_datetime(times, errors="coerce", utc=True).dt.tz_localize(None).astype("datetime64[ns]")


def write(table: pd.DataFrame, path: Path, coded: bool = False) -> None:
    """Check a table and write it as Parquet, atomically; for `coded` see `check`."""
    checked = check(table, path, coded)
    store.replace(path, lambda partial: checked.to_parquet(partial, index=False))


def read(paths: list[Path], start: np.datetime64 | None = None, end: np.datetime64 | None = None) -> pd.DataFrame:
    """Read the tables of a network's shards as one, or only the rows from `start` to `end`, both included.

    Raises:
        UserError: if a file is missing or cannot be read, or lacks columns.
    """
    whole = pd.concat([_between(path, start, end) for path in paths], ignore_index=True)
    defaults = {name: value for name, value in OPTIONAL.items() if name in whole and value == value}
    return whole.fillna(defaults).astype({name: type(value) for name, value in defaults.items()})


def _between(path: Path, start: np.datetime64 | None, end: np.datetime64 | None) -> pd.DataFrame:
    if start is None:
        return coerce(_read(path), path)
    first, last = pd.Timestamp(start), pd.Timestamp(end)
    filters = [("time", ">=", first), ("time", "<=", last)] if _has_naive_times(path) else None
    table = coerce(_read(path, filters=filters), path)
    return table[table["time"].between(first, last)]


def _has_naive_times(path: Path) -> bool:
    """Whether the times of a file are timestamps without a time zone, which Parquet can filter."""
    import pyarrow.parquet

    try:
        schema = pyarrow.parquet.read_schema(path)
    except (OSError, ValueError):  # reading the file reports the error
        return False
    return "time" in schema.names and str(schema.field("time").type) in NAIVE_TIMES


def stations(paths: list[Path]) -> pd.DataFrame:
    """The stations of a network: one row for each different combination of the columns below.

    Returns:
        Columns channel, latitude, longitude, station, error, withheld, quality, footprint.

    Raises:
        UserError: if none of the files holds an observation.
    """
    columns = ["channel", "latitude", "longitude", "station", "error", "withheld", "quality", "footprint"]
    placed = (coerce(_read(path), path).dropna(subset=["latitude", "longitude"]) for path in paths)
    found = [part[columns].drop_duplicates() for part in placed]
    table = pd.concat(found, ignore_index=True).drop_duplicates(ignore_index=True)
    if table.empty:
        raise UserError(f"{paths[0].parent} holds no observation; widen the network or the period")
    return table


def _read(path: Path, **options: object) -> pd.DataFrame:
    try:
        return pd.read_parquet(path, **options)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the observations {path} ({error}); delete it and run snakemake") from None


def usable(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that an analysis may use: those without a reason against them in `usage.reasons`."""
    return table[reasons(table) == USED]


def usable_stations(stations: pd.DataFrame) -> pd.DataFrame:
    """Of the table that `stations` returns, the rows that an analysis may use."""
    return stations[(stations["quality"] == 0) & ~stations["withheld"]]


def withheld(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that are valid and withheld from every analysis."""
    return table[reasons(table) == WITHHELD]
