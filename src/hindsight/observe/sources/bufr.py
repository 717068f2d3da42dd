"""Format `bufr`: WMO BUFR messages of surface stations, ships and aircraft, decoded by ecCodes."""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.observe import reports
from hindsight.observe.reports import Measured
from hindsight.observe.sources import content
from hindsight.observe.sources.content import Warn

WORDS = {  # ours: the element names of BUFR table B, the likeliest first
    "latitude": ("latitude",),
    "longitude": ("longitude",),
    "elevation": ("heightOfBarometerAboveMeanSeaLevel", "heightOfStationGroundAboveMeanSeaLevel", "heightOfStation"),
    "sea_level": ("pressureReducedToMeanSeaLevel",),
    "pressure": ("nonCoordinatePressure",),
    "temperature": ("airTemperatureAt2M", "airTemperature"),
    "dew_point": ("dewpointTemperatureAt2M", "dewpointTemperature"),
    "speed": ("windSpeedAt10M", "windSpeed"),
    "direction": ("windDirectionAt10M", "windDirection"),
    "altitude": ("flightLevel", "height"),
}
CLOCK = ("year", "month", "day", "hour", "minute")
LAND, SHIPS, AIRCRAFT = 0, 1, 4  # data categories, BUFR table A
PLATFORMS = {LAND: "land", SHIPS: "ship", AIRCRAFT: "aircraft"}
NAMES = ("shipOrMobileLandStationIdentifier", "aircraftRegistrationNumberOrOtherIdentification", "aircraftFlightNumber")


def read(path: Path, warn: Warn = print) -> pd.DataFrame:
    """Read the reports of a file (`reports.COLUMNS`).

    Of each subset its first value of an element is taken; soundings (category 2) are left to `igra` and `prepbufr`.
    A message that cannot be decoded costs its own reports, and a warning says how many were.

    Args:
        path: of the file.
        warn: is given a sentence on the messages that were left out.

    Raises:
        UserError: if no message can be read.
    """
    rows, lost = [], Counter()
    for message in _messages(content.read(path, warn)):
        if isinstance(message, str):
            lost[message] += 1
        else:
            rows += message
    if not rows:
        raise UserError(f"{path} holds no BUFR message of surface stations, ships or aircraft{_in_words(lost)}")
    if lost:
        warn(f"{path}: left out are{_in_words(lost)}")
    return _reports(pd.DataFrame(rows, columns=[*WORDS, *CLOCK, "category", "station"]))


def _in_words(lost: Counter) -> str:
    return "".join(f" {count} message(s) {why};" for why, count in lost.items()).rstrip(";")


def _reports(table: pd.DataFrame) -> pd.DataFrame:
    numbers = table[[*WORDS, *CLOCK, "category"]].astype(float)
    aloft = (numbers["category"] == AIRCRAFT).to_numpy()
    altitude = numbers["altitude"].to_numpy()
    place = pd.DataFrame(
        {
            "time": pd.to_datetime(numbers[list(CLOCK)], errors="coerce").to_numpy("datetime64[ns]"),
            "latitude": numbers["latitude"],
            "longitude": numbers["longitude"],
            "elevation": numbers["elevation"].where(~aloft),
            "pressure": np.where(aloft, reports.standard_pressure(altitude), np.nan),
            "platform": numbers["category"].map(PLATFORMS),
            "station": table["station"],
        }
    )
    unchecked = np.full(len(table), "unchecked", object)
    value = lambda name, at_all=True: Measured(np.where(at_all, numbers[name], np.nan), unchecked)
    measured = {
        "air_pressure_at_mean_sea_level": value("sea_level"),
        "surface_air_pressure": value("pressure", ~aloft),
        "air_temperature": value("temperature"),
        "dew_point_temperature": value("dew_point", ~aloft),
        **reports.wind(value("speed"), value("direction")),
    }
    found = reports.stack(place, measured)
    return found[(found["platform"] != "aircraft") | found["pressure"].notna()].reset_index(drop=True)


def _messages(raw: bytes) -> list[list[dict] | str]:
    """The subsets of each message of the categories that are read, or why it is left out.

    A damaged message can crash ecCodes, so messages are decoded in another process; one that ends it costs itself.
    """
    whole, decoded, context = _split(raw), [], get_context("forkserver")
    context.set_forkserver_preload([__name__, "eccodes"])  # once, instead of at the start of every process
    messages = [message for message in whole if message is not None]
    while len(decoded) < len(messages):
        with ProcessPoolExecutor(1, context) as pool:
            try:
                for subsets in pool.map(_decoded, messages[len(decoded) :]):
                    decoded.append(subsets)
            except BrokenProcessPool:
                decoded.append("on which ecCodes crashes")
    return decoded + ["without their end"] * (len(whole) - len(messages))


def _split(raw: bytes) -> list[bytes | None]:
    """The messages of a file, None where one has no end.

    A message begins with `BUFR` and its length, and ends with `7777`: where it does not, the next one is searched for.
    """
    place, messages = 0, []
    while (place := raw.find(b"BUFR", place)) >= 0:
        size = int.from_bytes(raw[place + 4 : place + 7], "big")
        whole = size >= 8 and raw[place + size - 4 : place + size] == b"7777"
        messages.append(raw[place : place + size] if whole else None)
        place += size if whole else 4
    return messages


def _decoded(message: bytes) -> list[dict] | str:
    """The subsets of a message, or why it is left out."""
    import eccodes

    handle = None
    try:
        handle = eccodes.codes_new_from_message(message)
        if (category := eccodes.codes_get(handle, "dataCategory")) not in PLATFORMS:
            return f"of category {category}"
        eccodes.codes_set(handle, "unpack", 1)
        return _subsets(handle)
    except (eccodes.CodesInternalError, ValueError, IndexError) as error:  # damaged: values are missing, or are words
        return f"that ecCodes cannot decode ({error})"
    finally:
        if handle is not None:
            eccodes.codes_release(handle)


def _subsets(message: int) -> list[dict]:
    import eccodes

    count = eccodes.codes_get(message, "numberOfSubsets")
    compressed = count == 1 or eccodes.codes_get(message, "compressedData")
    category = eccodes.codes_get(message, "dataCategory")
    rows = []
    for number in range(count):
        # in a message that is not compressed the subsets follow one another, each with a rank of its own
        rank, index = (1, number) if compressed else (number + 1, 0)
        get = lambda names, rank=rank, index=index: _first(message, names, rank, index)
        row = {name: get(names) for name, names in WORDS.items()} | {name: get((name,)) for name in CLOCK}
        rows.append(row | {"category": category, "station": _station(message, rank, index)})
    return rows


def _first(message: int, names: tuple[str, ...], rank: int, index: int) -> float:
    """The first of some elements that a subset has; NaN where it has none."""
    import eccodes

    for name in names:
        try:
            values = eccodes.codes_get_array(message, f"#{rank}#{name}")
        except eccodes.KeyValueNotFoundError:
            continue
        value = float(values[index] if len(values) > 1 else values[0])
        if value not in (eccodes.CODES_MISSING_DOUBLE, eccodes.CODES_MISSING_LONG):
            return value
    return float("nan")


def _station(message: int, rank: int, index: int) -> str:
    """The WMO number of a station, or a ship's or an aircraft's call sign."""
    import eccodes

    block, number = (_first(message, (name,), rank, index) for name in ("blockNumber", "stationNumber"))
    if np.isfinite(block + number):
        return f"{int(block):02d}{int(number):03d}"
    for name in NAMES:
        try:
            return f"{eccodes.codes_get_array(message, f'#{rank}#{name}')[0]}".strip()
        except eccodes.KeyValueNotFoundError:
            continue
    return ""
