"""Format `prepbufr`: NCEP's PREPBUFR files decoded to Parquet, a row a level, with NCEP's quality marks.

Columns: `time`, `msgtype`, `report_type`, `station`, `lat`, `lon`, `elev` (m), `CAT` (category of the level), `POB`
(hPa), `QOB` (mg/kg), `TOB` (degrees C), `ZOB` (m), `UOB`, `VOB` (m/s), and marks `PQM QQM TQM ZQM WQM`: 0 to 3 may be
used, 4 and more are rejected (NCEP, "PREPBUFR quality marks"). Temperature is virtual where NCEP computed it so.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.observe import reports
from hindsight.observe.reports import Measured
from hindsight.observe.sources.content import Warn
from hindsight.settings.units import GRAVITY

NEEDED = ["time", "msgtype", "station", "lat", "lon", "elev", "CAT", "POB", "PQM", "TOB", "TQM", "QOB", "QQM", "ZOB"]
NEEDED += ["ZQM", "UOB", "VOB", "WQM"]
PLATFORMS = {
    "ADPUPA": "sonde",
    "ADPSFC": "land",
    "SFCSHP": "ship",
    "AIRCFT": "aircraft",
    "AIRCAR": "aircraft",
    "SATWND": "satellite",
    "PROFLR": "profiler",
    "SFCBOG": "bogus",  # drawn by an analyst, not measured
}
SURFACE = 0  # the category of a surface level


def read(path: Path, warn: Warn = print) -> pd.DataFrame:
    """Read the reports of a file (`reports.COLUMNS`).

    A surface level gives station pressure, temperature, wind and humidity without a level.

    Args:
        path: of the file.
        warn: is given a sentence on what was lost of the file.

    Raises:
        UserError: if the file cannot be read or lacks columns.
    """
    table = reports.read_parquet(path, NEEDED, "decoded PREPBUFR", warn)
    known = table["msgtype"].isin(PLATFORMS)
    if not known.all():
        others = table["msgtype"][~known].value_counts()
        what = ", ".join(f"{count} {name}" for name, count in others.items())
        warn(f"{path}: rows of message types that are not read are left out: {what}")
    table = table[known]
    near_ground = ((table["CAT"] == SURFACE) | table["msgtype"].isin(["ADPSFC", "SFCSHP"])).to_numpy()
    place = pd.DataFrame(
        {
            "time": table["time"].to_numpy("datetime64[ns]"),
            "latitude": table["lat"].to_numpy(float),
            "longitude": (table["lon"].to_numpy(float) + 180) % 360 - 180,
            "elevation": table["elev"].to_numpy(float),
            "pressure": np.where(near_ground, np.nan, reports.aloft(table["POB"].to_numpy(float))),
            "platform": table["msgtype"].map(PLATFORMS).to_numpy(object),
            "station": table["station"].str.strip().to_numpy(object),
        }
    )
    return reports.stack(place, _quantities(table, near_ground))


def _quantities(table: pd.DataFrame, near_ground: np.ndarray) -> dict[str, Measured]:
    aloft = lambda values: np.where(near_ground, np.nan, values)
    wind = flags(table["WQM"], table["PQM"])
    return {
        "surface_air_pressure": Measured(np.where(near_ground, table["POB"] * 100.0, np.nan), flags(table["PQM"])),
        "air_temperature": Measured(table["TOB"].to_numpy(float) + 273.15, flags(table["TQM"], table["PQM"])),
        "specific_humidity": Measured(table["QOB"].to_numpy(float) * 1e-6, flags(table["QQM"], table["PQM"])),
        "geopotential": Measured(aloft(table["ZOB"] * GRAVITY), flags(table["ZQM"], table["PQM"])),
        "eastward_wind": Measured(table["UOB"].to_numpy(float), wind),
        "northward_wind": Measured(table["VOB"].to_numpy(float), wind),
    }


def flags(*marks: pd.Series) -> np.ndarray:
    """Flags of NCEP's quality marks: the worst of a value's own and its pressure's.

    0 kept, 1 good, 2 neutral or not checked, 3 suspect, 4 and more rejected.
    """
    largest = np.nanmax(np.stack([mark.to_numpy(float, na_value=2.0) for mark in marks]), 0, initial=0.0)
    kinds = np.array(["good", "good", "unchecked", "suspect", "rejected"], object)
    return kinds[np.clip(largest, 0, 4).astype(int)]
