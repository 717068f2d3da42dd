"""The linear prior as a model, against the dense matrices of its process."""

import numpy as np
import pytest

from hindsight.baselines.linear_model import LinearModel
from hindsight.train.linear_prior import white
from tests.oracles import linear_gaussian as oracle
from tests.train import helpers

SIZE, FRAMES = 12, 5
PROCESSES = {
    "coupled": lambda: oracle.process(SIZE),
    "groups and few modes": lambda: oracle.process(SIZE, coupled=2, modes=7, groups=3),
    "white": lambda: white(SIZE),
}
ALL = PROCESSES | {"waves round a globe": lambda: helpers.globe().process}


def covariance(process, frames=FRAMES):
    """Of the trajectory, without a matrix square root or a model."""
    return oracle.covariance(process, frames) if process.coupling.numel() else np.eye(frames * process.size)


@pytest.mark.parametrize("name", PROCESSES)
def test_trajectories_forced_by_white_noise_have_the_covariance_of_the_process(name):
    process = PROCESSES[name]()
    model = LinearModel(process)
    matrix = np.stack([model.forward(one.reshape(1, FRAMES, -1)).ravel() for one in np.eye(FRAMES * model.count)], 1)
    np.testing.assert_allclose(matrix @ matrix.T, covariance(process), atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_the_model_has_an_exact_adjoint(name):
    generator, model = np.random.default_rng(2), LinearModel(ALL[name]())
    noise = generator.standard_normal((3, FRAMES, model.count))
    fields = generator.standard_normal((3, FRAMES, model.modes.size))
    across = [(a * b).sum((1, 2)) for a, b in ((model.forward(noise), fields), (noise, model.adjoint(fields)))]
    np.testing.assert_allclose(*across, rtol=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_steps_make_the_trajectory(name):
    generator, model = np.random.default_rng(3), LinearModel(ALL[name]())
    noise = generator.standard_normal((2, FRAMES, model.count))
    whole = model.forward(noise)
    for t in range(1, FRAMES):
        np.testing.assert_allclose(model.after(whole[:, t - 1], noise[:, t]), whole[:, t], atol=1e-6)


def test_a_step_without_noise_is_the_transition_of_the_process():
    process = oracle.process(SIZE)
    model, states = LinearModel(process), np.random.default_rng(4).standard_normal((3, SIZE))
    found = model.after(states, np.zeros((3, model.count)))
    np.testing.assert_allclose(found, states @ oracle.transition(process)[0].T, atol=1e-5)
