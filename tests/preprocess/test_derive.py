"""Channels from a source's variables."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.preprocess import derive

TIMES = pd.date_range("2000-01-01", periods=48, freq="h")
FRAMES = TIMES[12::6].values


@pytest.fixture
def raw():
    """Hourly wind on two levels, geopotential, and precipitation."""
    generator = np.random.default_rng(3)
    dims, coords = ("time", "level", "latitude", "longitude"), {"time": TIMES, "level": [500.0, 1000.0]}
    coords |= {"latitude": [0.0, 10.0], "longitude": [0.0, 10.0, 20.0]}
    draw = lambda *shape: generator.standard_normal(shape)
    return xr.Dataset(
        {
            "u": (dims, draw(48, 2, 2, 3), {"units": "m s**-1"}),
            "v": (dims, draw(48, 2, 2, 3), {"units": "m/s"}),
            "z": (dims, draw(48, 2, 2, 3), {"units": "m**2 s**-2"}),
            "tp": (("time", *dims[2:]), draw(48, 2, 3) ** 2, {"units": "mm"}),
        },
        coords=coords,
    ).chunk({"time": 8})


def made(raw, name, times=FRAMES, levels="exact"):
    return derive.channel(raw, name, times, levels, "x")


def test_wind_speed_and_thickness_are_computed_from_their_inputs(raw):
    there = raw.sel(time=FRAMES)
    u, v, z = (there[name].values for name in "uvz")
    np.testing.assert_allclose(made(raw, "ws500").values, np.sqrt(u[:, 0] ** 2 + v[:, 0] ** 2), rtol=1e-6)
    np.testing.assert_allclose(made(raw, "dz500_1000").values, (z[:, 0] - z[:, 1]) / 9.80665, rtol=1e-6)


def test_values_are_converted_only_if_units_differ(raw):
    gone_through = lambda made: any(layer.startswith(("mul", "add")) for layer in made.data.dask.layers)
    assert gone_through(made(raw.assign(z=raw["z"].assign_attrs(units="gpm")), "z500"))
    assert not gone_through(made(raw, "u500"))


def test_consecutive_frames_are_selected_without_a_shuffle(raw):
    found = made(raw, "u500", TIMES[5:21].values)
    assert found.chunks[0] == (3, 8, 5)
    np.testing.assert_array_equal(found.values, raw["u"].values[5:21, 0])


def parted(raw, hours):
    """The same with the hourly amounts of the hours before each frame, as parts of a bucket have them."""
    back = [np.searchsorted(TIMES, FRAMES) - k for k in range(hours)]
    given = np.stack([raw["tp"].values[k] for k in back], 1)
    dims = ("time", "hours_before", "latitude", "longitude")
    found = raw.sel(time=FRAMES).drop_vars("tp").assign(tp=(dims, given, {"units": "mm"}))
    return found.assign_coords(hours_before=np.arange(hours))


@pytest.mark.parametrize("hours", [1, 6, 12])
def test_an_accumulation_is_the_sum_of_the_hours_before_the_frame(raw, hours):
    tp = raw["tp"].values * 1e-3
    ends = np.searchsorted(TIMES, FRAMES)
    expected = np.stack([tp[end - hours + 1 : end + 1].sum(0) for end in ends])
    np.testing.assert_allclose(made(parted(raw, 12), f"tp{hours}").values, expected, rtol=1e-6)


def test_only_an_accumulation_with_known_hours_is_accepted(raw):
    six = raw.sel(time=FRAMES)
    six["tp"].attrs["accumulated_hours"] = 6
    np.testing.assert_allclose(made(six, "tp6").values, six["tp"].values * 1e-3, rtol=1e-6)
    np.testing.assert_allclose(made(six.rename(tp="total_precipitation_6hr"), "tp6").values, six["tp"].values * 1e-3)
    for wrong in (raw, six.assign(tp=six["tp"].assign_attrs(accumulated_hours=5))):
        with pytest.raises(UserError, match="has no accumulations over 6 h.*channel tp6 is a sum over 6 h"):
            made(wrong, "tp6")


def test_missing_hours_are_not_zero_precipitation(raw):
    gap = parted(raw.where(raw["time"] != TIMES[20]), 6)
    found = made(gap, "tp6").isnull().all(["latitude", "longitude"]).values
    np.testing.assert_array_equal(np.flatnonzero(found), [2])  # 19 to 24 h


def test_a_variable_without_a_level_is_refused(raw):
    one = raw.isel(level=0, drop=True)
    with pytest.raises(UserError, match="'u' has no level.*download.rename: {u: u500}"):
        made(one, "u500")
    np.testing.assert_array_equal(made(one.rename(u="u500"), "u500").values, one["u"].sel(time=FRAMES).values)


def test_a_level_is_selected_or_interpolated_in_the_logarithm_of_pressure(raw):
    linear = raw.assign(z=raw["z"] * 0 + np.log(raw["level"])).assign()
    linear["z"].attrs["units"] = "m2 s-2"
    found = made(linear, "z700", levels="interpolate")
    np.testing.assert_allclose(found.values, np.log(700.0), rtol=1e-6)
    for levels, name in (("exact", "z700"), ("interpolate", "z200")):
        with pytest.raises(UserError, match=f"no level {name[1:]} hPa"):
            made(raw, name, levels=levels)


def test_times_that_the_source_lacks_are_nan_and_units_are_converted(raw):
    found = made(raw, "u500", times=np.append(FRAMES, np.datetime64("2001-01-01")))
    assert bool(found[-1].isnull().all()) and bool(found[:-1].notnull().all())
    assert made(raw.assign(z=raw["z"].assign_attrs(units="gpm")), "z500").values == pytest.approx(
        raw.sel(time=FRAMES)["z"].values[:, 0] * 9.80665
    )
