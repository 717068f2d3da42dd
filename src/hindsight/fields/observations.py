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


def check(table: pd.DataFrame, where: Path | str) -> pd.DataFrame:
    """Hold a table against the contract, and fill in what older ones lack; every reader and writer calls this.

    Raises:
        UserError: on missing columns, no rows, values that are not numbers, or errors not above zero.
    """
    table = table if "footprint" in table else table.assign(footprint="")
    if missing := [name for name in COLUMNS if name not in table]:
        raise UserError(f"{where} lacks the column(s) {', '.join(missing)}; an observation table has {list(COLUMNS)}")
    numbers = table[["latitude", "longitude", "value", "error"]].to_numpy(float)
    if (bad := np.flatnonzero(~np.isfinite(numbers).all(axis=1))).size:
        raise UserError(f"{where}: {bad.size} row(s) with NaN, the first is row {bad[0]}; drop or mend them")
    if (bad := np.flatnonzero(table["error"].to_numpy() <= 0)).size:
        raise UserError(f"{where}: {bad.size} row(s) with an error not above zero, the first is row {bad[0]}")
    return table.astype({name: kind for name, kind in COLUMNS.items() if kind != "str"})[list(COLUMNS)]


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, whole or not at all."""
    checked = check(table, path)
    store.replace(path, lambda partial: checked.to_parquet(partial, index=False))


def read(paths: list[Path], start: np.datetime64 | None = None, end: np.datetime64 | None = None) -> pd.DataFrame:
    """Read the tables of a network's shards as one, or their rows from `start` to `end`, both included.

    Raises:
        UserError: if a file is missing or unreadable, or breaks the contract.
    """
    filters = [("time", ">=", pd.Timestamp(start)), ("time", "<=", pd.Timestamp(end))] if start is not None else None
    return pd.concat([check(_read(path, filters=filters), path) for path in paths], ignore_index=True)


def stations(paths: list[Path]) -> pd.DataFrame:
    """Where a network's observations are, and how good: one row a channel, station, place and size of error.

    Returns:
        Columns channel, latitude, longitude, station, error, withheld, quality, footprint.

    Raises:
        UserError: if none of the files holds an observation.
    """
    columns = ["channel", "latitude", "longitude", "station", "error", "withheld", "quality", "footprint"]
    found = [check(_read(path), path)[columns].drop_duplicates() for path in paths]
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
    """The rows that an analysis may use: good quality, not withheld."""
    return table[(table["quality"] == 0) & ~table["withheld"]]
