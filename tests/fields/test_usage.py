"""Usage of observations: which rows are used, and why the others are not."""

import numpy as np
import pandas as pd
import pytest

from hindsight.fields import observations, usage
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
CASES = {  # changes to a good row, and the reason that is expected
    "as it is": ({}, "used"),
    "another turn": ({"longitude": 361.0}, "used"),
    "on the edge": ({"latitude": 49.00005}, "used"),
    "a level that is the channel's": ({"channel": "z500", "value": 5.4e4, "level": 500.0}, "used"),
    "no level": ({"channel": "z500", "value": 5.4e4}, "used"),
    "another level": ({"channel": "z500", "value": 1.4e4, "level": 850.0}, "unknown channel or level"),
    "a level of what has none": ({"level": 850.0}, "unknown channel or level"),
    "a channel of the lexicon that the fields lack": ({"channel": "t850", "value": 280.0}, "unknown channel or level"),
    "a channel that is not in the lexicon": ({"channel": "pressure"}, "unknown channel or level"),
    "seven minutes early": ({"time": TIMES[0] - np.timedelta64(7, "m")}, "not at a frame's time"),
    "after the last frame": ({"time": TIMES[-1] + np.timedelta64(6, "h")}, "not at a frame's time"),
    "no time": ({"time": np.datetime64("NaT")}, "missing time"),
    "NaN": ({"value": np.nan}, "missing value"),
    "infinite": ({"value": np.inf}, "missing value"),
    "a code for no value": ({"value": -9999.0}, "missing value"),
    "no error": ({"error": np.nan}, "error not positive"),
    "an error of zero": ({"error": 0.0}, "error not positive"),
    "no latitude": ({"latitude": np.nan}, "invalid position"),
    "a code for no latitude": ({"latitude": -999.9}, "invalid position"),
    "north of it": ({"latitude": 49.1}, "outside the domain"),
    "east of it": ({"longitude": 2.1}, "outside the domain"),
    "hPa for Pa": ({"value": 1010.0}, "unphysical value"),
    "flagged": ({"quality": 2}, "quality flag"),
    "of unknown quality": ({"quality": np.nan}, "quality flag"),
    "at another height": ({"quality": 7}, "height far from the model's"),
    "far from the climatology": ({"quality": 8}, "far from the climatology"),
    "far from its neighbours": ({"quality": 9}, "far from its neighbours"),
    "of a denied station": ({"quality": 10}, "station denied"),
    "thinned": ({"quality": 11}, "thinned"),
    "withheld": ({"withheld": True}, "withheld"),
}


def table(rows):
    return pd.DataFrame([GOOD | row for row in rows])


def stored(found, path):
    """A table from another program, not checked by `observations.write`."""
    found.to_parquet(path, index=False)
    return observations.read([path])


@pytest.mark.parametrize("name", CASES)
def test_every_row_has_its_reason(tmp_path, name):
    change, reason = CASES[name]
    found = stored(table([{"station": "B"}, change]), tmp_path / "a.parquet")
    assert usage.reasons(found, TIMES, ["msl", "z500"], GRID).tolist() == ["used", reason]


def test_of_duplicates_the_first_valid_row_is_used(tmp_path):
    rows = [{"value": np.nan}, {}, {"value": 1.02e5}, {"station": "B"}, {"withheld": True}, {"time": TIMES[1]}]
    found = usage.reasons(stored(table(rows), tmp_path / "a.parquet"), TIMES, ["msl"], GRID)
    assert found.tolist() == ["missing value", "used", "duplicate", "used", "duplicate", "used"]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_times_with_a_zone_are_utc(tmp_path, zone):
    local = table([{}, {"time": TIMES[1]}]).assign(time=lambda t: t["time"].dt.tz_localize("UTC").dt.tz_convert(zone))
    found = stored(local, tmp_path / "a.parquet")
    assert found["time"].tolist() == list(pd.DatetimeIndex(TIMES[:2]))
    assert len(observations.read([tmp_path / "a.parquet"], TIMES[1], TIMES[2])) == 1
    as_text = stored(local.assign(time=local["time"].map(lambda t: t.isoformat())), tmp_path / "b.parquet")
    assert as_text["time"].tolist() == found["time"].tolist()


def test_counts_add_up_and_make_a_sentence(tmp_path):
    found = stored(table([change | {"station": name} for name, (change, _) in CASES.items()]), tmp_path / "a.parquet")
    counts = usage.count(found, usage.reasons(found, TIMES, ["msl", "z500"], GRID))
    assert counts["rows"].sum() == len(CASES) and set(counts["code"]) == set(usage.CODES.values()) - {5}
    expected = pd.Series([reason for _, reason in CASES.values()]).value_counts()
    assert counts.groupby("reason")["rows"].sum().to_dict() == expected.to_dict()
    says = usage.sentence(counts)
    assert says.startswith("5 of 30 rows are used; not used: 1 withheld, 2 quality flag, 1 unphysical value, ")
    assert "2 not at a frame's time" in says


def test_rows_counted_as_used_are_those_that_an_analysis_uses(tmp_path):
    inside = {name: change for name, (change, reason) in CASES.items() if reason != "outside the domain"}
    rows = [change | {"station": name} for name, change in inside.items()]
    found = stored(table(rows), tmp_path / "a.parquet")
    used = usage.reasons(found, TIMES, ["msl", "z500"], GRID) == "used"
    scaling = Scaling(np.zeros((1, 2, 10, 6)), np.array([1.0, 1.0]), 0, 0)
    seen = observation_tensors.from_table(observations.usable(found), TIMES, ["msl", "z500"], GRID, scaling)
    assert int(seen.present.sum()) == used.sum() == 5


SOUNDING = {"channel": "t", "value": 280.0}
LEVELS = {  # of a state with t500, t850 and the components of the wind
    "between levels": (SOUNDING | {"level": 700.0}, "used"),
    "on the lowest level": (SOUNDING | {"level": 850.0}, "used"),
    "below the levels": (SOUNDING | {"level": 925.0}, "unknown channel or level"),
    "above the levels": (SOUNDING | {"level": 300.0}, "unknown channel or level"),
    "a variable without a level": (SOUNDING, "unknown channel or level"),
    "a variable of which the state has nothing": (
        {"channel": "q", "value": 0.01, "level": 700.0},
        "unknown channel or level",
    ),
    "a temperature that no level can have": (SOUNDING | {"level": 700.0, "value": 400.0}, "unphysical value"),
    "wind speed": ({"channel": "ws10", "value": 7.0}, "used"),
    "a wind speed below zero": ({"channel": "ws10", "value": -7.0}, "unphysical value"),
    "wind speed aloft without its components": ({"channel": "ws850", "value": 7.0}, "unknown channel or level"),
    "station pressure without elevation": ({"channel": "sp", "value": 9e4}, "unknown channel or level"),
}


@pytest.mark.parametrize(("change", "expected"), LEVELS.values(), ids=LEVELS)
def test_what_can_be_computed_from_the_state_is_used(change, expected):
    found = pd.DataFrame([GOOD | change])
    assert usage.reasons(found, TIMES, ["t500", "t850", "u10", "v10"], GRID).tolist() == [expected]


def test_station_pressure_needs_the_elevation_of_the_station():
    found = pd.DataFrame([GOOD | {"channel": "sp", "value": 9e4}] * 2).assign(elevation=[800.0, np.nan])
    assert usage.reasons(found, TIMES, ["msl", "t850"], GRID).tolist() == ["used", "unknown channel or level"]


def test_values_of_a_sounding_at_several_levels_are_no_duplicates():
    found = pd.DataFrame([GOOD | SOUNDING | {"level": level} for level in (700.0, 600.0, 700.0)])
    assert usage.reasons(found, TIMES, ["t500", "t850"], GRID).tolist() == ["used", "used", "duplicate"]
