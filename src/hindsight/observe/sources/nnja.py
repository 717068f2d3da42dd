"""Format `nnja`: NNJA-AI, an archive of conventional reports as Parquet in a bucket, by message type and day.

Only the days, row groups and columns that are needed are fetched. The bucket itself could not be read when this was
written; the layout is that of its documentation and Python package (github.com/brightbandtech/nnja-ai, version 1) and
of programs that read it. These agree on: the roots `gs://gcp-nnja-ai/data/v1` and `gs://nnja-ai/data/v1`, which need no
credentials; folders of message types such as `conv/adpsfc/NC000001` (SYNOP), `NC000101` (SYNOP sent as BUFR),
`NC000007` (METAR) and `conv/adpupa/NC002001` (soundings); in them a folder a day of the observation,
`OBS_DATE=2021-01-01`; columns `OBS_TIMESTAMP` (UTC), `LAT`, `LON`, `SELV` (m), `RPID`, or `WMOB` and `WMOS` in
soundings; BUFR's mnemonics joined by dots; temperatures in K, pressures in Pa, geopotential in m2 s-2; in soundings a
column for each mandatory level, by its pressure in Pa (`TMDB_PRLC50000`); NCEP's quality marks.

Not verified are the names of sea-level pressure and of a METAR's pressure and quality marks, and how a mark is missing
(null or negative: both are accepted). A column that a file has not is left out. Significant levels are not read.
"""

import re
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hindsight.errors import UserError
from hindsight.observe import reports
from hindsight.observe.reports import Measured
from hindsight.observe.sources import prepbufr
from hindsight.observe.sources.content import Warn
from hindsight.settings.reports import Reports
from hindsight.storage import Storage, run_async
from hindsight.transfer_errors import TransferError

Answer = TypeVar("Answer")
TIME, SETTING = "OBS_TIMESTAMP", "reports"
COLUMNS = {  # ours: theirs, of which a message type has at most one
    "latitude": ("LAT",),
    "longitude": ("LON",),
    "elevation": ("SELV",),
    "station": ("RPID",),
    "block": ("WMOB",),
    "number": ("WMOS",),
    "sea_level": ("PRSSQ1.PMSL", "PRESDATA.PRESSQ03.PMSL", "MTRPRS.PMSL"),
    "pressure": ("PRSSQ1.PRES", "PRESDATA.PRESSQ03.PRES", "MTRPRS.PRES"),
    "altimeter": ("MTRPRS.ALSE",),
    "temperature": ("TMPSQ1.TMDB", "TEMHUMDA.TMDB", "MTRTMP.TMDB"),
    "dew_point": ("TMPSQ1.TMDP", "TEMHUMDA.TMDP", "MTRTMP.TMDP"),
    "speed": ("WNDSQ1.WSPD", "BSYWND1.WSPD", "MTRWND.WSPD"),
    "direction": ("WNDSQ1.WDIR", "BSYWND1.WDIR", "MTRWND.WDIR"),
    "pressure_mark": ("PRSSQ1.QMPR", "MTRPRS.QMPR", "QMPR"),
    "temperature_mark": ("TMPSQ1.QMAT", "MTRTMP.QMAT", "QMAT"),
    "dew_point_mark": ("TMPSQ1.QMDD", "MTRTMP.QMDD", "QMDD"),
    "wind_mark": ("WNDSQ1.QMWN", "MTRWND.QMWN", "QMWN"),
}
ALOFT = re.compile(r"(TMDB|TMDP|WSPD|WDIR|GP10|QMAT|QMDD|QMWN|QMGP)_PRLC(\d+)")  # a column of a mandatory level, Pa
KEY = ["station", "time", "quantity", "pressure"]
CONNECTIONS = 8
FOOTER = 1 << 16  # bytes, more than most
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 60.0  # seconds


def read(
    folder: str, settings: Reports, between: tuple[np.datetime64, np.datetime64], warn: Warn = print
) -> pd.DataFrame:
    """Read the reports of a message type (`reports.COLUMNS`).

    Args:
        folder: of the message type, below the archive's URL.
        settings: URL, options, retries.
        between: first and last time, UTC, both included.
        warn: is given a sentence on days without reports, and on damaged files.

    Raises:
        UserError: if the archive cannot be read, or a file has none of the columns that are known here.
    """
    storage = Storage(settings.url, dict(settings.options), settings.timeout_seconds, SETTING)
    days = np.arange(between[0].astype("datetime64[D]"), between[1].astype("datetime64[D]") + 1)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        parts = list(pool.map(lambda day: _day(storage, f"{folder}/OBS_DATE={day}", settings, between, warn), days))
    absent = [f"{day}" for day, part in zip(days, parts) if part is None]
    if absent:
        near = run_async(storage.nearest_names(f"{folder}/OBS_DATE={absent[0]}"))
        warn(f"{settings.url}/{folder} has no reports of {len(absent)} of {len(days)} days ({absent[0]} first; {near})")
    return pd.concat([reports.empty(), *(part for part in parts if part is not None)], ignore_index=True)


def repeats(part: pd.DataFrame, earlier: list[pd.DataFrame]) -> np.ndarray:
    """Which reports have the station, time, quantity and pressure of a report of another message type.

    SYNOP reports arrive as text and as BUFR, as two message types.
    """
    keys = lambda table: pd.MultiIndex.from_frame(table[KEY].fillna({"pressure": 0.0}))
    found = np.zeros(len(part), bool)
    for other in earlier:
        found |= keys(part).isin(keys(other))
    return found & (part["station"] != "").to_numpy()


def _day(
    storage: Storage, key: str, settings: Reports, between: tuple[np.datetime64, np.datetime64], warn: Warn
) -> pd.DataFrame | None:
    """The reports of a day; None where there is no file."""
    parts = []
    for name in _files(storage, key, settings):
        try:
            table = _table(storage, name, settings, between)
        except KeyError as error:
            warn(f"{settings.url}/{name} lacks the column {error} and is left out; it is no file of NNJA-AI")
            continue
        except (pa.ArrowException, OSError, ValueError) as error:
            warn(f"{settings.url}/{name} is damaged and cannot be read as Parquet ({error})")
            continue
        parts.append(_reports(table, f"{settings.url}/{name}"))
    return pd.concat(parts, ignore_index=True) if parts else None


def _files(storage: Storage, key: str, settings: Reports) -> Iterator[str]:
    """The Parquet files of a folder and of its partitions."""
    for name in _retry(lambda: storage.list_names(key), settings, key):
        if name.endswith(".parquet"):
            yield f"{key}/{name}"
        elif "=" in name:
            yield from _files(storage, f"{key}/{name}", settings)


def _table(storage: Storage, key: str, settings: Reports, between: tuple[np.datetime64, np.datetime64]) -> pd.DataFrame:
    """The rows of a file within the times, with the columns that are known here.

    The byte ranges of the columns are laid into an empty copy of the file, which is then read as if it were whole.
    """
    get = lambda start, end: _retry(lambda: storage.read(key, start, end), settings, key)
    size = _retry(lambda: storage.info(key), settings, key)["size"]
    content, tail = bytearray(size), get(max(size - FOOTER, 0), size)
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if length > len(tail):
        tail = get(size - min(length, size), size)
    content[size - len(tail) :] = tail
    metadata = pq.read_metadata(pa.BufferReader(tail))
    columns = _known(metadata)
    groups = [k for k in range(metadata.num_row_groups) if _overlaps(metadata.row_group(k), between)]
    for start, end in _ranges(metadata, groups, columns):
        content[start:end] = get(start, end)
    table = pq.ParquetFile(pa.BufferReader(content)).read_row_groups(groups, columns).to_pandas()
    times = pd.to_datetime(table[TIME], utc=True).dt.tz_localize(None).to_numpy("datetime64[ns]")
    return table.assign(**{TIME: times})[(times >= between[0]) & (times <= between[1])].reset_index(drop=True)


def _known(metadata: pq.FileMetaData) -> list[str]:
    """The columns of a file that are known here."""
    known = {TIME, *(name for names in COLUMNS.values() for name in names)}
    paths = [metadata.schema.column(k).path for k in range(metadata.num_columns)]
    return [path for path in paths if path in known or ALOFT.fullmatch(path)]


def _overlaps(group: pq.RowGroupMetaData, between: tuple[np.datetime64, np.datetime64]) -> bool:
    """Whether a row group may have rows within the times; it may where it does not state its times."""
    column = next((group.column(k) for k in range(group.num_columns) if group.column(k).path_in_schema == TIME), None)
    if column is None or column.statistics is None or not column.statistics.has_min_max:
        return True
    first, last = (_utc(each) for each in (column.statistics.min, column.statistics.max))
    return bool(first <= between[1] and last >= between[0])


def _utc(value: object) -> np.datetime64:
    stamp = pd.Timestamp(value)
    return (stamp.tz_convert(None) if stamp.tz else stamp).to_datetime64()


def _ranges(metadata: pq.FileMetaData, groups: list[int], columns: list[str]) -> list[tuple[int, int]]:
    """The ranges of bytes that hold the columns in the row groups; ranges that touch are one."""
    found = []
    for group in map(metadata.row_group, groups):
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema in columns:
                start = column.dictionary_page_offset or column.data_page_offset
                found.append((start, start + column.total_compressed_size))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _retry(work: Callable[[], Awaitable[Answer]], settings: Reports, key: str) -> Answer:
    """The answer to a request, which is repeated after temporary errors.

    Raises:
        UserError: if more attempts are of no use: rows that exist must not be missing from a table.
    """
    for attempt in range(settings.retries + 1):
        try:
            return run_async(work())
        except FileNotFoundError:
            raise UserError(f"{settings.url}/{key} has vanished since its folder was listed; run again") from None
        except TransferError as error:
            if error.kind == "refused" or attempt == settings.retries:
                tried = f"{attempt + 1} attempt(s)"
                raise UserError(
                    f"{settings.url}/{key} cannot be read after {tried} ({error}); check url, options and retries of "
                    "these reports, or run again later"
                ) from error
            time.sleep(min(FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE))
    raise AssertionError("the last attempt returns or raises")


def _reports(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """The reports of a message type: soundings where it has columns of levels, else of the surface."""
    levels = sorted({int(match[2]) for name in table if (match := ALOFT.fullmatch(name))})
    if levels:
        return pd.concat([_at_level(table, level) for level in levels], ignore_index=True)
    if not any(_column(table, name) is not None for name in ("temperature", "pressure", "speed")):
        raise UserError(f"{where} has none of the columns of temperature, pressure and wind that are known here")
    return _at_surface(table)


def _place(table: pd.DataFrame, platform: str) -> pd.DataFrame:
    number = lambda name: _numbers(table, name)
    return pd.DataFrame(
        {
            "time": table[TIME].to_numpy("datetime64[ns]"),
            "latitude": number("latitude"),
            "longitude": (number("longitude") + 180) % 360 - 180,
            "elevation": number("elevation"),
            "platform": platform,
            "station": _stations(table),
        }
    )


def _stations(table: pd.DataFrame) -> np.ndarray:
    """Identifiers of stations: that of the report, or else the WMO's block and number."""
    named = _column(table, "station")
    names = pd.Series("", table.index) if named is None else named.fillna("").astype(str).str.strip()
    wmo = _numbers(table, "block") * 1000 + _numbers(table, "number")
    numbers = [f"{int(each):05d}" if np.isfinite(each) else "" for each in wmo]
    return np.where(names == "", numbers, names).astype(object)


def _at_surface(table: pd.DataFrame) -> pd.DataFrame:
    place = _place(table, "land")
    value = lambda name, mark: Measured(_numbers(table, name), _flags(_column(table, mark), len(table)))
    reduced = reports.station_pressure(_numbers(table, "altimeter"), place["elevation"].to_numpy())
    pressure = value("pressure", "pressure_mark")
    measured = {
        "air_pressure_at_mean_sea_level": value("sea_level", "pressure_mark"),
        "surface_air_pressure": Measured(np.where(np.isfinite(pressure.value), pressure.value, reduced), pressure.flag),
        "air_temperature": value("temperature", "temperature_mark"),
        "dew_point_temperature": value("dew_point", "dew_point_mark"),
        **reports.wind(value("speed", "wind_mark"), value("direction", "wind_mark")),
    }
    return reports.stack(place, measured)


def _at_level(table: pd.DataFrame, level: int) -> pd.DataFrame:
    """Reports of soundings at a level (Pa)."""
    at = lambda name: table.get(f"{name}_PRLC{level}")
    number = lambda name: _as_numbers(at(name), len(table))
    value = lambda name, mark: Measured(number(name), _flags(at(mark), len(table)))
    dew_point = value("TMDP", "QMDD")
    humidity = reports.specific_humidity(dew_point.value, np.array(float(level)))
    measured = {
        "geopotential": value("GP10", "QMGP"),
        "air_temperature": value("TMDB", "QMAT"),
        "specific_humidity": Measured(humidity, dew_point.flag),
        **reports.wind(value("WSPD", "QMWN"), value("WDIR", "QMWN")),
    }
    return reports.stack(_place(table, "sonde").assign(pressure=level / 100), measured)


def _column(table: pd.DataFrame, name: str) -> pd.Series | None:
    return next((table[theirs] for theirs in COLUMNS[name] if theirs in table), None)


def _numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    return _as_numbers(_column(table, name), len(table))


def _as_numbers(column: pd.Series | None, count: int) -> np.ndarray:
    """The numbers of a column; NaN where there is none."""
    return np.full(count, np.nan) if column is None else pd.to_numeric(column, errors="coerce").to_numpy(float)


def _flags(marks: pd.Series | None, count: int) -> np.ndarray:
    """Flags of NCEP's quality marks, of which a missing one may be null or negative."""
    numbers = _as_numbers(marks, count)
    return prepbufr.flags(pd.Series(np.where(numbers >= 0, numbers, 2.0)))
