"""The second-order step: its formula, and when it is of first order."""

import pytest
import torch

from hindsight.diffusion.steps.second_order import SecondOrder
from tests.diffusion.steps.fixed import Given


def test_the_second_order_step_is_the_published_one():
    """Lu et al. 2022, algorithm 2, by its own formula with lambda = -log sigma, for two frames of unequal levels."""
    generator = torch.Generator().manual_seed(0)
    x, first, second = (torch.randn(1, 2, 3, generator=generator, dtype=torch.double) for _ in range(3))
    ladder = torch.tensor([[4.0, 2.0], [1.5, 1.6], [0.3, 0.2]], dtype=torch.double)
    step, silent = SecondOrder(), lambda purpose, size=None: pytest.fail("it draws nothing")
    step.begin()
    one = step(x, ladder[0], ladder[1], Given(first), silent)
    two = step(one, ladder[1], ladder[2], Given(second), silent)
    h = -ladder.log().diff(dim=0)
    r = (h[0] / h[1])[:, None]
    expected_one = (ladder[1] / ladder[0])[:, None] * x - torch.expm1(-h[0])[:, None] * first
    blend = (1 + 1 / (2 * r)) * second - 1 / (2 * r) * first
    expected_two = (ladder[2] / ladder[1])[:, None] * expected_one - torch.expm1(-h[1])[:, None] * blend
    torch.testing.assert_close(one, expected_one)
    torch.testing.assert_close(two, expected_two)
    torch.testing.assert_close(
        step(two, ladder[2], ladder[2] * 0, Given(first), silent), first
    )  # the last: first order
    step.begin()
    again = step(one, ladder[1], ladder[2], Given(second), silent)
    torch.testing.assert_close(again, second + (ladder[2] / ladder[1])[:, None] * (one - second))


def test_a_frame_that_waited_is_not_extrapolated():
    x, first, second = (torch.randn(1, 1, 3) for _ in range(3))
    step = SecondOrder()
    at = lambda level: torch.tensor([level])
    step(x, at(2.0), at(2.0), Given(first), None)
    found = step(x, at(2.0), at(1.0), Given(second), None)
    torch.testing.assert_close(found, second + 0.5 * (x - second))
