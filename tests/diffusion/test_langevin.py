"""Langevin corrections."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import langevin
from tests.diffusion.steps.fixed import Given, numbers
from tests.diffusion.test_exact_smoother import FRAMES, SIZE, analytic


@pytest.mark.parametrize("size", [0.1, 1.0])
def test_a_correction_changes_the_exact_posterior_by_the_square_of_its_size_only(exact_posterior, size):
    """In closed form K becomes K + (g / 2)^2 / K; and many corrections lead to the exact mean and covariance."""
    process, seen, mean, spread = exact_posterior
    guided, sigma = analytic(process, seen)(slice(0, FRAMES)), 0.5
    level = torch.full((FRAMES,), sigma)
    basis = torch.cat([torch.zeros(1, len(mean)), torch.eye(len(mean))]).view(-1, FRAMES, SIZE)
    correct = lambda x, number: langevin.correct(
        x, level, torch.ones(FRAMES, dtype=torch.bool), guided, lambda purpose, size=None: number, size
    )
    still = correct(basis, torch.zeros(1)).flatten(1).double().numpy()
    fresh = correct(basis, torch.ones(1)).flatten(1).double().numpy()[0] - still[0]
    move = (still[1:] - still[0]).T
    before = spread + sigma**2 * np.eye(len(mean))
    np.testing.assert_allclose(still[0] + move @ mean, mean, atol=1e-4)
    after = move @ before @ move.T + np.diag(fresh**2)
    np.testing.assert_allclose(after, before + (size * sigma**2 / 2) ** 2 * np.linalg.inv(before), atol=1e-4)
    shift, left = still[0], np.diag(fresh**2)
    for _ in range(14):  # twice as many each time: where 2^14 of them lead from anywhere
        move, shift, left = move @ move, shift + move @ shift, left + move @ left @ move.T
    assert np.abs(move).max() < 1e-6
    np.testing.assert_allclose(shift, mean, atol=1e-3)
    stays = np.linalg.inv(np.linalg.inv(before) - size * sigma**2 / 4 * np.linalg.inv(before) @ np.linalg.inv(before))
    np.testing.assert_allclose(left, stays, atol=1e-3)


def test_a_correction_moves_only_frames_that_fell_and_are_not_clean():
    x, clean, e = numbers()
    level = torch.tensor([1.0, 0.5, 0.5, 0.0])
    moving = torch.tensor([True, True, False, True])
    found = langevin.correct(x, level, moving, Given(clean), lambda purpose, size=None: e, 0.4)
    expected = x + 0.2 * (clean - x) + np.sqrt(0.4) * level[:, None] * e
    torch.testing.assert_close(found[:, :2], expected[:, :2])
    assert torch.equal(found[:, 2:], x[:, 2:])
