"""Which channel a report observes, and with which error: by kind, platform and level, in the order of the settings."""

import numpy as np
import pandas as pd

from hindsight.observe import channels
from hindsight.observe.reports import UNITS
from hindsight.settings.quality import Measurement

STATE = ["z500", "t850", "msl"]


def report(quantity, pressure=np.nan, **columns):
    plain = {"quantity": quantity, "pressure": pressure, "platform": "land", "value": 1.0}
    return pd.DataFrame([plain | columns])


def assigned(*reports, measurements=()):
    return channels.assign(pd.concat(reports, ignore_index=True), measurements, STATE)


def test_a_quantity_and_its_level_name_the_channel():
    found = assigned(
        report("geopotential", 500.0),
        report("air_temperature", 700.0),
        report("air_temperature"),
        report("surface_air_pressure"),
        report("eastward_wind", 850.0),
        report("relative_humidity"),
    )
    assert found["channel"].tolist() == ["z500", "t", "t2m", "sp", "u", ""]
    np.testing.assert_array_equal(found["level"], [500, 700, np.nan, np.nan, 850, np.nan])


def test_the_first_measurement_that_fits_describes_a_report_and_defaults_the_others():
    measurements = [
        Measurement(kind="mean", platform="ship", error=3.0),
        Measurement(kind="mean", channel="msl", error=4.0, representativeness=3.0, weights={-1: 0.5, 0: 0.5}),
    ]
    found = assigned(
        report("air_temperature", kind="mean", platform="ship"),
        report("surface_air_pressure", kind="mean"),
        report("surface_air_pressure", kind="other"),
        measurements=measurements,
    )
    assert found["error"].tolist() == [3.0, 5.0, 120.0] and found["channel"].tolist() == ["t2m", "msl", "sp"]
    assert found["weights"].tolist() == ["", "-1:0.5 0:0.5", ""]


def test_every_quantity_has_names_and_a_default_error():
    found = assigned(*(report(quantity) for quantity in UNITS))
    assert (found["error"] > 0).all() and set(channels.NAMES) == set(UNITS)
