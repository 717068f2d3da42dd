"""The account of observations: what is used, and why the rest is not."""

import numpy as np
import pandas as pd
import pytest

from hindsight.fields import account, observations
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.reanalyse import observation_tensors

GRID = Grid(np.arange(40.0, 50), np.arange(-3.0, 3))
TIMES = np.datetime64("2009-01-01T06", "ns") + np.arange(3) * np.timedelta64(6, "h")
GOOD = {
    "time": TIMES[0], "latitude": 45.0, "longitude": 1.0, "level": np.nan, "channel": "msl", "value": 1.01e5,
    "error": 50.0, "platform": "synop", "station": "A", "quality": 0, "withheld": False, "source": "test",
    "footprint": "",
}  # fmt: skip
ODD = {  # what a row has instead, and what becomes of it
    "as it is": ({}, "used"),
    "another turn": ({"longitude": 361.0}, "used"),
    "on the edge": ({"latitude": 49.00005}, "used"),
    "a level that is the channel's": ({"channel": "z500", "value": 5.4e4, "level": 500.0}, "used"),
    "no level": ({"channel": "z500", "value": 5.4e4}, "used"),
    "another level": ({"channel": "z500", "value": 1.4e4, "level": 850.0}, "no such channel or level"),
    "a level of what has none": ({"level": 850.0}, "no such channel or level"),
    "a channel of the lexicon that the fields lack": ({"channel": "t850", "value": 280.0}, "no such channel or level"),
    "a channel that nobody knows": ({"channel": "pressure"}, "no such channel or level"),
    "seven minutes early": ({"time": TIMES[0] - np.timedelta64(7, "m")}, "off the frames' times"),
    "after the last frame": ({"time": TIMES[-1] + np.timedelta64(6, "h")}, "off the frames' times"),
    "no time": ({"time": np.datetime64("NaT")}, "no time"),
    "NaN": ({"value": np.nan}, "no value"),
    "infinite": ({"value": np.inf}, "no value"),
    "a code for no value": ({"value": -9999.0}, "no value"),
    "no error": ({"error": np.nan}, "no error above zero"),
    "an error of zero": ({"error": 0.0}, "no error above zero"),
    "no latitude": ({"latitude": np.nan}, "no place"),
    "a code for no latitude": ({"latitude": -999.9}, "no place"),
    "north of it": ({"latitude": 49.1}, "outside the domain"),
    "east of it": ({"longitude": 2.1}, "outside the domain"),
    "hPa for Pa": ({"value": 1010.0}, "not physical"),
    "flagged": ({"quality": 2}, "quality flag"),
    "of unknown quality": ({"quality": np.nan}, "quality flag"),
    "withheld": ({"withheld": True}, "withheld"),
}


def table(rows):
    return pd.DataFrame([GOOD | row for row in rows])


def stored(found, path):
    """A table as a user may bring it, past our own writer."""
    found.to_parquet(path, index=False)
    return observations.read([path])


@pytest.mark.parametrize("name", ODD)
def test_every_row_has_its_reason(tmp_path, name):
    change, reason = ODD[name]
    found = stored(table([{"station": "B"}, change]), tmp_path / "a.parquet")
    assert account.reasons(found, TIMES, ["msl", "z500"], GRID).tolist() == ["used", reason]


def test_of_rows_that_say_the_same_the_first_that_is_good_is_used(tmp_path):
    rows = [{"value": np.nan}, {}, {"value": 1.02e5}, {"station": "B"}, {"withheld": True}, {"time": TIMES[1]}]
    found = account.reasons(stored(table(rows), tmp_path / "a.parquet"), TIMES, ["msl"], GRID)
    assert found.tolist() == ["no value", "used", "repeated", "used", "repeated", "used"]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_times_with_a_zone_are_utc(tmp_path, zone):
    local = table([{}, {"time": TIMES[1]}]).assign(time=lambda t: t["time"].dt.tz_localize("UTC").dt.tz_convert(zone))
    found = stored(local, tmp_path / "a.parquet")
    assert found["time"].tolist() == list(pd.DatetimeIndex(TIMES[:2]))
    assert len(observations.read([tmp_path / "a.parquet"], TIMES[1], TIMES[2])) == 1
    as_text = stored(local.assign(time=local["time"].map(lambda t: t.isoformat())), tmp_path / "b.parquet")
    assert as_text["time"].tolist() == found["time"].tolist()


def test_counts_add_up_and_are_said(tmp_path):
    found = stored(table([change | {"station": name} for name, (change, _) in ODD.items()]), tmp_path / "a.parquet")
    counts = account.counted(found, account.reasons(found, TIMES, ["msl", "z500"], GRID))
    assert counts["rows"].sum() == len(ODD) and set(counts["code"]) == set(account.REASONS.values()) - {5}
    expected = pd.Series([reason for _, reason in ODD.values()]).value_counts()
    assert counts.groupby("reason")["rows"].sum().to_dict() == expected.to_dict()
    says = account.sentence(counts)
    assert says.startswith("5 of 25 rows are used; not used: 1 withheld, 2 quality flag, 1 not physical, ")
    assert "2 off the frames' times" in says


def test_what_the_account_calls_used_is_what_an_analysis_uses(tmp_path):
    inside = {name: change for name, (change, reason) in ODD.items() if reason != "outside the domain"}
    rows = [change | {"station": name} for name, change in inside.items()]
    found = stored(table(rows), tmp_path / "a.parquet")
    used = account.reasons(found, TIMES, ["msl", "z500"], GRID) == "used"
    scaling = Scaling(np.zeros((1, 2, 10, 6)), np.array([1.0, 1.0]), 0, 0)
    seen = observation_tensors.from_table(observations.usable(found), TIMES, ["msl", "z500"], GRID, scaling)
    assert int(seen.present.sum()) == used.sum() == 5
