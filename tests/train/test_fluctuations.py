"""Principal components and their evolution; test_linear_prior.py tests what is made of them."""

import numpy as np
import torch

from hindsight.settings.train import LinearPrior
from hindsight.train.covariances import CovarianceSums
from hindsight.train.fluctuations import MAX_SINGULAR_VALUE, evolution, lagged, memory, principal


def sums(frames=4000, size=4):
    """Of a vector autoregression x' = M x + w, with M and its stationary covariance."""
    generator = np.random.default_rng(0)
    model = np.diag([0.9, 0.5, 0.3, 0.1]) + 0.05 * generator.standard_normal((size, size))
    x, found = np.zeros(size), []
    for _ in range(frames):
        x = model @ x + generator.standard_normal(size)
        found.append(x)
    x = torch.as_tensor(np.array(found))
    total = CovarianceSums.zero(x)
    total.add(x, np.arange(frames), np.arange(frames - 1))
    return total, x


def test_components_diagonalise_the_covariance_and_a_lag_in_them_is_the_regression():
    total, x = sums()
    settings = LinearPrior(ridge=0.0)
    variance, vectors = principal(total, settings)
    torch.testing.assert_close(vectors.T @ (x.T @ x / len(x)) @ vectors, torch.diag(variance), atol=1e-10, rtol=0)
    whitened = x @ vectors / variance.sqrt()
    regression = torch.linalg.lstsq(whitened[:-1], whitened[1:]).solution.T
    torch.testing.assert_close(lagged(total, variance, vectors, settings), regression, atol=2e-3, rtol=0)
    assert lagged(total, variance, vectors, LinearPrior(form="space")).abs().max() == 0


def test_the_coupling_is_clipped_and_the_others_keep_their_own_memory():
    correlation = torch.diag(torch.tensor([1.2, 0.5, 1.1, -0.3], dtype=torch.float64))
    coupling, others = evolution(correlation, 2)
    torch.testing.assert_close(coupling, torch.diag(torch.tensor([MAX_SINGULAR_VALUE, 0.5], dtype=torch.float64)))
    torch.testing.assert_close(others, torch.tensor([MAX_SINGULAR_VALUE, -0.3], dtype=torch.float64))


def test_the_memory_of_a_complex_mode_is_the_real_part_of_its_correlation():
    assert memory(torch.tensor([0.4 + 0.7j])).item() == np.float32(0.4)
