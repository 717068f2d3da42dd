"""The covariance-aware step: its formula."""

import numpy as np
import torch

from hindsight.diffusion.steps.covariance import Covariance
from tests.diffusion.steps.fixed import ABOVE, BELOW, Given, numbers


def test_the_covariance_step_leaves_a_sample_of_the_level_below():
    """Between x_0 and x_a lies x_b: its mean and variance given both (Ho et al. 2020, equation 7, exploding)."""
    x, clean, e = numbers(1)
    white = lambda purpose, size=None: {"state": e, "step": 2 * e}[purpose]
    found = Covariance()(x, ABOVE, BELOW, Given(clean), white)
    drawn, ratio = clean + e, 0.25 / 4
    expected = drawn[:, 0] + ratio * (x[:, 0] - drawn[:, 0]) + 0.5 * np.sqrt(1 - ratio) * 2 * e[:, 0]
    torch.testing.assert_close(found[:, 0], expected)
    assert torch.equal(found[:, [1, 3]], x[:, [1, 3]])
    torch.testing.assert_close(found[:, 2], drawn[:, 2])
