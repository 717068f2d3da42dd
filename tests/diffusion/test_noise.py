"""Noise levels."""

import numpy as np
import torch

from hindsight.diffusion import noise


def test_levels_run_from_clean_to_pure_noise_as_karras_has_them():
    sigma = noise.levels(5, 0.02, 80.0, 7.0)
    assert sigma[0] == 0 and np.isclose(sigma[1], 0.02) and np.isclose(sigma[-1], 80.0)
    assert (np.diff(sigma) > 0).all()
    np.testing.assert_allclose(np.diff(sigma[1:] ** (1 / 7)), np.diff(sigma[1:] ** (1 / 7))[0])  # even in sigma^(1/rho)


def test_one_step_starts_at_the_largest_level():
    np.testing.assert_allclose(noise.levels(1, 0.1, 3.0, 7.0), [0, 3.0])


def test_training_levels_come_in_the_shares_asked_for():
    sigma = noise.training_levels(4000, 6, 0.02, 40.0, 0.5, 0.2, torch.Generator().manual_seed(0))
    equal = (sigma == sigma[:, :1]).all(1)
    rising = (sigma.diff(dim=1) >= 0).all(1) & ~equal
    assert abs(equal.float().mean() - 0.5) < 0.03
    assert abs(rising.float().mean() - 0.2) < 0.03  # independent levels rise by chance once in 720
    assert sigma.min() >= 0.02 and sigma.max() <= 40.0


def test_training_levels_are_log_uniform():
    log = noise.training_levels(20000, 1, 0.1, 10.0, 0.0, 0.0, torch.Generator().manual_seed(1)).log10()
    assert abs(log.mean()) < 0.02 and abs(log.var() - 4 / 12) < 0.01
