"""What a source's dimensions are called, and which way they run."""

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import axes

LONGITUDE = np.arange(0, 360, 10.0)


@pytest.fixture
def globe():
    """A field that is its own longitude, from 0 to 350, latitudes from the north."""
    latitude = np.arange(80, -81, -20.0)
    values = np.broadcast_to(LONGITUDE, (len(latitude), 36))
    return xr.Dataset({"f": (("lat", "lon"), values)}, coords={"lat": latitude, "lon": LONGITUDE})


def named(globe):
    return axes.standardise(globe, "x", ("latitude", "longitude"))


def test_names_and_order_are_standardised_and_values_stay_at_their_points(globe):
    for turn in (0.0, 180.0):
        turned = globe.assign_coords(lon=(globe["lon"] + turn) % 360 - turn)
        found = axes.sort(named(turned), "x")
        assert (np.diff(found["latitude"]) > 0).all() and (np.diff(found["longitude"]) > 0).all()
        np.testing.assert_array_equal(found["f"][0] % 360, found["longitude"] % 360)


@pytest.mark.parametrize(
    ("west", "east", "count"),
    [(-20, 20, 5), (340, 380, 5), (160, 200, 5), (170, 190, 3), (0, 350, 36), (-180, 170, 36)],
)
def test_a_box_is_selected_for_every_origin_of_longitude(globe, west, east, count):
    for turn in (0.0, 180.0):
        turned = globe.assign_coords(lon=(globe["lon"] + turn) % 360 - turn)
        found = axes.select(axes.sort(named(turned), "x"), (None, None, west, east), "x")
        assert found.sizes["longitude"] == count
        assert west <= found["longitude"].min() and found["longitude"].max() <= east
        np.testing.assert_array_equal(found["f"][0] % 360, found["longitude"] % 360)


@pytest.mark.parametrize("region", [(340, 30), (160, 210), (100, 260), (10, 350), (200, 150)])
@pytest.mark.parametrize("kind", [float, np.float32])
def test_a_region_is_contiguous_for_every_origin_of_longitude(globe, region, kind):
    west, east = region
    inside = (LONGITUDE - west) % 360 <= (east - west) % 360
    for turn in (0.0, 180.0):
        turned = globe.isel(lon=inside).assign_coords(lon=((LONGITUDE[inside] + turn) % 360 - turn).astype(kind))
        found = axes.sort(named(turned.sortby("lon")), "x")
        np.testing.assert_allclose(np.diff(found["longitude"]), 10)
        np.testing.assert_array_equal(found["f"][0] % 360, found["longitude"] % 360)
        assert found["longitude"][0] % 360 == west and found["longitude"][-1] % 360 == east


def test_levels_in_pascal_become_hectopascal(globe):
    levels = globe.expand_dims(plev=[85000.0, 50000.0])
    levels["plev"].attrs["units"] = "Pa"
    np.testing.assert_array_equal(named(levels)["level"], [850, 500])


def test_a_variable_is_found_by_any_of_its_names_and_the_nearest_is_suggested(globe):
    assert axes.find(globe, ("g", "f"), "g", "x").name == "f"
    with pytest.raises(UserError, match="did you mean temperature?"):
        axes.find(globe.rename(f="temperature"), ("temprature",), "t850", "x")
