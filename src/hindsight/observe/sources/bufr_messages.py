"""Decode BUFR messages with ecCodes, as a process of its own: reads a pickled list of messages, writes pickled answers.

`bufr` starts it, because a damaged message can crash ecCodes. It imports nothing of hindsight, so it starts at once.
"""

import itertools
import math
import pickle
import sys
from collections.abc import Iterator

READY = "ready"  # the first answer: the process has started
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


def main() -> None:
    """Answer each message with its subsets, or with why it is left out."""
    import eccodes  # noqa: F401 fails here rather than at the first message

    messages = pickle.load(sys.stdin.buffer)
    for answer in itertools.chain([READY], map(_decoded, messages)):
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()


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
        # of a compressed message an array has a value for each subset; of others each subset has its own values
        where, index = ("#1#", number) if compressed else (f"/subsetNumber={number + 1}/", 0)
        get = lambda names, where=where, index=index: _first(message, names, where, index)
        row = {name: get(names) for name, names in WORDS.items()} | {name: get((name,)) for name in CLOCK}
        rows.append(row | {"category": category, "station": _station(message, where, index)})
    return rows


def _values(message: int, name: str, where: str, index: int) -> Iterator[object]:
    """The first value of an element in a subset, if it has the element."""
    import eccodes

    try:
        values = eccodes.codes_get_array(message, f"{where}{name}")
    except eccodes.KeyValueNotFoundError:
        return
    if len(values):
        yield values[index] if len(values) > index else values[0]


def _first(message: int, names: tuple[str, ...], where: str, index: int) -> float:
    """The first of some elements that a subset has; NaN where it has none."""
    import eccodes

    for value in (float(value) for name in names for value in _values(message, name, where, index)):
        if value not in (eccodes.CODES_MISSING_DOUBLE, eccodes.CODES_MISSING_LONG):
            return value
    return float("nan")


def _station(message: int, where: str, index: int) -> str:
    """The WMO number of a station, or a ship's or an aircraft's call sign."""
    block, number = (_first(message, (name,), where, index) for name in ("blockNumber", "stationNumber"))
    if math.isfinite(block + number):
        return f"{int(block):02d}{int(number):03d}"
    words = (f"{value}".strip() for name in NAMES for value in _values(message, name, where, index))
    return next((word for word in words if word), "")


if __name__ == "__main__":
    main()
