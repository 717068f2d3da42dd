"""Format `madis`: netCDF files of NOAA's Meteorological Assimilation Data Ingest System, plain or gzipped.

Read are surface reports (METAR, maritime), aircraft reports (ACARS) and soundings at mandatory levels. MADIS states a
verdict on each value by a letter (`temperatureDD`; madis.ncep.noaa.gov, "QC procedures").
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.errors import UserError
from hindsight.observe import reports
from hindsight.observe.reports import Measured
from hindsight.observe.sources import content
from hindsight.observe.sources.content import Warn
from hindsight.settings.units import GRAVITY, conversion

FLAG_OF = {"B": "rejected", "X": "rejected", "Q": "suspect", "C": "good", "S": "good", "V": "good", "G": "good"}
RECORDS = "recNum"
ERRORS = (ValueError, TypeError, OSError, EOFError, KeyError, IndexError, OverflowError, AssertionError, MemoryError)
UNITS = {  # that a file may spell differently, or replace by others of the same quantity
    **dict.fromkeys(("temperature", "dewpoint", "tpMan"), "K"),
    **dict.fromkeys(("seaLevelPress", "stationPress", "altimeter"), "Pa"),
    **dict.fromkeys(("windSpeed", "wsMan"), "m s-1"),
    **dict.fromkeys(("elevation", "htMan", "staElev"), "m"),
    "prMan": "hPa",
}
SURFACE = {  # MADIS's name: quantity
    "seaLevelPress": "air_pressure_at_mean_sea_level",
    "stationPress": "surface_air_pressure",
    "temperature": "air_temperature",
    "dewpoint": "dew_point_temperature",
}


def read(path: Path, warn: Warn = print) -> pd.DataFrame:
    """Read the reports of a file (`reports.COLUMNS`).

    Of a truncated file the records before the cut are read.

    Args:
        path: of the file.
        warn: is given a sentence on what was lost of the file.

    Raises:
        UserError: if the file is none of MADIS's that this module knows, or states units of another quantity.
    """
    dataset = _in_our_units(_opened(path, warn), path)
    if "prMan" in dataset:
        return soundings(dataset)
    if "en_tailNumber" in dataset:
        return aircraft(dataset)
    if {"stationName", "timeObs", "temperature"} <= set(dataset.variables):
        return surface(dataset)
    raise UserError(f"{path} is no MADIS file of surface, aircraft or sounding reports; it holds {_some(dataset)}")


def surface(dataset: xr.Dataset) -> pd.DataFrame:
    """Reports of stations on land and of ships and buoys."""
    kind = "ship" if "dataPlatformType" in dataset else "land"
    place = pd.DataFrame(
        {
            "time": _times(dataset["timeObs"]),
            "latitude": dataset["latitude"].values.astype(float),
            "longitude": dataset["longitude"].values.astype(float),
            "elevation": dataset["elevation"].values.astype(float),
            "platform": kind,
            "station": _words(dataset["stationName"]),
        }
    )
    return reports.stack(place, at_surface(lambda name: _measured(dataset, name), place["elevation"].to_numpy()))


def at_surface(measured: Callable[[str], Measured | None], elevation: np.ndarray) -> dict[str, Measured]:
    """The quantities of surface reports.

    Args:
        measured: returns values and flags by MADIS's name, None where a file lacks it.
        elevation: of the stations, m; station pressure comes from the altimeter setting where it is not reported.
    """
    found = {quantity: values for name, quantity in SURFACE.items() if (values := measured(name))}
    if setting := measured("altimeter"):
        other = Measured(reports.station_pressure(setting.value, elevation), setting.flag)
        given = found.get("surface_air_pressure", other)
        reported = np.isfinite(given.value)
        value, flag = np.where(reported, given.value, other.value), np.where(reported, given.flag, other.flag)
        found["surface_air_pressure"] = Measured(value, flag)
    return found | _wind(measured("windSpeed"), measured("windDir"))


def _wind(speed: Measured | None, direction: Measured | None) -> dict[str, Measured]:
    """The wind; none where a file lacks speed or direction."""
    return reports.wind(speed, direction) if speed and direction else {}


def aircraft(dataset: xr.Dataset) -> pd.DataFrame:
    """Reports of aircraft, at the pressure of their pressure altitude."""
    place = pd.DataFrame(
        {
            "time": _times(dataset["timeObs"]),
            "latitude": dataset["latitude"].values.astype(float),
            "longitude": dataset["longitude"].values.astype(float),
            "pressure": reports.aloft(reports.standard_pressure(dataset["altitude"].values)),
            "platform": "aircraft",
            "station": _words(dataset["en_tailNumber"]),
        }
    )
    temperature, speed, direction = (_measured(dataset, name) for name in ("temperature", "windSpeed", "windDir"))
    warmth = {"air_temperature": temperature} if temperature else {}
    return reports.stack(place, warmth | _wind(speed, direction))


def soundings(dataset: xr.Dataset) -> pd.DataFrame:
    """Reports of radiosondes at mandatory levels; files state no verdict on them.

    The lowest level is the surface, at the pressure of the station; it stays at that pressure.
    """
    pressure = dataset["prMan"].values.astype(float)  # (N, levels)
    levels = pressure.shape[1]
    along = lambda name: np.repeat(dataset[name].values, levels)
    place = pd.DataFrame(
        {
            "time": np.repeat(_times(dataset["synTime"]), levels),
            "latitude": along("staLat").astype(float),
            "longitude": along("staLon").astype(float),
            "elevation": along("staElev").astype(float),
            "pressure": reports.aloft(pressure.ravel()),
            "platform": "sonde",
            "station": [f"{number:05d}" for number in along("wmoStaNum").astype(int)],
        }
    )
    value = lambda name: dataset[name].values.astype(float).ravel()
    plain = lambda values: Measured(values, np.full(values.shape, "unchecked", object))
    measured = {
        "geopotential": plain(value("htMan") * GRAVITY),
        "air_temperature": plain(value("tpMan")),
        "specific_humidity": plain(reports.specific_humidity(value("tpMan") - value("tdMan"), value("prMan") * 100)),
        **reports.wind(plain(value("wsMan")), plain(value("wdMan"))),
    }
    return reports.stack(place, measured)


def _opened(path: Path, warn: Warn) -> xr.Dataset:
    raw = content.read(path, warn)
    try:
        return _decoded(raw)
    except ERRORS as error:
        whole = _before_the_cut(raw)
        if whole is None:
            raise UserError(f"{path} cannot be read as a MADIS netCDF file ({error})") from None
        warn(f"{path} is truncated: {whole.sizes[RECORDS]} of {int.from_bytes(raw[4:8], 'big')} records could be read")
        return whole


def _decoded(raw: bytes) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xr.SerializationWarning)  # a variable that is not read has two fill values
        return xr.load_dataset(raw, decode_times=False, engine="scipy")


def _before_the_cut(raw: bytes) -> xr.Dataset | None:
    """The records of a netCDF file (version 3) that lie before the cut; None if it is damaged otherwise.

    Records follow one another at the end of such a file, and its header states how many there are: the largest number
    with which the file can be read is searched for by bisection.
    """
    first, last, found = 1, int.from_bytes(raw[4:8], "big") - 1, None
    while first <= last:
        middle = (first + last) // 2
        try:
            found, first = _decoded(raw[:4] + middle.to_bytes(4, "big") + raw[8:]), middle + 1
        except ERRORS:
            last = middle - 1
    return found if found is not None and RECORDS in found.sizes else None


def _in_our_units(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    """The dataset in the units of `UNITS`; a variable without units is in them."""
    for name, ours in UNITS.items():
        if name in dataset and (theirs := dataset[name].attrs.get("units")):
            factor = conversion(str(theirs), ours)
            if factor is None:
                raise UserError(f"{path}: {name} is in {theirs!r}, not in a unit like {ours}; correct the file")
            if factor != (1.0, 0.0):
                dataset[name] = dataset[name] * factor[0] + factor[1]
    return dataset


def _measured(dataset: xr.Dataset, name: str) -> Measured | None:
    if name not in dataset:
        return None
    values = dataset[name].values.astype(float)
    letters = _words(dataset[f"{name}DD"]) if f"{name}DD" in dataset else np.full(values.shape, "")
    return Measured(values, flags(letters))


def flags(letters: np.ndarray) -> np.ndarray:
    """Flags of MADIS's letters; one that says nothing of a check (Z) is unchecked."""
    return np.array([FLAG_OF.get(letter, "unchecked") for letter in letters], object)


def _times(seconds: xr.DataArray) -> np.ndarray:
    given = seconds.values.astype(float)
    times = (np.round(np.nan_to_num(given)).astype("int64") * 10**9).astype("datetime64[ns]")
    return np.where(np.isfinite(given), times, np.datetime64("NaT", "ns"))


def _words(values: xr.DataArray) -> np.ndarray:
    return np.array([value.decode("latin-1").strip("\0 ") for value in values.values], object)


def _some(dataset: xr.Dataset) -> str:
    return ", ".join(sorted(map(str, dataset.variables))[:8])
