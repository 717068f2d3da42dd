"""Optimal interpolation against dense conditioning, and its sampled posterior."""

import numpy as np
import pytest

from hindsight.baselines.optimal_interpolation import OptimalInterpolation
from hindsight.settings import Product
from tests.oracles import linear_gaussian as oracle

SIZE, STATIONS = 10, 4
generator = np.random.default_rng(0)
ROOT = generator.standard_normal((SIZE, SIZE))
BACKGROUND = ROOT @ ROOT.T
POINT = generator.integers(0, SIZE, (STATIONS, 4))
WEIGHT = generator.uniform(0, 1, (STATIONS, 4))
ERROR = generator.uniform(0.2, 0.9, STATIONS)
VALUE = generator.standard_normal(STATIONS)
TIME = np.datetime64("2009-01-01T12", "ns")


def operator():
    dense = np.zeros((STATIONS, SIZE))
    np.add.at(dense, (np.arange(STATIONS)[:, None], POINT), WEIGHT)
    return dense


def test_the_analysis_is_the_conditional_mean():
    found = OptimalInterpolation(BACKGROUND, 1).analyse(np.zeros((1, SIZE)), VALUE[None], POINT, WEIGHT, ERROR)
    mean, _ = oracle.condition(BACKGROUND, operator(), ERROR, VALUE)
    np.testing.assert_allclose(found[0], mean, rtol=1e-9)


def test_members_are_drawn_from_the_posterior():
    rows = {"time": np.full(STATIONS, TIME), "point": POINT, "weight": WEIGHT, "value": VALUE, "error": ERROR}
    found = OptimalInterpolation(BACKGROUND, 1).members(rows, TIME, 24, Product(members=20000))
    mean, spread = oracle.condition(BACKGROUND, operator(), ERROR, VALUE)
    deviation = np.sqrt(np.diag(spread))
    assert np.abs((found.mean(0) - mean) / deviation).max() < 4.5 / np.sqrt(20000)
    np.testing.assert_allclose(np.cov(found.T), spread, atol=0.05 * spread.max())


def test_without_observations_the_members_are_the_climatology():
    rows = {"time": np.full(0, TIME), "point": POINT[:0], "weight": WEIGHT[:0], "value": VALUE[:0], "error": ERROR[:0]}
    found = OptimalInterpolation(BACKGROUND, 1).members(rows, TIME, 24, Product(members=20000))
    np.testing.assert_allclose(np.cov(found.T), BACKGROUND, atol=0.06 * BACKGROUND.max())


@pytest.mark.parametrize("lag", [-1, 0, 1])
def test_with_three_frames_the_neighbours_observations_count(lag):
    process = oracle.process(SIZE)
    whole = oracle.covariance(process, 3)
    rows = {
        "time": np.full(STATIONS, TIME + lag * np.timedelta64(24, "h")),
        "point": POINT,
        "weight": WEIGHT,
        "value": VALUE,
        "error": ERROR,
    }
    found = OptimalInterpolation(whole, 3).members(rows, TIME, 24, Product(members=20000))
    dense = np.zeros((STATIONS, 3 * SIZE))
    dense[:, (lag + 1) * SIZE : (lag + 2) * SIZE] = operator()
    mean, spread = oracle.condition(whole, dense, ERROR, VALUE)
    deviation = np.sqrt(np.diag(spread))[SIZE : 2 * SIZE]
    assert np.abs((found.mean(0) - mean[SIZE : 2 * SIZE]) / deviation).max() < 4.5 / np.sqrt(20000)
