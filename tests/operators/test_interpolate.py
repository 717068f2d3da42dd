"""Interpolation."""

import numpy as np
import pytest

from hindsight.fields.grid import Grid
from hindsight.operators.interpolate import bilinear

REGION = Grid(np.linspace(30, 60, 7), np.linspace(-20, 14.5, 9))
GLOBE = Grid(np.linspace(-87.5, 87.5, 36), np.arange(0, 360, 10.0))


def test_a_bilinear_field_is_interpolated_exactly():
    latitude, longitude = np.meshgrid(REGION.latitude, REGION.longitude, indexing="ij")
    field = lambda a, b: 3 + 2 * a - b + 0.1 * a * b
    lat, lon = np.random.default_rng(0).uniform(30, 60, 50), np.random.default_rng(1).uniform(-20, 14.5, 50)
    found = bilinear(REGION, lat, lon).apply(field(latitude, longitude).ravel())
    np.testing.assert_allclose(found, field(lat, lon), rtol=1e-12)


def test_grid_points_give_their_own_values():
    field = np.random.default_rng(0).standard_normal(REGION.shape)
    found = bilinear(REGION, REGION.latitude[[0, 3, 6]], REGION.longitude[[0, 4, 8]]).apply(field.ravel())
    np.testing.assert_allclose(found, field[[0, 3, 6], [0, 4, 8]], atol=1e-9)


@pytest.mark.parametrize("longitude", [355.0, -5.0, 715.0])
def test_the_globe_is_periodic(longitude):
    field = np.tile(np.arange(36.0), (36, 1))  # 350 E holds 35, 0 E holds 0
    assert np.isclose(bilinear(GLOBE, np.array([0.0]), np.array([longitude])).apply(field.ravel())[0], 17.5)


def test_longitudes_may_be_counted_from_anywhere():
    field = np.random.default_rng(0).standard_normal(REGION.shape).ravel()
    here = bilinear(REGION, np.array([45.0]), np.array([-11.0])).apply(field)
    assert np.allclose(here, bilinear(REGION, np.array([45.0]), np.array([349.0])).apply(field))


def test_a_place_outside_is_refused():
    with pytest.raises(ValueError, match="outside"):
        bilinear(REGION, np.array([61.0]), np.array([0.0]))


EDGE = Grid(np.linspace(30, 60, 121), np.linspace(0, 359.75, 1440)[:1400])  # not round the globe


@pytest.mark.parametrize(("latitude", "longitude"), [(30.0, 0.0), (60.0, 349.75), (45.0, 0.0), (30.0, 200.0)])
@pytest.mark.parametrize("off", [-3e-5, 3e-5])
@pytest.mark.parametrize("turn", [-360.0, 0.0, 360.0])
def test_a_rounding_error_beyond_the_edge_is_the_edge(latitude, longitude, off, turn):
    """A coordinate rounded to single precision is off by up to 3e-5 degrees at 360."""
    field = np.random.default_rng(0).standard_normal(EDGE.shape)
    found = bilinear(EDGE, np.array([latitude + off]), np.array([longitude + turn + off]))
    row, column = round((latitude - 30) * 4), round(longitude * 4)
    np.testing.assert_allclose(found.apply(field.ravel()), field[row, column], atol=2e-3)


@pytest.mark.parametrize(("latitude", "longitude"), [(30 - 2e-4, 5.0), (60 + 2e-4, 5.0), (45, -2e-4), (45, 349.7502)])
def test_more_than_a_rounding_error_beyond_it_is_outside(latitude, longitude):
    with pytest.raises(ValueError, match="outside"):
        bilinear(EDGE, np.array([latitude]), np.array([longitude]))


def test_a_rounding_error_before_the_first_meridian_of_a_globe_is_next_to_it():
    field = np.tile(np.arange(36.0), (36, 1))
    found = bilinear(GLOBE, np.zeros(2), np.array([-3e-5, 360 - 3e-5])).apply(field.ravel())
    np.testing.assert_allclose(found, 35 * 3e-6, rtol=1e-6)


RING = Grid(np.zeros(1), np.arange(0, 360, 9.0))


def test_on_a_ring_only_its_two_neighbours_make_a_value():
    field = np.random.default_rng(0).standard_normal(40)
    places = np.array([0.0, 27.0, 30.0, 355.5, -4.5, 715.5])
    found = bilinear(RING, np.zeros(6), places)
    around = np.append(field, field[0])
    expected = np.interp(places % 360, np.arange(0, 361, 9.0), around)
    np.testing.assert_allclose(found.apply(field), expected, rtol=1e-12)
    np.testing.assert_allclose(found.weight.sum(1), 1)
    with pytest.raises(ValueError, match="at 1.0 lies outside 0.0 … 0.0"):
        bilinear(RING, np.array([1.0]), np.array([0.0]))


def test_on_a_meridian_longitudes_are_its_own():
    meridian, field = Grid(np.linspace(-60, 60, 5), np.array([10.0])), np.arange(5.0) ** 2
    found = bilinear(meridian, np.array([-60.0, 0.0, 45.0]), np.array([10.0, 370.0, -350.0]))
    np.testing.assert_allclose(found.apply(field), [0.0, 4.0, 12.5])
