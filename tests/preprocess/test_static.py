"""Land and orography."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.preprocess import static

WORKING = xr.Dataset(coords={"latitude": [40.0, 45.0], "longitude": [-7.0, -2.0, 3.0]})


def globe(values):
    latitude, longitude = np.arange(-89.5, 90), np.arange(0.5, 360)
    return xr.DataArray(
        values(*np.meshgrid(latitude, longitude, indexing="ij")),
        dims=("latitude", "longitude"),
        coords={"latitude": latitude, "longitude": longitude},
    )


def test_a_smooth_field_is_interpolated_across_greenwich():
    field = globe(lambda lat, lon: np.sin(np.deg2rad(lat)) + np.cos(np.deg2rad(lon)))
    found = static.onto(field, WORKING, Path("x.nc"))
    expected = np.sin(np.deg2rad(WORKING["latitude"])) + np.cos(np.deg2rad(WORKING["longitude"]))
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_a_mask_of_kinds_becomes_land_or_not():
    mask = xr.Dataset({"LSMASK": ("x", np.array([0, 1, 2, 3], "i1"))})
    np.testing.assert_array_equal(static.land(mask, Path("x.nc")), [0, 1, 0, 1])


def test_a_geopotential_becomes_a_height():
    np.testing.assert_allclose(static.orography(xr.Dataset({"Z": ("x", [98.0665])}), Path("x.nc")), 10)


def test_a_file_without_it_says_what_it_has():
    with pytest.raises(UserError, match="it has: q"):
        static.land(xr.Dataset({"q": ("x", [1.0])}), Path("x.nc"))


def test_a_field_that_does_not_cover_the_domain_is_refused():
    part = globe(lambda lat, lon: lat).sel(latitude=slice(41, 90))
    with pytest.raises(UserError, match="does not cover"):
        static.onto(part, WORKING, Path("x.nc"))
