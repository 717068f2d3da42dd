"""The DDIM step: its formula."""

import numpy as np
import pytest
import torch

from hindsight.diffusion.steps.ddim import Ddim
from tests.diffusion.steps.fixed import ABOVE, BELOW, Given, numbers


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_ddim_is_the_published_step(eta):
    """Song et al. 2021, equations 12 and 16, for a process whose variance explodes."""
    x, clean, e = numbers()
    found = Ddim(eta)(x, ABOVE, BELOW, Given(clean), lambda purpose, size=None: e)
    fresh = eta * np.sqrt((4 - 0.25) / 4) * 0.5
    direction = (x[:, 0] - clean[:, 0]) / 2
    expected = clean[:, 0] + np.sqrt(0.25 - fresh**2) * direction + fresh * e[:, 0]
    torch.testing.assert_close(found[:, 0], expected)
    assert torch.equal(found[:, [1, 3]], x[:, [1, 3]])  # one waits, one is clean already
    torch.testing.assert_close(found[:, 2], clean[:, 2])
