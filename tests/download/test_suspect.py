"""Which suspect values stop a run, and which are noted."""

import json

import numpy as np
import pytest
import xarray as xr

from hindsight.download import manifest, part, suspect, synthetic
from hindsight.download.suspect import ScannedVariable
from hindsight.settings import Comparison, Domain, Download
from hindsight.settings.lexicon import CHANNELS

TIMES = np.datetime64("2000-01-01", "ns") + np.arange(60) * np.timedelta64(6, "h")
WRONG = {"fatal": True, "first": "2000-01-03T00:00:00", "last": "2000-01-03T12:00:00"}


def variable(name, values, **attrs):
    coords = {"time": TIMES, "latitude": np.arange(10.0, 18), "longitude": np.arange(12.0)}
    return xr.DataArray(values, coords, name=name, attrs=attrs)


def found(*variables, channels, segment_starts=(), wanted=TIMES):
    seen = {one.name: part.inspect(one.to_dataset())[1][one.name] for one in variables}
    parts = [{one.name: ScannedVariable(one, seen[one.name]) for one in variables}]
    return suspect.find(parts, [CHANNELS[name] for name in channels], wanted, segment_starts)


@pytest.fixture
def weather():
    wave = np.add.outer(np.arange(8.0), 0.5 * np.arange(12))
    return np.sin(np.add.outer(0.1 * np.arange(60), wave))


def test_constant_zero_rain_is_normal_and_constant_zero_wind_is_suspect(weather):
    weather[20:30] = 0
    assert found(variable("tp", weather.clip(0)), channels=["tp6"]) == []
    [one] = found(variable("u10", weather), channels=["u10"])
    assert (one["kind"], one["frames"], one["fatal"]) == ("constant", 10, True)
    assert (one["first"], one["last"]) == ("2000-01-06T00:00:00", "2000-01-08T06:00:00")


def test_a_start_from_rest_is_a_note(weather):
    weather[0] = 0
    [one] = found(variable("u10", weather), channels=["u10"])
    assert (one["kind"], one["fatal"], one["first"]) == ("constant", False, "2000-01-01T00:00:00")


def test_a_source_that_is_made_once_a_day_is_a_note(weather):
    assert {one["fatal"] for one in found(variable("t2m", weather[::4].repeat(4, 0)), channels=["t2m"])} == {False}


def test_a_jump_is_normal_where_a_new_simulation_starts(weather):
    weather[30:] = 40 - weather[30:]
    other = variable("t2m", weather)
    assert [one["kind"] for one in found(other, channels=["t2m"])] == ["jump"]
    assert found(other, channels=["t2m"], segment_starts=[TIMES[30]]) == []
    assert found(other, channels=["t2m"], wanted=np.delete(TIMES, 30)) == []  # a gap between two splits


def test_variables_that_no_channel_uses_are_not_checked(weather):
    assert found(variable("t2m", weather * 0), variable("u10", weather), channels=["u10"]) == []


@pytest.mark.parametrize(
    ("settings", "stops", "masked"),
    [
        ({}, True, 0),
        ({"accepted": [{"start": "2000-01-03", "end": "2000-01-04"}]}, False, 0),
        ({"accepted": ["2000-01-03T00:00", "2000-01-03T06:00"]}, True, 0),
        ({"accepted": ["2000-01-03T00:00", "2000-01-03T06:00"], "missing": ["2000-01-03T12:00"]}, False, 1),
        ({"missing": [{"start": "2000-01-01", "end": "2000-01-04"}]}, False, 3),
    ],
)
def test_a_suspect_frame_stops_the_run_unless_it_may_be_missing_or_is_accepted(settings, stops, masked):
    settings = Download(**settings)
    assert suspect.stops_run(WRONG, TIMES, settings) == stops
    assert len(suspect.masked_times([WRONG], TIMES, settings)) == masked
    assert not suspect.stops_run(WRONG | {"fatal": False}, TIMES, settings)


@pytest.mark.slow
def test_ten_clean_years_of_the_built_in_world_give_no_alarm(tmp_path):
    world = {"start": "2000-01-01", "end": "2009-12-31T18:00", "truncation": 10, "latitudes": 16, "step_minutes": 180.0}
    world |= {"segments": 10}
    made = Download.model_validate({"source": "synthetic", "minimum_free_gb": 0, "synthetic": world})
    synthetic.run(made, raw=tmp_path / "raw.zarr")
    years = {"train": (2000, 2007), "validation": (2008, 2008), "test": (2009, 2009)}
    splits = {name: {"start": f"{first}-01-01", "end": f"{last}-12-31T18:00"} for name, (first, last) in years.items()}
    domain = Domain.model_validate({"channels": ["z500", "u850", "v200"], "step_hours": 6} | splits)
    manifest.run(
        domain, made, Comparison(), raw=[tmp_path / "raw.zarr"], markers=[], manifest=tmp_path / "manifest.json"
    )
    found = json.loads((tmp_path / "manifest.json").read_text())
    assert (found["frames"], found["suspect"], found["notes"]) == (14612, [], [])
