"""The fit of the closed-form start."""

import numpy as np
import pytest
import torch

from hindsight.diffusion.gauss_markov import Posterior
from hindsight.errors import UserError
from hindsight.settings.train import Colour
from hindsight.train import colour
from tests.oracles import linear_gaussian as oracle

SIZE = 10


@pytest.fixture(scope="module")
def series():
    """A long trajectory of a known process."""
    model, noise = oracle.transition(oracle.process(SIZE))
    root, generator = np.linalg.cholesky(noise), np.random.default_rng(0)
    x, found = np.zeros(SIZE), []
    for _ in range(40000):
        x = model @ x + root @ generator.standard_normal(SIZE)
        found.append(x)
    return np.array(found[100:])


def test_a_known_process_is_recovered_from_its_trajectory(series):
    fitted = colour.fit(series, Colour(coupled_modes=SIZE, ridge=0.0))
    expected = oracle.covariance(oracle.process(SIZE), 3)
    np.testing.assert_allclose(oracle.covariance(fitted, 3), expected, atol=0.06 * expected.max())


def test_the_fitted_denoiser_is_nearly_the_ideal_one(series):
    fitted, ideal = colour.fit(series, Colour(coupled_modes=SIZE, ridge=0.0)), oracle.process(SIZE)
    sigma = torch.tensor([[0.5, 2.0, 1.0]])
    noisy = torch.tensor(series[:3], dtype=torch.float32)[None]
    difference = Posterior(fitted, sigma).mean(noisy) - Posterior(ideal, sigma).mean(noisy)
    assert difference.abs().max() < 0.05


def test_modes_are_orthonormal_and_fall_in_variance(series):
    fitted = colour.fit(series, Colour(coupled_modes=4, modes=7))
    torch.testing.assert_close(fitted.modes.T @ fitted.modes, torch.eye(7), atol=1e-5, rtol=0)
    assert (fitted.variance.diff() <= 0).all() and fitted.coupling.shape == (4, 4) and fitted.memory.shape == (3,)


def test_a_process_that_would_blow_up_is_kept_stationary():
    trend = np.cumsum(np.ones((50, 3)), 0) * [1.0, 0.5, 0.1]
    fitted = colour.fit(trend + 1e-3 * np.random.default_rng(0).standard_normal(trend.shape), Colour(ridge=0.0))
    assert torch.linalg.svdvals(fitted.coupling).max() < 1


def test_forms_for_comparison_leave_things_out(series):
    assert colour.fit(series, Colour(form="space")).coupling.abs().max() == 0
    white = colour.fit(series, Colour(form="white"))
    assert torch.equal(white.modes, torch.eye(SIZE)) and white.memory.abs().max() == 0


def test_too_few_frames_are_refused():
    with pytest.raises(UserError, match="2 frames"):
        colour.fit(np.zeros((2, 3)), Colour())
