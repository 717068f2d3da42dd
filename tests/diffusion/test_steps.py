"""Steps from level to level: formulas, order of convergence, and what they converge to."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import noise, steps
from tests.diffusion.test_exact_smoother import FRAMES, SIZE, analytic, observe, rows
from tests.oracles import linear_gaussian as oracle

ABOVE, BELOW = torch.tensor([2.0, 1.0, 0.5, 0.0]), torch.tensor([0.5, 1.0, 0.0, 0.0])


class Given:
    """A denoiser that says what it was told to."""

    def __init__(self, clean):
        self.clean = clean

    def mean(self, noisy, above, below):
        return self.clean

    def draw(self, noisy, above, below, white):
        return self.clean + white("state")


def numbers(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, 4, 5, generator=generator) for _ in range(3)]


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_ddim_is_the_published_step(eta):
    """Song et al. 2021, equations 12 and 16, for a process whose variance explodes."""
    x, clean, e = numbers()
    found = steps.Ddim(eta)(x, ABOVE, BELOW, Given(clean), lambda purpose, size=None: e)
    fresh = eta * np.sqrt((4 - 0.25) / 4) * 0.5
    direction = (x[:, 0] - clean[:, 0]) / 2
    expected = clean[:, 0] + np.sqrt(0.25 - fresh**2) * direction + fresh * e[:, 0]
    torch.testing.assert_close(found[:, 0], expected)
    assert torch.equal(found[:, [1, 3]], x[:, [1, 3]])  # one waits, one is clean already
    torch.testing.assert_close(found[:, 2], clean[:, 2])


def test_the_covariance_step_leaves_a_sample_of_the_level_below():
    """Between x_0 and x_a lies x_b: its mean and variance given both (Ho et al. 2020, equation 7, exploding)."""
    x, clean, e = numbers(1)
    white = lambda purpose, size=None: {"state": e, "step": 2 * e}[purpose]
    found = steps.Covariance()(x, ABOVE, BELOW, Given(clean), white)
    drawn, ratio = clean + e, 0.25 / 4
    expected = drawn[:, 0] + ratio * (x[:, 0] - drawn[:, 0]) + 0.5 * np.sqrt(1 - ratio) * 2 * e[:, 0]
    torch.testing.assert_close(found[:, 0], expected)
    assert torch.equal(found[:, [1, 3]], x[:, [1, 3]])
    torch.testing.assert_close(found[:, 2], drawn[:, 2])


def test_the_second_order_step_is_the_published_one():
    """Lu et al. 2022, algorithm 2, by its own formula with lambda = -log sigma, for two frames of unequal levels."""
    generator = torch.Generator().manual_seed(0)
    x, first, second = (torch.randn(1, 2, 3, generator=generator, dtype=torch.double) for _ in range(3))
    ladder = torch.tensor([[4.0, 2.0], [1.5, 1.6], [0.3, 0.2]], dtype=torch.double)
    step, silent = steps.SecondOrder(), lambda purpose, size=None: pytest.fail("it draws nothing")
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
    step = steps.SecondOrder()
    at = lambda level: torch.tensor([level])
    step(x, at(2.0), at(2.0), Given(first), None)
    found = step(x, at(2.0), at(1.0), Given(second), None)
    torch.testing.assert_close(found, second + 0.5 * (x - second))


class Gaussian:
    """E[x_0 | x] where x_0 ~ N(mean, covariance) over frames and values together, in double precision."""

    def __init__(self, mean, covariance):
        self.at, self.spread = torch.tensor(mean).ravel(), torch.tensor(covariance)

    def mean(self, noisy, above, below):
        square = above.repeat_interleave(noisy.shape[2]).square()
        gain = torch.linalg.solve(self.spread + torch.diag(square), self.spread, left=True).mT
        return (self.at + (noisy.flatten(1) - self.at) @ gain.mT).view_as(noisy)


@pytest.fixture(scope="module")
def known():
    """A process, its observations, and the exact smoother as one Gaussian over all frames."""
    process, seen = oracle.process(SIZE), observe([2, 7])
    operators, errors, values = rows(seen)
    prior = oracle.covariance(process, FRAMES)
    mean, spread = oracle.condition(prior, oracle.stacked(operators), np.concatenate(errors), np.concatenate(values))
    return process, seen, mean, spread


def flow(step, denoiser, levels, x):
    """Along levels (rows, T) without any random number."""
    step.begin()
    for above, below in zip(levels, levels[1:]):
        x = step(x, above, below, denoiser, None)
    return x


@pytest.mark.parametrize(
    ("make", "order"), [(lambda: steps.Ddim(0.0), 1), (steps.SecondOrder, 2)], ids=["ddim", "second order"]
)
@pytest.mark.parametrize("tilt", [0.0, 1.0], ids=["equal levels", "a staircase of levels"])
def test_halving_the_log_step_divides_the_error_by_two_to_the_order(known, make, order, tilt):
    """Against the closed form of the flow where levels are equal, and against a very fine walk where they are not."""
    denoiser = Gaussian(*known[2:])
    ends = torch.linspace(0, tilt, FRAMES, dtype=torch.double).exp()

    def ladder(count):
        return 0.05 * 200 ** torch.linspace(1, 0, count + 1, dtype=torch.double)[:, None] * ends

    start = torch.randn(3, FRAMES, SIZE, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 10
    if tilt:
        reference = flow(steps.SecondOrder(), denoiser, ladder(1500), start)
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
    """Mean and covariance that a walk leaves of a Gaussian, from what it does to a basis: nothing is drawn."""
    size = len(mean)
    basis = torch.cat([torch.zeros(1, size), torch.eye(size)]).view(-1, FRAMES, SIZE)
    zero, one = (lambda purpose, size=None, c=c: torch.full_like(basis, c) for c in (0.0, 1.0))
    step.begin()
    here, noise_here = basis, []
    for above, below in zip(levels, levels[1:]):
        there = step(here, above, below, guided, zero)
        if not isinstance(step, steps.SecondOrder):  # what is drawn anew, and what becomes of it
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
    [(lambda: steps.Ddim(1.0), (10, 40, 160), 2.5), (steps.SecondOrder, (10, 20, 40), 3.0)],
    ids=["ancestral", "second order"],
)
def test_more_steps_lead_to_the_exact_smoother(known, make, counts, faster):
    """Mean and spread of the walk with the analytic guidance, computed and not sampled."""
    process, seen, mean, spread = known
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


@pytest.mark.parametrize("size", [0.1, 1.0])
def test_a_correction_leaves_the_exact_posterior_as_it_is_but_for_the_square_of_its_size(known, size):
    """In closed form K becomes K + (g / 2)^2 / K; and mean and members are moved to where they belong."""
    process, seen, mean, spread = known
    guided, sigma = analytic(process, seen)(slice(0, FRAMES)), 0.5
    level = torch.full((FRAMES,), sigma)
    basis = torch.cat([torch.zeros(1, len(mean)), torch.eye(len(mean))]).view(-1, FRAMES, SIZE)
    correct = lambda x, number: steps.langevin(
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
    found = steps.langevin(x, level, moving, Given(clean), lambda purpose, size=None: e, 0.4)
    expected = x + 0.2 * (clean - x) + np.sqrt(0.4) * level[:, None] * e
    torch.testing.assert_close(found[:, :2], expected[:, :2])
    assert torch.equal(found[:, 2:], x[:, 2:])
