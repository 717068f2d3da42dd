"""The prior alone, and products with its transposed Jacobian."""

import numpy as np
import pytest
import torch

from hindsight.diffusion.guidance import falling
from hindsight.diffusion.guidance.dps import Dps
from hindsight.diffusion.guidance.forcing import Forcing, Spectrum
from hindsight.diffusion.guidance.mmps import Mmps
from hindsight.diffusion.guidance.sda import Sda
from hindsight.diffusion.guidance.unguided import Cost
from tests.diffusion.guidance import scenes
from tests.oracles import linear_gaussian as oracle

WHOLE = oracle.covariance(scenes.PROCESS, scenes.FRAMES)


def units():
    """White noise one number at a time, as members."""
    return torch.eye(scenes.FRAMES * scenes.SIZE).view(-1, scenes.FRAMES, scenes.SIZE)


def test_the_mean_is_the_estimate_at_the_levels_above_with_clean_frames_at_the_fixed_level():
    calls = []

    def estimate(noisy, posterior, moves, points):
        calls.append((posterior.sigma, moves, points))
        return noisy + 1

    above, below = torch.tensor([0.0, 0.5, 2.0]), torch.tensor([0.0, 0.5, 1.0])
    found = scenes.prior(estimate, fixed_sigma=0.01).mean(torch.zeros(1, 3, scenes.SIZE), above, below, "points")
    (sigma, moves, points), *_ = calls
    assert (found == 1).all() and points == "points"
    assert moves.tolist() == [False, False, True]
    torch.testing.assert_close(sigma, torch.tensor([[0.01, 0.5, 2.0]]))


def test_frames_whose_level_falls_move_and_all_if_none_falls():
    high, low = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([1.0, 0.5, 0.0])
    assert falling(high, low).tolist() == [False, True, False]
    assert falling(high, high).tolist() == [True, True, True]


def test_a_posterior_is_factored_once_for_its_levels():
    prior = scenes.prior()
    first = prior.posterior(scenes.ABOVE)
    assert prior.posterior(scenes.ABOVE.clone()) is first
    assert prior.posterior(scenes.BELOW) is not first
    torch.testing.assert_close(prior.posterior(scenes.BELOW).sigma[0], scenes.BELOW)


def test_a_draw_departs_from_the_mean_by_the_covariance_of_the_linear_prior():
    x = scenes.noisy()[:1].expand(len(units()), -1, -1)
    prior = scenes.prior()
    found = prior.draw(x, scenes.ABOVE, scenes.BELOW, lambda purpose: {"state": units()}[purpose])
    root = (found - prior.mean(x, scenes.ABOVE, scenes.BELOW)).flatten(1).double().numpy()
    np.testing.assert_allclose(root.T @ root, scenes.posterior()[1], atol=2e-5)


def test_a_start_is_a_draw_of_the_process_given_the_frames_with_a_finite_level():
    level = torch.tensor([0.1, torch.inf, 0.5, torch.inf, torch.inf])
    there = level.isfinite().repeat_interleave(scenes.SIZE).numpy()
    x = torch.where(level.isfinite()[:, None], scenes.noisy()[:1], 0.0)
    prior = scenes.prior(lambda *_: pytest.fail("by the closed form alone"))
    still = prior.start(x, level, lambda purpose: torch.zeros(1, scenes.FRAMES, scenes.SIZE))
    value, error = x.double().flatten().numpy()[there], level.double().repeat_interleave(scenes.SIZE).numpy()[there]
    mean, spread = oracle.condition(WHOLE, np.eye(len(there))[there], error, value)
    np.testing.assert_allclose(still.flatten(), mean, atol=1e-4)
    drawn = prior.start(x.expand(len(units()), -1, -1), level, lambda purpose: {"state": units()}[purpose])
    root = (drawn - still).flatten(1).double().numpy()
    np.testing.assert_allclose(root.T @ root, spread, atol=2e-5)


def test_products_with_the_transposed_jacobian_are_those_of_a_dense_one():
    x, v = scenes.noisy(), torch.randn(scenes.MEMBERS, scenes.FRAMES, scenes.SIZE)
    with torch.no_grad():
        found = scenes.prior(scenes.crooked).with_jacobian(
            x, scenes.ABOVE, scenes.BELOW, lambda clean, back, members: torch.cat([clean, back(v), back(2 * v)], 2)
        )
    assert not found.requires_grad and not x.requires_grad
    for member in range(scenes.MEMBERS):
        slope, clean = scenes.jacobian(scenes.crooked, x[member])
        expected = slope.T @ v[member].flatten().double().numpy()
        kept, once, twice = found[member].split(scenes.SIZE, 1)
        scenes.agree(kept.flatten(), clean)
        scenes.agree(once.flatten(), expected)
        scenes.agree(twice.flatten(), 2 * expected)


METHODS = {
    "mmps": (lambda *about: Mmps(*about, iterations=3), 4),
    "sda": (Sda, 1),
    "dps": (Dps, 1),
    "forcing": (lambda *about: Forcing(*about, 0.1, 0.1, 0.1, Spectrum.of(scenes.PROCESS, (2, 2, 2))), 1),
}


@pytest.mark.parametrize("method", METHODS)
def test_members_in_chunks_are_the_same_as_all_at_once_at_the_same_cost(method):
    make, passes = METHODS[method]
    x, found, frames = torch.cat([scenes.noisy(), scenes.noisy(1)]), [], 6 * scenes.FRAMES
    for at_once in (None, 1, 4):
        cost, sizes = Cost(), []

        def estimate(noisy, posterior, moves, points, cost=cost, sizes=sizes):
            sizes.append(len(noisy))
            cost.evaluations += len(noisy) * scenes.FRAMES
            return scenes.crooked(noisy, posterior, moves, points)

        guidance = make(scenes.prior(estimate, cost=cost, at_once=at_once), scenes.seen())
        found.append(guidance.mean(x, scenes.ABOVE, scenes.BELOW))
        assert sizes == {None: [6], 1: [1] * 6, 4: [4, 2]}[at_once]
        assert cost == Cost(frames, passes * frames)
    for chunked in found[1:]:
        torch.testing.assert_close(chunked, found[0], atol=2e-5, rtol=1e-4)
