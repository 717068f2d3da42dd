"""Departures of observations from states, and gradients of their likelihood: dense sums, exact wind, differences."""

import numpy as np

from hindsight.baselines.equivalents import Equivalents
from tests.baselines import test_optimal_interpolation as oi
from tests.baselines.test_outer_loops import POINTS, SPREAD
from tests.baselines.test_outer_loops import rows as wind_rows

generator = np.random.default_rng(0)


def test_departures_of_sums_are_those_of_the_dense_operator():
    states = generator.standard_normal((3, oi.SIZE))
    found = Equivalents(oi.rows(), oi.SIZE).departures(states)
    np.testing.assert_allclose(found, (oi.VALUE - states @ oi.operator().T) / oi.ERROR, rtol=1e-12)


def wind(u, v):
    """States of the same wind everywhere (departures, in standard deviations); (E, 24)."""
    return np.repeat(np.stack([u, v], 1), POINTS, 1)


def test_departures_of_wind_speeds_are_exact():
    """Also where the wind is calm; with the error of the observation, and no other."""
    mean, u, v = (3.0, -2.0), np.array([-0.75, 0.4, 2.0]), np.array([0.5, -1.0, 1.5])
    given = wind_rows(mean, ws10=(9.0, 0.5), u10=(5.0, 1.0))
    found = Equivalents(given, 2 * POINTS).departures(wind(u, v))
    across, along = mean[0] + SPREAD * u, mean[1] + SPREAD * v
    np.testing.assert_allclose(found, np.stack([(9 - np.hypot(across, along)) / 0.5, 5 - across], 1), atol=1e-9)


def test_gradients_are_those_of_the_likelihood():
    given = wind_rows((3.0, -2.0), ws10=(9.0, 0.5), u10=(5.0, 1.0))
    seen, states = Equivalents(given, 2 * POINTS), wind(np.array([-0.3, 0.4]), np.array([0.2, -1.0]))
    likelihood = lambda x: -(seen.departures(x) ** 2).sum(1) / 2
    small, found = 1e-6, seen.gradient(states)
    for k in range(2 * POINTS):
        step = small * np.eye(2 * POINTS)[k]
        slope = (likelihood(states + step) - likelihood(states - step)) / (2 * small)
        np.testing.assert_allclose(found[:, k], slope, atol=1e-5)
    assert np.abs(found).max() > 1


def test_the_curvature_bounds_the_second_derivative():
    states = generator.standard_normal((2, oi.SIZE))
    scaled = oi.operator() / oi.ERROR[:, None]
    largest = np.linalg.eigvalsh(scaled.T @ scaled).max()
    assert largest <= Equivalents(oi.rows(), oi.SIZE).curvature(states) < 5 * largest
