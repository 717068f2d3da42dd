"""Planes: against the formulas of the stereographic projection, and distances on the map."""

import numpy as np
import pytest

from hindsight.errors import UserError
from hindsight.fields.grid import great_circle
from hindsight.fields.plane import DEGREE, Plane

RADIUS = 6371288.0
PROJECTION = f"+proj=stere +lat_0=90 +lon_0=25 +lat_ts=60 +R={RADIUS:.0f} +units=m"
PLANE = Plane(PROJECTION, 10.0, -3300.0)


def stereographic(latitude, longitude):
    """Polar stereographic, true at 60 N, on a sphere (Snyder 1987, equations 21-5 to 21-7); km."""
    rho = RADIUS * (1 + np.sin(np.pi / 3)) * np.tan(np.pi / 4 - np.deg2rad(latitude) / 2) / 1000
    turn = np.deg2rad(longitude - 25)
    return rho * np.sin(turn), -rho * np.cos(turn)


def test_places_are_those_of_the_projection():
    grid = PLANE.grid(np.linspace(-300, 320, 7), np.linspace(-3600, -3000, 5))
    latitude, longitude = PLANE.places(grid)
    x, y = stereographic(latitude, longitude)
    np.testing.assert_allclose(x, np.broadcast_to(np.linspace(-300, 320, 7), (5, 7)), atol=1e-6)
    np.testing.assert_allclose(y, np.broadcast_to(np.linspace(-3600, -3000, 5)[:, None], (5, 7)), atol=1e-6)


def test_a_place_is_located_where_its_point_is():
    grid = PLANE.grid(np.linspace(-300, 320, 7), np.linspace(-3600, -3000, 5))
    north, east = PLANE.locate(*PLANE.places(grid))
    np.testing.assert_allclose(north, np.broadcast_to(grid.latitude[:, None], (5, 7)), atol=1e-9)
    np.testing.assert_allclose(east, np.broadcast_to(grid.longitude, (5, 7)), atol=1e-9)


@pytest.mark.parametrize(("size", "error"), [(256.0, 1e-3), (600.0, 5e-3)])
def test_distances_and_areas_are_those_of_the_map(size, error):
    along = PLANE.x + np.linspace(-size, size, 65)
    grid = PLANE.grid(along, PLANE.y + np.linspace(-size, size, 65))
    far = great_circle(grid.latitude[-1], grid.longitude[:-1], grid.latitude[-1], grid.longitude[1:])
    np.testing.assert_allclose(far, size / 32, rtol=error)
    assert np.ptp(grid.weights) < error and not grid.periodic and not grid.is_global


def test_attributes_describe_a_plane():
    assert Plane.of(PLANE.attributes()) == PLANE and Plane.of({"title": "no plane"}) is None


def test_lines_are_cut_where_the_map_ends():
    line = np.array([[20.0, 60.0], [21.0, 61.0], [0.0, -90.0], [22.0, 62.0], [23.0, 63.0]])
    first, second = PLANE.lines([line])
    expected = (np.array(stereographic(line[:2, 1], line[:2, 0])).T - [PLANE.x, PLANE.y]) / DEGREE
    np.testing.assert_allclose(first, expected, atol=1e-9)
    assert len(second) == 2


@pytest.mark.parametrize("projection", ["+proj=nothing", "EPSG:4326", "+proj=stere +lat_0=90 +units=km"])
def test_what_is_no_projection_in_metres_is_refused(projection):
    with pytest.raises(UserError, match="no projection"):
        Plane(projection, 0.0, 0.0)
