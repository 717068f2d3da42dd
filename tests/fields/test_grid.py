"""Grids."""

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import grid
from tests.verify.worlds import BOX, GLOBE


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


def test_great_circles_of_known_length():
    quarter = np.pi / 2 * 6371.0088
    assert np.isclose(grid.great_circle(0.0, 0.0, 0.0, 90.0), quarter)
    assert np.isclose(grid.great_circle(-90.0, 12.0, 0.0, 77.0), quarter)
    assert np.isclose(grid.great_circle(51.4775, -0.4614, 40.6398, -73.7789), 5540, atol=5)  # Heathrow to New York JFK
    assert grid.great_circle(12.3, 45.6, 12.3, 45.6) == 0


def test_great_circles_at_antipodes_and_across_the_date_line():
    assert np.isclose(grid.great_circle(30.0, 20.0, -30.0, 200.0), np.pi * 6371.0088)
    assert np.isclose(grid.great_circle(0.0, 179.5, 0.0, -179.5), grid.great_circle(0.0, 0.0, 0.0, 1.0))
    assert np.isclose(grid.great_circle(50.0, 359.0, 50.0, -1.0), 0, atol=1e-9)


def test_great_circles_broadcast_and_agree_with_angles_between_vectors():
    generator = np.random.default_rng(0)
    latitude, longitude = generator.uniform(-90, 90, (2, 7)), generator.uniform(-180, 360, (2, 7))
    unit = [
        np.stack([np.cos(a) * np.cos(o), np.cos(a) * np.sin(o), np.sin(a)], -1)
        for a, o in zip(np.deg2rad(latitude), np.deg2rad(longitude))
    ]
    expected = 6371.0088 * np.arccos(np.clip(unit[0] @ unit[1].T, -1, 1))
    found = grid.great_circle(latitude[0][:, None], longitude[0][:, None], latitude[1], longitude[1])
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_longitudes_are_wrapped_to_those_of_the_grid():
    east = grid.Grid(np.zeros(2), np.arange(0, 360, 1.5)).wrap(np.array([-1.5, 0.0, 360.0, 725.0, -3e-5, 360 - 3e-5]))
    np.testing.assert_allclose(east, [358.5, 0, 0, 5, -3e-5, -3e-5], atol=1e-12)
    west = grid.Grid(np.zeros(2), np.arange(-20.0, 15)).wrap(np.array([340.0, 340 - 3e-5, 339.9, -20.0]))
    np.testing.assert_allclose(west, [-20, -20 - 3e-5, 339.9, -20], atol=1e-12)


def test_a_globe_reaches_the_poles_and_a_belt_does_not():
    longitude = np.arange(64) * 5.625
    assert grid.Grid(np.arange(-87.1875, 90, 5.625), longitude).is_global
    assert grid.Grid(np.arange(-90, 91, 5.625), longitude).is_global
    assert not grid.Grid(np.arange(-60, 61, 5.625), longitude).is_global
    assert not grid.Grid(np.arange(-87.1875, 90, 5.625), longitude[:-1]).is_global


def test_a_ring_is_a_line_round_the_globe_of_equal_weights():
    ring = grid.Grid(np.zeros(1), np.arange(0, 360, 9.0))
    assert ring.is_line and ring.periodic and not ring.is_global and ring.shape == (1, 40)
    np.testing.assert_allclose(ring.weights, np.ones((1, 40)))
    south, west = ring.cell_edges
    assert south.tolist() == [-0.5, 0.5] and np.allclose(west, np.arange(-4.5, 360, 9))
    assert not grid.Grid(np.zeros(2), ring.longitude).is_line
    meridian = grid.Grid(np.linspace(-60, 60, 5), np.array([10.0]))
    assert meridian.is_line and not meridian.periodic
    np.testing.assert_allclose(meridian.weights[:, 0], meridian.weights[::-1, 0])


def test_a_grid_matches_its_like_and_describes_itself():
    here = grid.Grid(np.arange(40.0, 46, 2), np.arange(-4.0, 4, 2))
    assert here.matches(grid.Grid(here.latitude + 3e-5, here.longitude))
    east = grid.Grid(here.latitude, here.longitude + 352)
    assert not east.matches(grid.Grid(east.latitude, east.longitude + 1e-3))
    for other in (grid.Grid(here.latitude + 2e-4, here.longitude), grid.Grid(here.latitude, here.longitude[:-1])):
        assert not here.matches(other)
    assert str(here) == "a grid of 3 x 4 points from 40 to 44 N and -4 to 2 E"


def test_a_globe_is_turned_to_greenwich_and_closed():
    """A field that tells its own longitude still does when turned, and the columns added are those round the back."""
    field = np.cos(np.deg2rad(GLOBE.longitude - 30)) * np.ones(GLOBE.shape)
    closed, turned = grid.close_globe(GLOBE, field)
    np.testing.assert_allclose(turned, np.cos(np.deg2rad(closed.longitude - 30)) * np.ones((32, 1)), atol=1e-12)
    assert np.allclose(np.diff(closed.longitude), 5.625) and len(closed.longitude) == 66
    _, west = closed.cell_edges
    assert west[0] < -180 and west[-1] > 180
    assert grid.close_globe(BOX, field)[1] is field


def test_points_that_are_not_covered_have_no_weight_and_no_value():
    covered = np.array([[True, False, True], [True, True, True]])
    whole, part = (
        grid.Grid(np.array([0.0, 60.0]), np.arange(3.0)),
        grid.Grid(np.array([0.0, 60.0]), np.arange(3.0), covered),
    )
    assert part.weights[0, 1] == 0 and np.isclose(part.weights.mean(), 1)
    np.testing.assert_allclose(
        part.weights[covered] / whole.weights[covered], whole.weights.sum() / whole.weights[covered].sum()
    )
    found = part.masked(np.ones((2, 2, 3), "float32"))
    assert np.array_equal(np.isnan(found), np.broadcast_to(~covered, found.shape)) and found.dtype == np.float32
    assert whole.where is True and whole.masked(found) is found and part.matches(whole)


def test_a_mask_is_a_coordinate_of_datasets_and_of_their_variables():
    covered = np.array([[True, False, True], [True, True, True]])
    part = grid.Grid(np.array([0.0, 60.0]), np.arange(3.0), covered)
    dataset = xr.Dataset({"fields": (("time", "latitude", "longitude"), np.zeros((4, 2, 3)))}, part.coordinates)
    for found in (dataset, dataset["fields"], dataset["fields"].isel(time=[1, 2])):
        np.testing.assert_array_equal(grid.Grid.of(found).covered, covered)
    assert grid.Grid.of(dataset.drop_vars("covered")).covered is None
