"""Forecasts by the linear prior: their mean without noise, their covariance that of the process."""

import numpy as np

from hindsight.baselines.forecasts import LinearForecasts
from hindsight.baselines.linear_model import LinearModel
from hindsight.settings import Product
from tests.oracles import linear_gaussian as oracle

SIZE, COUNT = 12, 20000
TIME = np.datetime64("2009-01-01T12", "ns")
PROCESS = oracle.process(SIZE)
generator = np.random.default_rng(0)


def forecasts(members, seed=1, purpose=5 << 32):
    return LinearForecasts(LinearModel(PROCESS), Product(members=members, seed=seed), purpose, 24)


def near(found, covariance):
    """Whether the covariance of members is as near as their number allows."""
    deviation = np.sqrt(np.diag(covariance))
    assert (np.abs(np.cov(found.T) - covariance) / np.outer(deviation, deviation)).max() < 6 / np.sqrt(COUNT)


def test_members_start_from_the_climatology():
    found = forecasts(COUNT).start(TIME)
    near(found, oracle.covariance(PROCESS, 1))
    assert np.abs(found.mean(0)).max() < 1e-12


def test_forecasts_have_the_mean_and_the_covariance_of_the_model():
    model, noise = oracle.transition(PROCESS)
    states = generator.standard_normal((COUNT, SIZE)) @ generator.standard_normal((SIZE, SIZE)) + 3
    found = forecasts(COUNT).after(states, TIME)
    np.testing.assert_allclose(found.mean(0), model @ states.mean(0), atol=1e-4)
    near(found, model @ np.cov(states.T) @ model.T + noise)


def test_the_draws_of_a_frame_are_its_own():
    """A function of seed, purpose and frame; of the start as of forecasts."""
    one, later, zero = forecasts(3), TIME + np.timedelta64(24, "h"), np.zeros((3, SIZE))
    np.testing.assert_array_equal(one.after(zero, TIME), forecasts(3).after(zero, TIME))
    others = [one.after(zero, later), forecasts(3, seed=2).after(zero, TIME)]
    others.append(forecasts(3, purpose=6 << 32).after(zero, TIME))
    assert len(np.unique([one.after(zero, TIME), *others])) == 4 * zero.size
