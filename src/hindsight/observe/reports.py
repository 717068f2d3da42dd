"""Reports: what instruments measured, one row a value, in one layout for every file format.

Columns: `time` (UTC), `latitude`, `longitude` (degrees), `elevation` (m, of the instrument; NaN where unknown),
`pressure` (hPa, the level of an upper-air value; NaN at the surface, `UNKNOWN` where an upper-air report lacks it),
`quantity` (a CF standard name of `UNITS`), `value` (in the units of `UNITS`), `platform` (`land`, `ship`, `sonde`,
`aircraft`, `satellite`, `profiler`, `bogus`), `station`, `flag` (the provider's verdict, a word of `FLAGS`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hindsight.errors import UserError
from hindsight.settings.reports import UNITS as UNITS

FLAGS = ("good", "unchecked", "suspect", "rejected")  # from the best to the worst
PLACE = ("time", "latitude", "longitude", "elevation", "pressure", "platform", "station")
COLUMNS = (*PLACE, "quantity", "value", "flag")
LAPSE, SEA_LEVEL, STANDARD = 0.0065, 288.15, 101325.0  # K m-1, K, Pa: ICAO's standard atmosphere
EXPONENT = 0.190263  # R L / g
UNKNOWN = 0.0  # hPa: no level, so that the value is counted under its reason and not taken for one at the surface


@dataclass(frozen=True)
class Measured:
    """One quantity of N reports: values in the units of `UNITS`, NaN where there is none, and their flags."""

    value: np.ndarray
    flag: np.ndarray


def read_parquet(path: Path, columns: Sequence[str], kind: str, warn: Callable[[str], None] = print) -> pd.DataFrame:
    """Read a Parquet file of reports; a row group that is damaged costs its own rows.

    Args:
        path: of the file.
        columns: that it has to have.
        kind: of reports, for the message.
        warn: is given a sentence on the rows that were lost.

    Raises:
        UserError: if it cannot be read or lacks columns.
    """
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        groups = [_row_group(file, number) for number in range(file.num_row_groups)]
        readable = [group for group in groups if isinstance(group, pa.Table)]
        lost = [str(group) for group in groups if not isinstance(group, pa.Table)]
        table = pa.concat_tables(readable or [file.schema_arrow.empty_table()]).to_pandas()
    except (OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"{path} cannot be read as Parquet ({error})") from None
    if lost and not readable:
        raise UserError(f"{path} is damaged and cannot be read as Parquet ({lost[0]}); fetch it again")
    if lost:
        count = file.metadata.num_rows - len(table)
        warn(f"{path} is damaged: {count} of {file.metadata.num_rows} rows could not be read ({lost[0]})")
    if missing := [name for name in columns if name not in table]:
        raise UserError(f"{path} lacks the column(s) {', '.join(missing)} of {kind}")
    return table


def _row_group(file: pq.ParquetFile, number: int) -> pa.Table | Exception:
    """A row group, or why it cannot be read."""
    try:
        return file.read_row_group(number)
    except (OSError, ValueError) as error:
        return error


def stack(place: pd.DataFrame, measured: Mapping[str, Measured]) -> pd.DataFrame:
    """Stack the quantities of reports into rows of one value each.

    Args:
        place: when, where and by what (N rows), the columns of `PLACE`; `elevation` and `pressure` may be absent.
        measured: values by quantity; those that are NaN give no row.
    """
    place = place.reindex(columns=list(PLACE))
    parts = []
    for quantity, of in measured.items():
        valid = np.isfinite(of.value)
        parts.append(place[valid].assign(quantity=quantity, value=of.value[valid], flag=of.flag[valid]))
    if not parts:
        return empty()
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def aloft(pressure: np.ndarray) -> np.ndarray:
    """Pressures (hPa) of values of an upper-air platform; `UNKNOWN` where a report does not say at which they are."""
    return np.where(np.isfinite(pressure), pressure, UNKNOWN)


def empty() -> pd.DataFrame:
    """Reports without a row."""
    numbers = {"latitude", "longitude", "elevation", "pressure", "value"}
    kinds = {
        name: "float64" if name in numbers else "datetime64[ns]" if name == "time" else "object" for name in COLUMNS
    }
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def worst(*flags: np.ndarray) -> np.ndarray:
    """The worst of several flags of the same values, for a quantity that is computed from several."""
    numbers = np.stack([pd.Categorical(flag, FLAGS).codes for flag in flags])
    return np.array(FLAGS, object)[numbers.max(0)]


def wind(speed: Measured, direction: Measured) -> dict[str, Measured]:
    """Eastward and northward wind (m s-1) from speed (m s-1) and the direction that it comes from (degrees from north).

    Calm air has no direction: both are zero whatever the direction says.
    """
    angle = np.deg2rad(np.where(speed.value == 0, 0.0, direction.value))
    flag = worst(speed.flag, np.where(speed.value == 0, speed.flag, direction.flag))
    return {
        "eastward_wind": Measured(-speed.value * np.sin(angle) + 0.0, flag),
        "northward_wind": Measured(-speed.value * np.cos(angle) + 0.0, flag),
    }


def station_pressure(altimeter: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """Station pressure (Pa) from the altimeter setting (QNH, Pa), which reduces it in the standard atmosphere.

    Args:
        altimeter: QNH, Pa.
        elevation: of the barometer, m (ICAO Doc 7488; Smithsonian Meteorological Tables, section 66).
    """
    reduced = np.asarray(altimeter, float) ** EXPONENT - STANDARD**EXPONENT * LAPSE * np.asarray(elevation) / SEA_LEVEL
    return reduced ** (1 / EXPONENT)


def standard_pressure(altitude: np.ndarray) -> np.ndarray:
    """Pressure (hPa) at a pressure altitude (m): what an aircraft's altimeter measured and reported as height.

    ICAO's standard atmosphere: a lapse rate of 6.5 K/km to 11 km, constant temperature from there to 20 km.
    """
    altitude = np.asarray(altitude, float)
    low = STANDARD * (1 - LAPSE * np.minimum(altitude, 11000.0) / SEA_LEVEL) ** (1 / EXPONENT)
    return low * np.exp(-np.maximum(altitude - 11000.0, 0) / 6341.62) / 100


def saturation_pressure(temperature: np.ndarray) -> np.ndarray:
    """Saturation vapour pressure over water, Pa, of a temperature in K (Bolton 1980, equation 10)."""
    celsius = np.asarray(temperature, float) - 273.15
    return 611.2 * np.exp(17.67 * celsius / (celsius + 243.5))


def specific_humidity(dew_point: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """Specific humidity (kg kg-1) from the dew point (K) and pressure (Pa)."""
    vapour = saturation_pressure(dew_point)
    return 0.62198 * vapour / (np.asarray(pressure, float) - (1 - 0.62198) * vapour)
