"""The observation table: one row an observation, whatever made it.

Columns: `time` (UTC), `latitude`, `longitude` (degrees), `level` (hPa, NaN at the surface), `channel`, `value` and
`error` (standard deviation; both in the channel's units), `platform`, `station`, `quality` (0: may be used),
`withheld` (kept from every analysis), `source`, `footprint` (what a row is the mean of, see
`hindsight.operators.footprint`; empty, as in tables that lack it: a value at the place).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.account import USED, WITHHELD, reasons

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
REAL = ("float64",)
UNKNOWN = -1  # a quality
PLAIN = [f"timestamp[{unit}]" for unit in ("s", "ms", "us", "ns")]


def typed(table: pd.DataFrame, where: Path | str) -> pd.DataFrame:
    """A table with the columns of the contract, in their types; what is none becomes NaN or NaT.

    Times with a time zone become UTC; a quality that is not known becomes `UNKNOWN`, which is not good.

    Raises:
        UserError: on missing columns, or a `withheld` that is neither true nor false.
    """
    table = table if "footprint" in table else table.assign(footprint="")
    if missing := [name for name in COLUMNS if name not in table]:
        raise UserError(f"{where} lacks the column(s) {', '.join(missing)}; an observation table has {list(COLUMNS)}")
    if (bad := np.flatnonzero(~table["withheld"].isin([True, False]))).size:
        raise UserError(f"{where}: withheld is neither true nor false in {bad.size} row(s), the first is row {bad[0]}")
    numbers = {n: pd.to_numeric(table[n], errors="coerce").astype(float) for n, kind in COLUMNS.items() if kind in REAL}
    quality = pd.to_numeric(table["quality"], errors="coerce").fillna(UNKNOWN).astype("int64")
    withheld = table["withheld"].astype(bool)
    return table.assign(**numbers, time=_utc(table["time"]), quality=quality, withheld=withheld)[list(COLUMNS)]


def check(table: pd.DataFrame, where: Path | str) -> pd.DataFrame:
    """Hold a table that is to be written against the contract, and fill in what older ones lack.

    Raises:
        UserError: on missing columns, values that are not numbers or times, or errors not above zero.
    """
    table = typed(table, where)
    numbers = table[["latitude", "longitude", "value", "error"]].to_numpy(float)
    if (bad := np.flatnonzero(~np.isfinite(numbers).all(axis=1))).size:
        raise UserError(f"{where}: {bad.size} row(s) with NaN, the first is row {bad[0]}; drop or mend them")
    if (bad := np.flatnonzero(table["error"].to_numpy() <= 0)).size:
        raise UserError(f"{where}: {bad.size} row(s) with an error not above zero, the first is row {bad[0]}")
    if (bad := np.flatnonzero(table["time"].isna())).size:
        raise UserError(f"{where}: {bad.size} row(s) without a time, the first is row {bad[0]}; drop or mend them")
    return table


def _utc(times: pd.Series) -> pd.Series:
    """Times in UTC; NaT where one is none."""
    if isinstance(times.dtype, np.dtype) and times.dtype.kind == "M":
        return times.astype("datetime64[ns]")
    return pd.to_datetime(times, errors="coerce", utc=True).dt.tz_localize(None).astype("datetime64[ns]")


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, whole or not at all."""
    checked = check(table, path)
    store.replace(path, lambda partial: checked.to_parquet(partial, index=False))


def read(paths: list[Path], start: np.datetime64 | None = None, end: np.datetime64 | None = None) -> pd.DataFrame:
    """Read the tables of a network's shards as one, or their rows from `start` to `end`, both included.

    Raises:
        UserError: if a file is missing or unreadable, or breaks the contract.
    """
    return pd.concat([_between(path, start, end) for path in paths], ignore_index=True)


def _between(path: Path, start: np.datetime64 | None, end: np.datetime64 | None) -> pd.DataFrame:
    if start is None:
        return typed(_read(path), path)
    first, last = pd.Timestamp(start), pd.Timestamp(end)
    filters = [("time", ">=", first), ("time", "<=", last)] if _plain(path) else None
    table = typed(_read(path, filters=filters), path)
    return table[table["time"].between(first, last)]


def _plain(path: Path) -> bool:
    """Whether the times of a file can be compared as they are: dates, of no time zone."""
    import pyarrow.parquet

    try:
        schema = pyarrow.parquet.read_schema(path)
    except (OSError, ValueError):  # whoever reads it will say so
        return False
    return "time" in schema.names and str(schema.field("time").type) in PLAIN


def stations(paths: list[Path]) -> pd.DataFrame:
    """Where a network's observations are, and how good: one row a channel, station, place and size of error.

    Returns:
        Columns channel, latitude, longitude, station, error, withheld, quality, footprint.

    Raises:
        UserError: if none of the files holds an observation.
    """
    columns = ["channel", "latitude", "longitude", "station", "error", "withheld", "quality", "footprint"]
    known = (typed(_read(path), path).dropna(subset=["latitude", "longitude"]) for path in paths)
    found = [part[columns].drop_duplicates() for part in known]
    table = pd.concat(found, ignore_index=True).drop_duplicates(ignore_index=True)
    if table.empty:
        raise UserError(f"{paths[0].parent} holds no observation; widen the network or the period")
    return table


def _read(path: Path, **choice: object) -> pd.DataFrame:
    try:
        return pd.read_parquet(path, **choice)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the observations {path} ({error}); delete it and run snakemake") from None


def usable(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that an analysis may use, whatever its frames and channels: nothing speaks against them."""
    return table[reasons(table) == USED]


def usable_stations(stations: pd.DataFrame) -> pd.DataFrame:
    """Of what `stations` tells, those whose rows an analysis may use."""
    return stations[(stations["quality"] == 0) & ~stations["withheld"]]


def withheld(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that are as good, and kept from every analysis."""
    return table[reasons(table) == WITHHELD]
