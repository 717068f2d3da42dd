"""The process that decodes messages: it answers one by one; a fault of the process is none of a message."""

import io
import pickle
import sys

import pytest

from hindsight.errors import UserError
from hindsight.observe.sources import bufr, bufr_messages
from tests.observe.sources import real

SYNOP = "obs_synop_bufr/synop_europe_20181120_12z.bufr"


def messages(count):
    return bufr._split(real.file(SYNOP).read_bytes())[:count]


def answers(monkeypatch, given):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pickle.dumps(given))))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written))
    bufr_messages.main()
    written.seek(0)
    return [pickle.load(written) for _ in range(len(given) + 1)]


def test_every_message_has_an_answer(monkeypatch):
    first, second = messages(2)
    found = answers(monkeypatch, [first, b"BUFR no message 7777", second])
    assert found[0] == bufr_messages.READY and "cannot decode" in found[2]
    assert found[1][0]["pressure"] != found[3][0]["pressure"] and found[1][0]["category"] == bufr_messages.LAND


def test_a_message_that_ends_the_process_costs_itself(tmp_path, monkeypatch):
    """A program that ends itself where a message says so stands for ecCodes on a damaged one."""
    program = tmp_path / "decode.py"
    program.write_text(
        "import os, pickle, signal, sys\n"
        "for each in ['ready', *pickle.load(sys.stdin.buffer)]:\n"
        "    if each == b'crash': os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    pickle.dump(each, sys.stdout.buffer); sys.stdout.buffer.flush()\n"
    )
    monkeypatch.setattr(bufr_messages, "__file__", str(program))
    monkeypatch.setattr(bufr, "_split", lambda raw: [b"a", b"crash", b"b", None, b"crash"])
    crashed = "on which ecCodes crashes"
    assert bufr._messages(b"") == [b"a", crashed, b"b", crashed, "without their end"]


def test_a_process_that_does_not_start_is_no_fault_of_the_messages(tmp_path, monkeypatch):
    (tmp_path / "decode.py").write_text("raise ImportError('no ecCodes here')\n")
    monkeypatch.setattr(bufr_messages, "__file__", str(tmp_path / "decode.py"))
    with pytest.raises(UserError, match="does not start .*no ecCodes here"):
        bufr._messages(messages(1)[0])


CLOCK = {"year": 2020, "month": 1, "day": 1, "hour": 0, "minute": 0}


def encoded(descriptors, category, subsets, compressed, **values):
    """A message; lists have a value for each subset, or for each time that the element occurs."""
    eccodes = pytest.importorskip("eccodes")
    message = eccodes.codes_bufr_new_from_samples("BUFR4")
    header = {"dataCategory": category, "numberOfSubsets": subsets, "compressedData": int(compressed)}
    for name, value in header.items():
        eccodes.codes_set(message, name, value)
    eccodes.codes_set_array(message, "unexpandedDescriptors", descriptors)
    for name, value in (CLOCK | values).items():
        given = value if isinstance(value, list) else [value] * subsets
        if compressed:
            eccodes.codes_set_array(message, name, given)
        else:
            for rank, one in enumerate(given, 1):
                eccodes.codes_set(message, f"#{rank}#{name}", one)
    eccodes.codes_set(message, "pack", 1)
    return eccodes.codes_get_message(message)


SHIPS = {"latitude": [50.0, 51.0], "longitude": [-10.0, -20.0], "shipOrMobileLandStationIdentifier": ["ONE", "TWO"]}


def test_each_subset_of_a_compressed_message_has_its_own_station(monkeypatch):
    pressure = {"pressureReducedToMeanSeaLevel": [100000.0, 101000.0]}
    message = encoded([1011, 301011, 301012, 301021, 10051], 1, 2, True, **SHIPS, **pressure)
    (_, rows) = answers(monkeypatch, [message])
    assert [(row["station"], round(row["latitude"], 6), row["sea_level"]) for row in rows] == [
        ("ONE", 50.0, 100000.0),
        ("TWO", 51.0, 101000.0),
    ]


def test_of_an_element_that_occurs_twice_each_subset_has_its_own_first_value(monkeypatch):
    warm = {"airTemperature": [281.0, 282.0, 291.0, 292.0]}
    message = encoded([1011, 301011, 301012, 301021, 12101, 12101], 1, 2, False, **SHIPS, **warm)
    (_, rows) = answers(monkeypatch, [message])
    assert [(row["station"], row["temperature"]) for row in rows] == [("ONE", 281.0), ("TWO", 291.0)]


def test_an_aircraft_without_registration_is_named_by_its_flight(monkeypatch):
    message = encoded(
        [1008, 1006, 301011, 301012, 301021, 7002, 12101], 4, 1, False,
        latitude=50.0, longitude=10.0, height=10000.0, airTemperature=220.0, aircraftFlightNumber="LH400",
    )  # fmt: skip
    (_, rows) = answers(monkeypatch, [message])
    assert rows[0]["station"] == "LH400"
