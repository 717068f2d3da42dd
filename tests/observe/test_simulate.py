"""Simulated observations."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import observations
from hindsight.observe import simulate
from hindsight.settings.observe import Network

TIMES = pd.date_range("2001-02-01T00", periods=400, freq="6h")


@pytest.fixture
def truth():
    values = np.random.default_rng(0).standard_normal((400, 2, 5, 6)).cumsum(-1)
    return xr.DataArray(
        values,
        dims=("time", "channel", "latitude", "longitude"),
        coords={"time": TIMES, "channel": ["z500", "msl"], "latitude": np.arange(5.0), "longitude": np.arange(6.0)},
    )


STATIONS = pd.DataFrame(
    {"station": ["a", "b"], "latitude": [1.0, 2.5], "longitude": [3.0, 4.0], "withheld": [False, True]}
)


def make(truth, **settings):
    network = Network(**settings)
    error = simulate.error_of(network, ["z500", "msl"], np.array([2.0, 10.0]))
    return simulate.simulate(truth, STATIONS, error, np.random.default_rng(1), network), error


def test_departures_from_the_truth_are_gaussian_of_the_size_stated(truth):
    table, error = make(truth, noise=0.1)
    observations.check(table.assign(source="x"), "here")
    rows = table[(table["station"] == "b") & (table["channel"] == "msl")]
    between = (truth[:, 1, 2, 4] + truth[:, 1, 3, 4]) / 2
    departures = rows["value"].to_numpy() - between.values
    assert abs(departures.std() / 1.0 - 1) < 0.1 and abs(departures.mean()) < 0.15
    assert (rows["error"] == error[1]).all() and rows["withheld"].all() and rows["level"].isna().all()


def test_noise_may_differ_by_channel(truth):
    _, error = make(truth, noise={"z500": 0.5, "msl": 0.1})
    np.testing.assert_allclose(error, [1.0, 1.0])


def test_a_network_may_report_seldom(truth):
    table, _ = make(truth, every_hours=12)
    assert set(table["time"].dt.hour) == {0, 12}
    with pytest.raises(UserError, match="meets none"):
        make(truth.isel(time=[1]), every_hours=24)
