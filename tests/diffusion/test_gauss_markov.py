"""The closed form against dense linear algebra."""

import numpy as np
import pytest
import torch

from hindsight.diffusion.gauss_markov import Posterior
from tests.oracles import linear_gaussian as oracle

FRAMES = 5


@pytest.fixture(params=[12, 9], ids=["all modes", "fewer modes than values"])
def process(request):
    return oracle.process(modes=request.param)


@pytest.fixture
def sigma():
    return torch.tensor([[0.3, 2.0, 0.05, 40.0, 0.7], [1.0] * FRAMES])


def dense_posterior(process, levels):
    prior = oracle.covariance(process, FRAMES)
    noise = np.diag(np.repeat(levels.double().numpy() ** 2, process.size))
    return prior @ np.linalg.inv(prior + noise), prior - prior @ np.linalg.inv(prior + noise) @ prior


def test_mean_is_the_ideal_denoiser_for_any_level_of_each_frame(process, sigma):
    noisy = torch.randn(2, FRAMES, process.size, generator=torch.Generator().manual_seed(0))
    mean = Posterior(process, sigma).mean(noisy)
    for levels, x, found in zip(sigma, noisy, mean):
        expected = dense_posterior(process, levels)[0] @ x.double().numpy().ravel()
        np.testing.assert_allclose(found.numpy().ravel(), expected, atol=2e-5)


def test_covariance_is_the_posterior_covariance(process, sigma):
    posterior = Posterior(process, sigma[:1])
    units = torch.eye(FRAMES * process.size).view(-1, FRAMES, process.size)
    found = posterior.covariance(units).flatten(1).numpy()
    np.testing.assert_allclose(found, dense_posterior(process, sigma[0])[1], atol=2e-5)


def test_draws_have_the_posterior_covariance(process, sigma):
    posterior = Posterior(process, sigma[:1])
    root = posterior.draw(torch.eye(FRAMES * process.size).view(-1, FRAMES, process.size)).flatten(1).numpy()
    np.testing.assert_allclose(root.T @ root, dense_posterior(process, sigma[0])[1], atol=2e-5)


def test_infinite_noise_leaves_the_prior(process):
    posterior = Posterior(process, torch.full((1, FRAMES), torch.inf))
    units = torch.eye(FRAMES * process.size).view(-1, FRAMES, process.size)
    np.testing.assert_allclose(posterior.covariance(units).flatten(1), oracle.covariance(process, FRAMES), atol=2e-5)
    assert posterior.mean(units).abs().max() == 0


def test_a_level_of_zero_is_refused(process):
    with pytest.raises(ValueError, match="above zero"):
        Posterior(process, torch.zeros(1, FRAMES))
