"""Forecasts: by the linear prior with its mean and covariance, by the equations those of the world."""

import numpy as np
import pytest

from hindsight.baselines import forecasts as module
from hindsight.baselines.forecasts import EquationForecasts, LinearForecasts
from hindsight.baselines.linear_model import LinearModel
from hindsight.dynamics import worlds
from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.settings import Product, TrainingDomain
from hindsight.settings.download import Synthetic, WorldWithoutPeriod
from hindsight.train.linear_prior import white
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


RING = Synthetic(world="lorenz96", spin_up_days=30)
SQUARE = Synthetic(world="navier_stokes", spin_up_days=1, navier_stokes={"points": 26, "substeps": 10})
LINE = Synthetic(
    world="kuramoto_sivashinsky", spin_up_days=30, kuramoto_sivashinsky={"points": 40, "length": 40.0, "substeps": 4}
)
CHANNELS = {"lorenz96": ["x"], "navier_stokes": ["vorticity"], "kuramoto_sivashinsky": ["velocity"]}
LATER = TIME + np.timedelta64(6, "h")


def dynamical(settings, members=3, grid=None):
    """Forecasts, with the world that they are of and the scaling of its fields."""
    world = worlds.build(settings)
    grid = grid or Grid(world.latitude, world.longitude)
    scaling = Scaling(np.full((1, 1, *grid.shape), 2.0), np.array([3.5]), 0, 0)
    linear = LinearForecasts(LinearModel(white(int(np.prod(grid.shape)))), Product(members=members), 5 << 32, 6)
    return EquationForecasts(linear, settings, scaling, CHANNELS[settings.world], grid), world, scaling


def weather(settings, members):
    """Weather of members, (E, H, W), and their states."""
    world = worlds.build(settings)
    states = world.spin_up(np.repeat(TIME, members))
    return next(iter(world.weather(states).values())), states


@pytest.mark.parametrize("settings", [RING, LINE])
def test_members_on_a_trajectory_of_the_ring_or_line_stay_on_it(settings):
    made, world, scaling = dynamical(settings)
    fields, states = weather(settings, 3)
    normal = lambda some, time: scaling.normalise(some.reshape(3, 1, 1, 1, 40), np.array([time])).reshape(3, 40)
    ahead = world.weather(world.advance(states, world.seconds(np.repeat(TIME, 3)), 6 * 3600.0))
    ahead = ahead[CHANNELS[settings.world][0]]
    np.testing.assert_allclose(made.after(normal(fields, TIME), LATER), normal(ahead, LATER), atol=1e-5)


def test_members_of_the_square_have_stirrings_of_their_own_and_not_that_of_the_truth():
    made, world, scaling = dynamical(SQUARE)
    fields, states = weather(SQUARE, 1)
    same = np.repeat(scaling.normalise(fields[:, None, None], np.array([TIME])).reshape(1, -1), 3, 0)
    found = scaling.restore(made.after(same, LATER).reshape(3, 1, 1, 26, 26), np.array([LATER]))[:, 0, 0]
    since = world.seconds(np.repeat(TIME, 1))
    truth = world.weather(world.advance(states, since, 6 * 3600.0))["vorticity"][0]
    without = SQUARE.navier_stokes.model_copy(update={"stirring": 0.0})
    still = worlds.build(SQUARE.model_copy(update={"navier_stokes": without}))
    calm = still.weather(still.advance(states, since, 6 * 3600.0))["vorticity"][0]
    stirred = np.concatenate([found, truth[None]]) - calm
    size = stirred.std((1, 2))
    assert (size > 0.1).all() and size.max() < 4 * size.min()
    assert np.abs(np.corrcoef(stirred.reshape(4, -1)) - np.eye(4)).max() < 0.9
    np.testing.assert_array_equal(made.after(same, LATER), dynamical(SQUARE)[0].after(same, LATER))


def test_members_start_from_the_climatology_of_the_linear_prior():
    made, *_ = dynamical(RING)
    np.testing.assert_array_equal(made.start(TIME), made.linear.start(TIME))


def test_fields_on_another_grid_are_refused():
    with pytest.raises(UserError, match=r"lorenz96 need its own grid, and the fields have a grid of 1 x 20 points"):
        dynamical(RING, grid=Grid(np.zeros(1), np.arange(20) * 18.0))


def test_forecasts_that_break_down_are_named():
    made, *_ = dynamical(RING)
    with pytest.raises(UserError, match="forecasts for 2009-01-01T18 broke down with 1 step.* raise download.synth"):
        made.after(np.full((3, 40), 1e4) * generator.standard_normal(40), LATER)


@pytest.mark.parametrize(("model", "kind"), [("linear_prior", LinearForecasts), ("dynamics", EquationForecasts)])
def test_the_setting_chooses_the_forecasts(model, kind):
    _, world, scaling = dynamical(RING)
    rest = {"domain": TrainingDomain(channels=["x"], step_hours=6), "world": WorldWithoutPeriod(synthetic=RING)}
    rest |= {"scaling": scaling, "grid": Grid(world.latitude, world.longitude)}
    found = module.build(model, white(40), Product(members=3), 5 << 32, **rest)
    assert isinstance(found, kind) and found.start(TIME).shape == (3, 40)
