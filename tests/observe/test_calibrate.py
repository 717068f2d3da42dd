"""Calibration of stations: planted biases and errors are found, a few gross errors do not move them."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hindsight.observe import calibrate
from hindsight.settings import TrainingDomain

LATITUDE, LONGITUDE = np.array([40.0, 45.0, 50.0]), np.array([-10.0, 0.0, 10.0])
TIMES = pd.date_range("2000-01-01T12", periods=400)
PERIOD = {"start": "2000-01-01T12:00", "end": "2001-02-03T12:00"}
AFTER = {"start": "2002-01-01", "end": "2002-12-31"}


def dataset(seed=0):
    """Fields of sea-level pressure, one of them missing."""
    values = 101000 + 800 * np.random.default_rng(seed).standard_normal((400, 1, 3, 3))
    coordinates = {"time": TIMES, "channel": ["msl"], "latitude": LATITUDE, "longitude": LONGITUDE}
    available = np.arange(400) != 7
    return xr.Dataset(
        {"fields": (("time", "channel", "latitude", "longitude"), values), "available": ("time", available)},
        coordinates,
    )


def reports(fields, station, bias, error, row, column):
    noise = error * np.random.default_rng(row * 3 + column).standard_normal(400)
    value = fields["fields"].values[:, 0, row, column] + bias + noise
    place = {"latitude": LATITUDE[row], "longitude": LONGITUDE[column], "elevation": 10.0, "level": np.nan}
    return pd.DataFrame({"time": TIMES, "station": station, "channel": "msl", "value": value, "footprint": ""} | place)


def test_bias_and_error_of_every_station_are_found():
    fields = dataset()
    domain = TrainingDomain(channels=["msl"], step_hours=24, train=PERIOD, validation=AFTER)
    table = pd.concat([reports(fields, "A", 150.0, 60.0, 0, 0), reports(fields, "B", -40.0, 120.0, 2, 1)])
    table.iloc[5, table.columns.get_loc("value")] += 1e5
    departures = calibrate.departures(table, fields, domain)
    assert len(departures) == 798  # neither station has a field to be compared with in the missing frame
    found = calibrate.summary(departures).set_index("station")
    assert found.loc["A", "bias"] == pytest.approx(150, abs=10) and found.loc["B", "bias"] == pytest.approx(-40, abs=20)
    assert found.loc["A", "error"] == pytest.approx(60, rel=0.1) and found.loc["B", "error"] == pytest.approx(
        120, rel=0.1
    )


def test_stations_with_few_reports_are_left_out():
    few = pd.DataFrame({"station": "A", "channel": "msl", "departure": np.ones(calibrate.FEWEST - 1)})
    assert calibrate.summary(few).empty and [*calibrate.summary(few)] == calibrate.COLUMNS
    none = pd.DataFrame({"station": [], "channel": [], "departure": []})
    assert calibrate.summary(none).empty
