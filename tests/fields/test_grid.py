"""Grids."""

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import grid


def test_weights_of_a_globe_are_its_areas():
    latitude = np.linspace(-90, 90, 37)
    weights = grid.Grid(latitude, np.arange(0, 360, 5.0)).weights
    assert np.isclose(weights.mean(), 1)
    assert np.isclose((weights * np.sin(np.deg2rad(latitude))[:, None] ** 2).mean(), 1 / 3, atol=2e-3)
    assert weights[0, 0] > 0  # the pole's cap has an area


def test_periodic_is_read_off_the_longitudes():
    assert grid.Grid(np.zeros(2), np.arange(0, 360, 1.5)).periodic
    assert not grid.Grid(np.zeros(2), np.arange(-20, 15, 1.5)).periodic


def test_a_stretched_grid_is_refused():
    stretched = xr.Dataset(coords={"latitude": [0.0, 1.0, 2.0], "longitude": [0.0, 1.0, 3.0]})
    with pytest.raises(UserError, match="longitude is not regular"):
        grid.check_regular(stretched, "somewhere.nc")
