"""Format `metar`: METARs in Parquet, with MADIS's columns, units and quality-control letters, as in WeatherBench-X."""

from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.observe import reports
from hindsight.observe.reports import Measured
from hindsight.observe.sources import madis
from hindsight.observe.sources.content import Warn

NEEDED = ("stationName", "latitude", "longitude", "elevation", "timeObs", "temperature", "windSpeed", "windDir")


def read(path: Path, warn: Warn = print) -> pd.DataFrame:
    """Read the reports of a file (`reports.COLUMNS`).

    Args:
        path: of the file.
        warn: is given a sentence on what was lost of the file.

    Raises:
        UserError: if the file cannot be read or lacks columns.
    """
    table = reports.read_parquet(path, NEEDED, "METAR reports in MADIS's layout", warn)
    place = pd.DataFrame(
        {
            "time": table["timeObs"].to_numpy("datetime64[ns]"),
            "latitude": table["latitude"].to_numpy(float),
            "longitude": table["longitude"].to_numpy(float),
            "elevation": table["elevation"].to_numpy(float),
            "platform": "land",
            "station": table["stationName"].str.strip().to_numpy(object),
        }
    )
    return reports.stack(place, madis.at_surface(lambda name: _measured(table, name), place["elevation"].to_numpy()))


def _measured(table: pd.DataFrame, name: str) -> Measured | None:
    if name not in table:
        return None
    letters = table[f"{name}DD"] if f"{name}DD" in table else np.full(len(table), "")
    return Measured(table[name].to_numpy(float), madis.flags(letters))
