"""Sampling steps: order of convergence, and what they converge to."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import noise
from hindsight.diffusion.steps.ddim import Ddim
from hindsight.diffusion.steps.second_order import SecondOrder
from tests.diffusion.test_exact_smoother import FRAMES, SIZE, analytic


class Gaussian:
    """E[x_0 | x] where x_0 ~ N(mean, covariance) over frames and values together, in double precision."""

    def __init__(self, mean, covariance):
        self.at, self.spread = torch.tensor(mean).ravel(), torch.tensor(covariance)

    def mean(self, noisy, above, below):
        square = above.repeat_interleave(noisy.shape[2]).square()
        gain = torch.linalg.solve(self.spread + torch.diag(square), self.spread, left=True).mT
        return (self.at + (noisy.flatten(1) - self.at) @ gain.mT).view_as(noisy)


def flow(step, denoiser, levels, x):
    """Along levels (rows, T) without any random number."""
    step.begin()
    for above, below in zip(levels, levels[1:]):
        x = step(x, above, below, denoiser, None)
    return x


@pytest.mark.parametrize(("make", "order"), [(lambda: Ddim(0.0), 1), (SecondOrder, 2)], ids=["ddim", "second order"])
@pytest.mark.parametrize("tilt", [0.0, 1.0], ids=["equal levels", "a staircase of levels"])
def test_halving_the_log_step_divides_the_error_by_two_to_the_order(exact_posterior, make, order, tilt):
    """Against the closed form of the flow for equal levels, and against very many steps for others."""
    denoiser = Gaussian(*exact_posterior[2:])
    ends = torch.linspace(0, tilt, FRAMES, dtype=torch.double).exp()

    def ladder(count):
        return 0.05 * 200 ** torch.linspace(1, 0, count + 1, dtype=torch.double)[:, None] * ends

    start = torch.randn(3, FRAMES, SIZE, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 10
    if tilt:
        reference = flow(SecondOrder(), denoiser, ladder(1500), start)
    else:
        value, basis = torch.linalg.eigh(denoiser.spread)
        shrink = ((value + 0.05**2) / (value + 10.0**2)).sqrt()
        whole = denoiser.at + (start.flatten(1) - denoiser.at) @ basis * shrink @ basis.T
        reference = whole.view_as(start)
    errors = [(flow(make(), denoiser, ladder(n), start) - reference).abs().max().item() for n in (40, 80, 160)]
    for coarse, fine in zip(errors, errors[1:]):
        assert coarse / fine == pytest.approx(2**order, rel=0.25), errors
    assert errors[-1] < 0.1


def moments(step, guided, levels, mean, spread):
    """Mean and covariance after sampling from a Gaussian, computed from a basis without any random number."""
    size = len(mean)
    basis = torch.cat([torch.zeros(1, size), torch.eye(size)]).view(-1, FRAMES, SIZE)
    zero, one = (lambda purpose, size=None, c=c: torch.full_like(basis, c) for c in (0.0, 1.0))
    step.begin()
    here, noise_here = basis, []
    for above, below in zip(levels, levels[1:]):
        there = step(here, above, below, guided, zero)
        if not isinstance(step, SecondOrder):  # what is drawn anew, and what becomes of it
            fresh = step(here, above, below, guided, one)[0] - there[0]
            linear = step(basis, above, below, guided, zero).flatten(1)
            move = (linear[1:] - linear[0]).double().numpy().T
            noise_here = [move @ n @ move.T for n in noise_here] + [np.diag(fresh.ravel().double().numpy() ** 2)]
        here = there
    found = here.flatten(1).double().numpy()
    move = (found[1:] - found[0]).T
    return found[0] + move @ mean, move @ spread @ move.T + sum(noise_here)


@pytest.mark.parametrize(
    ("make", "counts", "faster"),
    [
        pytest.param(lambda: Ddim(1.0), (10, 40, 160), 2.5, id="ancestral", marks=pytest.mark.slow),
        pytest.param(SecondOrder, (10, 20, 40), 3.0, id="second order"),
    ],
)
def test_more_steps_lead_to_the_exact_smoother(exact_posterior, make, counts, faster):
    """Mean and spread with the analytic guidance, computed and not sampled."""
    process, seen, mean, spread = exact_posterior
    guided = analytic(process, seen)(slice(0, FRAMES))
    wrong = []
    for count in counts:
        levels = torch.tensor(noise.levels(count, 0.01, 10.0, 7.0), dtype=torch.float32).flip(0)
        start = spread + 100 * np.eye(len(mean))
        found, left = moments(make(), guided, levels[:, None].expand(-1, FRAMES), mean, start)
        deviation = np.sqrt(np.diag(spread))
        assert np.abs((found - mean) / deviation).max() < 0.03
        wrong.append(np.abs(left - spread).max() / spread.max())
    assert wrong[0] > faster * wrong[1] and wrong[1] > faster * wrong[2] and wrong[2] < 0.05, wrong
