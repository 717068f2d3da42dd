"""The gain without covariances."""

import pytest
import torch

from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.diagonal import Diagonal
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.diffusion.modes import Empirical
from hindsight.operators.linear import LinearObservations
from tests.diffusion.guidance import scenes


def white_prior(size, variance=1.0):
    process = GaussMarkov(
        Empirical(torch.eye(size)), torch.full((size,), variance), torch.zeros(0, 0, 0), torch.zeros(size)
    )
    return Unguided(process, scenes.linear)


def one_value(size, place, error, value):
    """One frame with one weighted observation of one value."""
    point, weight = torch.tensor([[[place, 0, 0, 0]]]), torch.tensor([[[1.0, 0, 0, 0]]])
    return LinearObservations(point, weight, torch.tensor([[value]]), torch.tensor([[error]]), torch.ones(1, 1))


def test_it_is_exact_for_a_white_process_whose_values_are_observed_at_most_once():
    """Value by value: precisions add up, whatever the level of each frame, the weights and the errors."""
    variance, x = 1.7, scenes.noisy()
    seen = scenes.seen(grid=True).frames(slice(1, 5))  # in frame 0 a value is seen twice
    found = Diagonal(white_prior(scenes.SIZE, variance), seen).mean(x[:, 1:], scenes.ABOVE[1:], scenes.BELOW[1:])
    square = scenes.ABOVE[1:, None].square()
    precision, pull = 1 / variance + 1 / square.expand(4, scenes.SIZE), x[:, 1:] / square
    precision = precision.clone()
    for t in range(4):
        for n in range(seen.value.shape[1]):
            if seen.present[t, n]:
                place, weight = seen.point[t, n, 0], seen.weight[t, n, 0]
                precision[t, place] += weight**2 / seen.error[t, n] ** 2
                pull[:, t, place] += weight * seen.value[t, n] / seen.error[t, n] ** 2
    torch.testing.assert_close(found, pull / precision, atol=1e-4, rtol=1e-4)


def test_between_grid_points_the_gain_has_the_squared_length_of_the_operator():
    """One observation of a white process: the dense gain is the diagonal one."""
    prior, seen = white_prior(scenes.SIZE), scenes.seen().frames(slice(3, 4))
    x, level, below = scenes.noisy()[:, 3:4], scenes.ABOVE[3:4], scenes.BELOW[3:4]
    assert seen.present.sum() == 1 and (seen.weight > 0).sum() > 1
    exact = Analytic(prior, seen, tolerance=1e-6).mean(x, level, below)
    torch.testing.assert_close(Diagonal(prior, seen).mean(x, level, below), exact, atol=1e-4, rtol=1e-4)


def test_values_between_observations_do_not_move():
    prior, seen, x = scenes.prior(), scenes.seen(grid=True), scenes.noisy()
    moved = Diagonal(prior, seen).mean(x, scenes.ABOVE, scenes.BELOW) != prior.mean(x, scenes.ABOVE, scenes.BELOW)
    touched = seen.adjoint(torch.ones(1, *seen.value.shape), scenes.SIZE)[0] > 0
    assert torch.equal(moved.all(0), touched) and torch.equal(moved.any(0), touched)


@pytest.mark.parametrize("gamma", [0.25, 4.0])
def test_gamma_scales_the_error_variance(gamma):
    prior, sigma, error, y = white_prior(3), 0.7, 0.4, 1.3
    x = torch.randn(2, 1, 3)
    found = Diagonal(prior, one_value(3, 1, error, y), gamma).mean(x, torch.tensor([sigma]), torch.tensor([0.1]))
    clean = x[:, 0, 1] / (1 + sigma**2)
    variance = gamma * sigma**2 / (1 + sigma**2)
    torch.testing.assert_close(found[:, 0, 1], clean + variance / (variance + error**2) * (y - clean))
