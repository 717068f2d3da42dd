"""The Gaussian likelihood of score-based data assimilation."""

import numpy as np
import pytest
import torch

from hindsight.diffusion.guidance.sda import Sda
from tests.diffusion.guidance import scenes


@pytest.mark.parametrize("estimate", [scenes.linear, scenes.crooked])
@pytest.mark.parametrize("gamma", [0.0, 0.4])
def test_it_is_its_formula_with_a_dense_jacobian(estimate, gamma):
    x, seen = scenes.noisy(), scenes.seen()
    found = Sda(scenes.prior(estimate), seen, gamma).mean(x, scenes.ABOVE, scenes.BELOW)
    operator, error, value = scenes.dense(seen)
    counts = seen.present.sum(1).long()
    level = scenes.ABOVE.double().repeat_interleave(counts).numpy()
    for member in range(scenes.MEMBERS):
        slope, clean = scenes.jacobian(estimate, x[member])
        pull = operator.T @ ((value - operator @ clean) / (error**2 + gamma * level**2))
        scenes.agree(found[member].flatten(), clean + scenes.squares() * (slope.T @ pull), 1e-3)


def test_it_is_exact_if_gamma_is():
    """One frame of white noise observed at a grid value: V = s^2 / (1 + s^2), so gamma = 1 / (1 + s^2)."""
    from tests.diffusion.guidance.test_diagonal import one_value, white_prior

    sigma, error, y = 0.7, 0.4, 1.3
    x = torch.randn(2, 1, 4)
    found = Sda(white_prior(4), one_value(4, 2, error, y), 1 / (1 + sigma**2)).mean(
        x, torch.tensor([sigma]), torch.tensor([0.1])
    )
    expected = x / (1 + sigma**2)
    precision = 1 + sigma**-2 + error**-2
    expected[:, 0, 2] = (x[:, 0, 2] / sigma**2 + y / error**2) / precision
    torch.testing.assert_close(found, expected)


def test_observations_of_waiting_frames_have_no_effect():
    x, seen, below = scenes.noisy(), scenes.seen(), scenes.ABOVE.clone()
    below[2] /= 2  # only the frame without observations moves
    guidance = Sda(scenes.prior(), seen)
    assert torch.equal(guidance.mean(x, scenes.ABOVE, below), scenes.prior().mean(x, scenes.ABOVE, below))
    moved = guidance.mean(x, scenes.ABOVE, scenes.ABOVE) - scenes.prior().mean(x, scenes.ABOVE, scenes.ABOVE)
    assert np.abs(moved.numpy()).max() > 0.01  # where none moves, as in a correction, all count
