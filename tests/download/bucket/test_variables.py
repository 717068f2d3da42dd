"""Variables, levels and regions of a store, held against brute force."""

import numpy as np
import pytest
import xarray as xr

from hindsight.download.bucket import variables
from hindsight.errors import UserError
from hindsight.settings.lexicon import CHANNELS

SPACE = ("latitude", "longitude")


def layout(**dims):
    return xr.Dataset({name: (along, np.zeros((2,) * len(along))) for name, along in dims.items()})


def chosen(dataset, *channels):
    return {
        name: [c.name for c in found]
        for name, found in variables.of_channels(dataset, list(dataset), list(channels), "here").items()
    }


def test_each_variable_is_fetched_for_its_channels_and_so_are_static_ones():
    store = layout(
        geopotential=("time", "level", *SPACE),
        u_component_of_wind=("time", "level", *SPACE),
        v_component_of_wind=("time", "level", *SPACE),
        t2m=("valid_time", "lat", "lon"),
        land_sea_mask=SPACE,
        geopotential_at_surface=("time", *SPACE),
    )
    assert chosen(store, "z500", "t2m", "ws850", "z850") == {
        "geopotential": ["z500", "z850"],
        "t2m": ["t2m"],
        "u_component_of_wind": ["u850"],
        "v_component_of_wind": ["v850"],
        "land_sea_mask": [],
    }


def test_an_accumulation_over_just_the_hours_is_preferred():
    hourly = layout(total_precipitation=("time", *SPACE))
    both = hourly.merge(layout(total_precipitation_6hr=("time", *SPACE)))
    assert chosen(hourly, "tp6") == {"total_precipitation": ["tp6"]}
    assert chosen(both, "tp6", "tp3") == {"total_precipitation_6hr": ["tp6"], "total_precipitation": ["tp3"]}


def test_a_store_of_channels_needs_no_levels():
    assert chosen(layout(t850=("time", *SPACE), t=("time", *SPACE)), "t850") == {"t850": ["t850"]}


def test_a_missing_variable_is_reported_with_the_nearest_names():
    store = layout(temperatures=("time", "level", *SPACE), geopotential=("time", "number", *SPACE))
    with pytest.raises(UserError, match="channel t850: it has none of its names; did you mean temperatures"):
        chosen(store, "t850")
    with pytest.raises(UserError, match=r"it has geopotential with dimensions \('time', 'number', 'latitude'"):
        chosen(store, "z500")


def test_levels_are_found_in_any_order_and_unit():
    channels = [CHANNELS["z500"], CHANNELS["t850"], CHANNELS["z850"]]
    axis = xr.DataArray(np.array([1000, 850, 500], np.int32), dims="level", name="level")
    assert variables.level_rows(axis, channels, "here").tolist() == [1, 2]
    pascal = xr.DataArray([50000.0, 85000.0], dims="plev", attrs={"units": "Pa"})
    assert variables.level_rows(pascal, channels, "here").tolist() == [0, 1]
    with pytest.raises(UserError, match=r"no level 500 hPa \(it has 850, 1000\)"):
        variables.level_rows(axis[:2][::-1], channels, "here")


@pytest.mark.parametrize("values", [np.linspace(-90, 90, 13), np.linspace(90, -90, 13)])
def test_latitudes_keep_the_order_of_the_store(values):
    rows = variables.latitude_rows(values, -30.0, 45.0)
    assert sorted(values[rows]) == [-30, -15, 0, 15, 30, 45] and (np.diff(rows) == 1).all()
    assert len(variables.latitude_rows(values, None, None)) == 13


@pytest.mark.parametrize("first", [0.0, -180.0])
def test_longitudes_go_from_west_to_east_wherever_the_store_begins(first):
    values = first + 30.0 * np.arange(12)
    for west in np.arange(-180.0, 360.0, 15):
        for width in (0.0, 15.0, 60.0, 200.0, 345.0, 360.0):
            rows, numbers = variables.longitude_rows(values, west, west + width)
            inside = {
                v % 360 for v in values if any(west <= v + turn <= west + width for turn in (-720, -360, 0, 360, 720))
            }
            assert sorted(values[rows] % 360) == sorted(inside)
            assert ((numbers - values[rows]) % 360 == 0).all() and (np.diff(numbers) == 30).all()


def test_one_edge_alone_bounds_one_side():
    values = np.arange(0.0, 360.0, 30)
    assert variables.longitude_rows(values, 100.0, None)[1].tolist() == list(range(120, 360, 30))
    assert variables.longitude_rows(values, None, 100.0)[1].tolist() == [0, 30, 60, 90]


def test_for_a_level_between_two_of_the_store_its_neighbours_are_fetched_on_request():
    levels = xr.DataArray([1000.0, 850.0, 500.0], dims="level", name="level")
    channels = [CHANNELS["z850"], CHANNELS["z700"]]
    np.testing.assert_array_equal(variables.level_rows(levels, channels, "x", neighbours=True), [1, 2])
    for neighbours, wanted in ((False, "z700"), (True, "z300")):
        with pytest.raises(UserError, match=f"no level {wanted[1:]} hPa.*preprocess.levels: interpolate"):
            variables.level_rows(levels, [CHANNELS[wanted]], "x", neighbours)
