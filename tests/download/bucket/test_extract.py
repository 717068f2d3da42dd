"""The rows of a store and their arrangement, against xarray on the complete store."""

import numpy as np
import pandas as pd
import pytest

from hindsight.download.bucket import variables
from hindsight.download.bucket.extract import Extract
from hindsight.errors import UserError
from hindsight.settings import Download
from tests.servers import stores

TIMES = pd.date_range("1959-01-02", periods=5, freq="6h").values


@pytest.fixture
def store():
    """Hourly, with a missing frame and ECMWF's name of time."""
    hours = pd.date_range("1959-01-01", periods=72, freq="1h")
    made = stores.fields(hours, ("latitude", "longitude"), (12, 6), (500, 850, 1000))
    made["total_precipitation"] = stores.rain(made, "total_precipitation")
    return made.isel(time=[k for k in range(72) if k != 30]).rename(time="valid_time")


def planned(store, channels, **box):
    settings = Download.model_validate({"bucket": {"url": "here"}, "channels": channels, "step_hours": 6} | box)
    wanted = variables.of_channels(store, list(store), channels, "here")
    axes = {name: store[name] for name in ("valid_time", "level", "latitude", "longitude")}
    return Extract.of(wanted, axes, {"": {}} | {name: store[name].attrs for name in wanted}, TIMES, settings)


def read(store, extract, name):
    """The rows of the extract as a mirror returns them: in rising order, without coordinates."""
    rows = extract.rows(name)
    return store[name].drop_vars(store.coords, errors="ignore").isel({d: np.unique(rows[d]) for d in store[name].dims})


def test_frames_levels_and_region_are_the_requested_ones(store):
    extract = planned(store, ["z500", "z1000", "t2m"], south=-50, north=50, west=-70, east=70)
    found = extract.arrange("geopotential", read(store, extract, "geopotential"))
    expected = store["geopotential"].rename(valid_time="time").reindex(time=TIMES).sel(level=[500, 1000])
    expected = expected.sel(latitude=slice(-50, 50), longitude=[300, 330, 0, 30, 60])
    np.testing.assert_array_equal(found.values, expected.values)
    assert found["longitude"].values.tolist() == [-60, -30, 0, 30, 60] and found["level"].values.tolist() == [500, 1000]
    assert np.isnan(found.sel(time="1959-01-02T06")).all() and found["time"].values.tolist() == TIMES.tolist()
    assert len(extract.rows("geopotential")["valid_time"]) == 4


def test_static_variables_have_no_time(store):
    extract = planned(store, ["z500"], south=0, north=90)
    found = extract.arrange("land_sea_mask", read(store, extract, "land_sea_mask"))
    np.testing.assert_array_equal(found.values, store["land_sea_mask"].sel(latitude=slice(0, 90)).values)


def test_hours_before_a_frame_are_those_that_are_summed(store):
    extract = planned(store, ["tp3", "z500"], accumulated={"total_precipitation": 1})
    found = extract.arrange("total_precipitation", read(store, extract, "total_precipitation"))
    assert found.dims == ("time", "hours_before", "latitude", "longitude")
    rain = store["total_precipitation"].rename(valid_time="time")
    for hour in range(3):
        expected = rain.reindex(time=TIMES - np.timedelta64(hour, "h")).values
        np.testing.assert_array_equal(found.sel(hours_before=hour).values, expected)
    assert (
        np.isnan(found.sel(time="1959-01-02T06")).any() and len(extract.rows("total_precipitation")["valid_time"]) == 14
    )


def test_a_region_without_a_point_is_refused(store):
    with pytest.raises(
        UserError, match=r"here has no longitude in the region .*it has 0 to 330.*domain.south, north, west, east"
    ):
        planned(store, ["z500"], west=10, east=20)
    with pytest.raises(UserError, match="its valid_time is int64, not dates"):
        planned(store.assign_coords(valid_time=np.arange(71)), ["z500"])
