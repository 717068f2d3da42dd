"""Format `bufr`: WMO BUFR messages of surface stations, ships and aircraft, decoded by ecCodes."""

import io
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.observe import reports
from hindsight.observe.reports import Measured
from hindsight.observe.sources import bufr_messages, content
from hindsight.observe.sources.bufr_messages import AIRCRAFT, CLOCK, PLATFORMS, WORDS
from hindsight.observe.sources.content import Warn


def read(path: Path, warn: Warn = print) -> pd.DataFrame:
    """Read the reports of a file (`reports.COLUMNS`).

    Of each subset its first value of an element is taken; soundings (category 2) are left to `igra` and `prepbufr`.
    A message that cannot be decoded costs its own reports, and a warning says how many messages were left out.

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
            "pressure": np.where(aloft, reports.aloft(reports.standard_pressure(altitude)), np.nan),
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
    return reports.stack(place, measured)


def _messages(raw: bytes) -> list[list[dict] | str]:
    """The subsets of each message of the categories that are read, or why it is left out.

    A damaged message can crash ecCodes, so messages are decoded in another process; one that ends it costs itself.
    """
    whole, decoded = _split(raw), []
    messages = [message for message in whole if message is not None]
    while len(decoded) < len(messages):
        decoded += _decode(messages[len(decoded) :])
        if len(decoded) < len(messages):
            decoded.append("on which ecCodes crashes")
    return decoded + ["without their end"] * (len(whole) - len(messages))


def _decode(messages: list[bytes]) -> list[list[dict] | str]:
    """The subsets of messages, up to one on which the process that decodes them ends.

    Raises:
        UserError: if that process does not start, which is no fault of the messages.
    """
    command = [sys.executable, "-P", bufr_messages.__file__]
    done = subprocess.run(command, input=pickle.dumps(messages), capture_output=True)
    answers, stream = [], io.BytesIO(done.stdout)
    while stream.tell() < len(done.stdout):
        try:
            answers.append(pickle.load(stream))
        except (EOFError, pickle.UnpicklingError):  # the process ended while it wrote
            break
    if not answers or answers[0] != bufr_messages.READY:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise UserError(f"the process that decodes BUFR messages does not start ({last}); is ecCodes installed?")
    return answers[1:]


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
