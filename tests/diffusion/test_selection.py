"""Particles over trajectories: weights and resampling."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import noise, sampler, schedule, selection
from hindsight.diffusion.steps.ddim import Ddim
from hindsight.operators.linear import LinearObservations
from tests.diffusion.guidance import scenes


def test_the_misfit_is_half_the_squared_departures_in_errors():
    members, seen = scenes.noisy(), scenes.seen()
    found = selection.misfit(members, seen)
    assert found.shape == (scenes.MEMBERS, *seen.value.shape)
    for e in range(scenes.MEMBERS):
        for t in range(scenes.FRAMES):
            rows = seen.rows(t, scenes.SIZE)
            for n in range(3):
                gap = (rows[n] @ members[e, t] - seen.value[t, n]).item()
                expected = 0.5 * (gap / seen.error[t, n].item()) ** 2 if seen.present[t, n] else 0.0
                assert found[e, t, n].item() == pytest.approx(expected, rel=1e-3, abs=1e-5)


def effective(cost, b):
    weights = np.exp(-b * (cost - cost.min()))
    return weights.sum() ** 2 / (weights**2).sum()


@pytest.mark.parametrize("least", [1.0, 3.0, 9.5])
def test_weights_are_as_sharp_as_the_least_effective_number_allows(least):
    """By brute force over b in exp(-b cost), at most 1 and different for each column."""
    generator = np.random.default_rng(0)
    costs = generator.gamma(1.0, 1.0, (10, 6)) * np.array([0.01, 0.1, 1, 10, 1e3, 1e5])
    weights = selection.tempered(torch.tensor(costs, dtype=torch.float32), least).numpy()
    np.testing.assert_allclose(weights.sum(0), 1)
    for column in range(6):
        cost = costs[:, column].astype(np.float32).astype(float)
        grid = np.append(np.logspace(-12, 0, 20001), 1.0)
        fit = [b for b in grid if effective(cost, b) >= least]
        expected = np.exp(-max(fit) * (cost - cost.min()))
        np.testing.assert_allclose(weights[:, column], expected / expected.sum(), atol=2e-3)
        assert 1 / (weights[:, column] ** 2).sum() >= least * (1 - 1e-6)


def test_a_larger_effective_number_never_sharpens_the_weights():
    cost = torch.tensor(np.random.default_rng(1).gamma(1.0, 5.0, (12, 1)), dtype=torch.float32)
    order = cost[:, 0].argsort()
    largest = []
    for least in (1.0, 2.0, 4.0, 8.0, 11.0):
        weights = selection.tempered(cost, least)[:, 0]
        assert (weights[order].diff() <= 1e-12).all()  # a smaller cost, a larger weight
        largest.append(weights.max().item())
    assert largest == sorted(largest, reverse=True) and largest[0] > 2 * largest[-1]


def test_equal_or_huge_costs_give_finite_weights_that_sum_to_one():
    for cost in (torch.full((4, 1), 1e30), torch.tensor([[0.0], [1e30], [1e30], [1e30]])):
        weights = selection.tempered(cost, 1.0)
        assert weights.isfinite().all() and weights.sum().item() == pytest.approx(1)


def random_weights(count=9, columns=40, seed=0):
    weights = np.random.default_rng(seed).gamma(0.3, 1.0, (count, columns))
    return torch.tensor(weights / weights.sum(0))


@pytest.mark.parametrize("offset", [0.0, 0.3, 0.999])
def test_offspring_are_within_one_of_their_share_and_survivors_stay_in_place(offset):
    weights = random_weights()
    chosen = selection.resampled(weights, offset)
    assert chosen.shape == weights.shape
    for column in range(weights.shape[1]):
        copies = np.bincount(chosen[:, column].numpy(), minlength=9)
        share = 9 * weights[:, column].numpy()
        assert (np.abs(copies - share) < 1 + 1e-9).all()
        for member in np.flatnonzero(copies):
            assert chosen[member, column] == member


def test_offspring_average_to_their_share_over_the_offsets():
    weights = random_weights(columns=5)
    counts, draws = np.zeros((9, 5)), 2000
    for offset in (np.arange(draws) + 0.5) / draws:
        chosen = selection.resampled(weights, offset)
        for column in range(5):
            counts[:, column] += np.bincount(chosen[:, column].numpy(), minlength=9)
    np.testing.assert_allclose(counts / draws, 9 * weights.numpy(), atol=2 / draws)


def test_equal_weights_move_no_member():
    chosen = selection.resampled(torch.full((7, 3), 1 / 7, dtype=torch.double), 0.4)
    assert torch.equal(chosen, torch.arange(7)[:, None].expand(7, 3))


def test_costs_in_time_are_summed_under_a_gaussian():
    cost = torch.rand(3, 8, generator=torch.Generator().manual_seed(0))
    found = selection.in_time(cost, 2)
    for t in range(8):
        expected = sum(cost[:, s] * np.exp(-0.5 * ((s - t) / 2) ** 2) for s in range(8))
        torch.testing.assert_close(found[:, t], expected)
    torch.testing.assert_close(selection.in_time(cost, 0), cost)  # no reach: each frame by itself


def test_members_are_taken_in_the_chosen_order():
    members = torch.arange(24.0).view(3, 4, 2)
    chosen = torch.tensor([[0, 0, 2, 1], [1, 1, 1, 1], [0, 2, 2, 2]])
    found = selection.take(members, chosen[..., None])
    for e in range(3):
        for t in range(4):
            assert torch.equal(found[e, t], members[chosen[e, t], t])
    whole = selection.take(members, torch.tensor([2, 1, 2])[:, None, None])
    assert torch.equal(whole, members[[2, 1, 2]])


class TwoModes:
    """Frames that are all near +1 or all near -1: its ideal denoiser, for any level of each frame."""

    WIDTH = 0.1

    def mean(self, noisy, above, below):
        square = above.clamp(min=1e-3).square()[:, None]
        narrow, modes = self.WIDTH**2, []
        for sign in (1.0, -1.0):
            fit = -((noisy - sign) ** 2 / (square + narrow)).sum((1, 2)) / 2
            modes.append((fit, sign + narrow / (square + narrow) * (noisy - sign)))
        share = torch.softmax(torch.stack([fit for fit, _ in modes]), 0)
        return sum(share[k][:, None, None] * mean for k, (_, mean) in enumerate(modes))

    def start(self, noisy, level, white):
        return torch.zeros_like(noisy)


@pytest.mark.parametrize("passes", [0, 2])
def test_selection_rescues_members_trapped_in_a_wrong_mode(passes):
    """Observations that act only through the weights: batch loses half the members, passes lose none; copies differ."""
    frames, members = 3, 64
    zeros = torch.zeros(frames, 1, 4)
    seen = LinearObservations(zeros.long(), zeros + torch.tensor([1.0, 0, 0, 0]), *(torch.ones(frames, 1),) * 3)
    generator = torch.Generator().manual_seed(3)
    draw = lambda view, counts, purpose, size=None: torch.randn(members, frames, size or 2, generator=generator)

    def resample(x, level, cycle):
        cost = selection.misfit(x, seen).sum((1, 2))[:, None]
        return selection.take(x, selection.resampled(selection.tempered(cost, 0.25 * members), 0.5)[..., None])

    cycles = schedule.rejuvenated(frames, noise.levels(24, 0.02, 10.0, 7.0), passes, sigma=0.5)
    state = sampler.State(torch.zeros(members, frames, 2), np.full(frames, np.inf))
    step_settings = sampler.StepSettings(Ddim(1.0))
    *_, state = sampler.sample(cycles, state, lambda view: TwoModes(), step_settings, draw, resample)
    lost = (state.fields.mean((1, 2)) < 0).float().mean().item()
    assert (0.3 < lost < 0.7) if passes == 0 else lost == 0
    assert state.fields.abs().mean().item() == pytest.approx(1, abs=0.05)
    assert len(set(state.fields[:, 0, 0].tolist())) == members
    assert state.fields.abs().std(0).mean().item() == pytest.approx(0.1, abs=0.03)
