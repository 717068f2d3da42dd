"""Factors of observations at grid points against the published function of brute-force distances."""

import numpy as np
import pytest

from hindsight.baselines.localisation import Localisation
from hindsight.fields.grid import EARTH_RADIUS, Grid, great_circle
from hindsight.operators.interpolate import bilinear
from hindsight.operators.rows import Rows
from tests.baselines.test_covariance import published
from tests.baselines.test_outer_loops import rows as wind_rows

TIME = np.datetime64("2009-01-01T12", "ns")
BOX = Grid(np.array([40.0, 45.0, 50.0]), np.array([-10.0, 0.0, 10.0, 20.0]))
RING = Grid(np.zeros(1), np.arange(40) * 9.0)
GLOBE = Grid(np.arange(-75.0, 90.0, 30.0), np.arange(0.0, 360.0, 30.0))
SQUARE = Grid(*[(np.arange(8) + 0.5) / 8 - 0.5] * 2)


def rows(point, weight):
    count, ones = len(point), np.ones(len(point))
    return Rows(np.full(count, TIME), np.array(point), np.array(weight, float), ones, ones, ones, np.arange(count))


def places(grid):
    latitude, longitude = np.meshgrid(grid.latitude, grid.longitude, indexing="ij")
    return latitude.ravel(), longitude.ravel()


def expected(distance, reach):
    return np.vectorize(lambda away: published(away, reach / 2))(distance)


@pytest.mark.parametrize(("grid", "reach"), [(BOX, 1500.0), (RING, 4100.0), (GLOBE, 5000.0), (GLOBE, 20015.0)])
def test_factors_fall_with_great_circle_distance(grid, reach):
    """Of rows at grid points, also of a second channel and an earlier frame."""
    points, seen = grid.shape[0] * grid.shape[1], [0, grid.shape[1] - 1, grid.shape[0] * grid.shape[1] // 2]
    given = rows([[p + points * n] for n, p in enumerate(seen)], [[1.0]] * 3)
    latitude, longitude = places(grid)
    distance = great_circle(latitude[:, None], longitude[:, None], latitude[seen], longitude[seen])
    found = Localisation(grid, False, reach).factors(given).toarray()
    np.testing.assert_allclose(found, expected(distance, reach), atol=1e-6)
    assert (found[seen, range(3)] > 1 - 1e-6).all() and (reach > 20000 or (found == 0).any())


def test_factors_on_a_torus_go_across_its_edges():
    """The nearest of nine copies of the square, in the plane."""
    reach, side = 60.0, np.deg2rad(EARTH_RADIUS)
    points = np.indices(SQUARE.shape).reshape(2, -1).T / 8 * side
    copies = [np.array([a, b]) * side for a in (-1, 0, 1) for b in (-1, 0, 1)]
    seen = [0, 7, 36]
    distance = np.min([np.linalg.norm(points[:, None] - points[seen] - copy, axis=2) for copy in copies], 0)
    found = Localisation(SQUARE, True, reach).factors(rows([[p] for p in seen], [[1.0]] * 3)).toarray()
    np.testing.assert_allclose(found, expected(distance, reach), atol=1e-9)
    assert found[7, 0] == pytest.approx(found[1, 0]) and found[7, 0] > 0.5, "the last column is next to the first"


@pytest.mark.parametrize("torus", [False, True])
def test_a_row_of_several_points_is_at_their_centre(torus):
    """Between the first and the last column of a torus too."""
    grid = SQUARE if torus else BOX
    pair = [0, grid.shape[1] - 1] if torus else [5, 6]
    found = Localisation(grid, torus, 100.0 if torus else 1500.0).factors(rows([pair], [[0.5, 0.5]])).toarray()[:, 0]
    assert found[pair[0]] == pytest.approx(found[pair[1]]) and found.argmax() in pair


def test_an_interpolated_row_is_where_its_station_is():
    """To a few kilometres in cells as wide as these."""
    latitude, longitude = np.array([41.0, 47.5]), np.array([-8.0, 19.0])
    operator = bilinear(BOX, latitude, longitude)
    found = Localisation(BOX, False, 1500.0).factors(rows(operator.point, operator.weight)).toarray()
    at = places(BOX)
    distance = great_circle(at[0][:, None], at[1][:, None], latitude, longitude)
    np.testing.assert_allclose(found, expected(distance, 1500.0), atol=0.015)


def test_a_wind_speed_without_a_slope_has_a_place():
    calm, windy = (wind_rows(mean, ws10=(9.0, 0.5)) for mean in ((0.0, 0.0), (20.0, -15.0)))
    assert not calm.weight.any()
    found = [Localisation(BOX, False, 1500.0).factors(given).toarray() for given in (calm, windy)]
    np.testing.assert_allclose(*found, atol=1e-9)
    assert found[0].max() > 0.5


def test_without_a_reach_there_is_one_point_with_factors_of_one():
    method = Localisation(BOX, False, None)
    assert method.points == 1
    np.testing.assert_array_equal(method.factors(rows([[3], [17]], [[1.0]] * 2)).toarray(), [[1.0, 1.0]])
