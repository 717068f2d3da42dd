"""The guidance with the analytic covariance; that its samples are exact stands in test_exact_smoother.py."""

import numpy as np
import pytest
import torch

from hindsight.diffusion.guidance.analytic import Analytic
from tests.diffusion.test_exact_smoother import FRAMES, SIZE, observe, rows
from tests.oracles import linear_gaussian as oracle


def test_the_update_is_the_dense_gain_for_unequal_levels_of_noise():
    process, seen = oracle.process(SIZE), observe([2, 7])
    sigma = torch.tensor([[0.3, 5.0, 1.0, 0.1, 40.0, 2.0]])
    found = Analytic(process, seen, tolerance=1e-6).update(torch.zeros(1, FRAMES, SIZE), process.posterior(sigma))
    prior = oracle.covariance(process, FRAMES)
    noisy = np.diag(np.repeat(sigma[0].double().numpy() ** 2, SIZE))
    posterior = prior - prior @ np.linalg.inv(prior + noisy) @ prior
    operators, errors, values = rows(seen)
    whole = oracle.stacked(operators)
    mean, _ = oracle.condition(posterior, whole, np.concatenate(errors), np.concatenate(values))
    np.testing.assert_allclose(found.numpy().ravel(), mean, atol=1e-4)


def test_without_observations_nothing_moves():
    process, x = oracle.process(SIZE), torch.randn(2, FRAMES, SIZE)
    guidance = Analytic(process, observe([]))
    assert torch.equal(guidance.update(x, process.posterior(torch.ones(1, FRAMES))), x)


def test_a_solver_that_cannot_reach_its_tolerance_says_so():
    process, seen = oracle.process(SIZE), observe(range(SIZE))
    with pytest.raises(ArithmeticError, match="residual"):
        guidance = Analytic(process, seen, tolerance=1e-12, iterations=2)
        guidance.update(torch.zeros(1, FRAMES, SIZE), process.posterior(torch.full((1, FRAMES), torch.inf)))
