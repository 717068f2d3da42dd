"""The observation solver in the space of the state, against dense conditioning and the products of the linear prior."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hindsight.diffusion import primal
from hindsight.diffusion.guidance import analytic
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.diffusion.observation_system import MatrixFree
from hindsight.diffusion.primal import Primal
from tests.diffusion.guidance import scenes
from tests.diffusion.guidance.test_analytic import crowded
from tests.diffusion.test_exact_smoother import closed_form
from tests.diffusion.test_observation_system import globe
from tests.oracles import linear_gaussian as oracle

SEEN = {"of a frame": scenes.seen(), "between frames": scenes.between()}


@pytest.fixture
def always(monkeypatch):
    """However few the observations are."""
    monkeypatch.setattr(analytic, "MANY", 0)


PROCESSES = {
    "one group": scenes.PROCESS,
    "two groups": oracle.process(6, 2, groups=2),
    "all coupled": oracle.process(6, 6),
    "none coupled": oracle.process(6, 1, groups=0),
}


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("levels", [(0.3, 2.0, 0.8), (torch.inf,) * 3, (1.0,)], ids=str)
def test_the_precision_of_modes_is_the_inverse_of_their_covariance(name, levels):
    process = PROCESSES[name]
    posterior = process.posterior(torch.tensor([levels])).double
    a = torch.randn(2, len(levels), len(process.variance), dtype=torch.float64)
    torch.testing.assert_close(posterior.covariance_of_modes(posterior.precision_of_modes(a)), a, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seen", SEEN)
def test_the_mean_is_dense_conditioning_of_every_member(seen, always):
    x = scenes.noisy()
    expected, _ = scenes.conditioned(x, SEEN[seen])
    found = Analytic(scenes.prior(), SEEN[seen], 1e-6, memory=0.0, shape=(2, 4))
    assert found._primal
    scenes.agree(found.mean(x, scenes.ABOVE, scenes.BELOW), expected)


def test_half_squares_are_those_of_the_dual_solver(always, monkeypatch):
    x, posterior = scenes.noisy(), scenes.PROCESS.posterior(scenes.ABOVE[None])
    found = Analytic(scenes.prior(), scenes.seen(), 1e-6, memory=0.0, shape=(2, 4)).half_squares(x, posterior)
    monkeypatch.setattr(analytic, "MANY", 1000)
    expected = Analytic(scenes.prior(), scenes.seen(), 1e-6).half_squares(x, posterior)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_members_with_operators_of_their_own_are_solved_together(always, monkeypatch):
    """And those that share theirs one by one, with the same result."""
    monkeypatch.setattr(primal, "AT_ONCE", 1)
    x, seen, generator = scenes.noisy(), scenes.seen(), torch.Generator().manual_seed(5)
    factor = 0.5 + torch.rand(scenes.MEMBERS, *seen.value.shape, generator=generator)
    own = replace(
        seen, weight=seen.weight * factor[..., None], value=seen.value * factor, error=seen.error * factor.square()
    )
    posterior = scenes.PROCESS.posterior(scenes.ABOVE[None])
    found = Analytic(scenes.prior(), own, 1e-6, memory=0.0, shape=(2, 4)).update(x, posterior)
    for member in range(scenes.MEMBERS):
        alone = replace(own, weight=own.weight[member], value=own.value[member], error=own.error[member])
        expected = Analytic(scenes.prior(), alone, 1e-6, memory=0.0, shape=(2, 4)).update(x[[member]], posterior)
        torch.testing.assert_close(found[[member]], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("error", [0.3, 0.1, 0.03])
def test_a_crowded_scene_has_the_dense_gain_within_twice_the_share_that_is_allowed(error, always):
    process, seen, prior, operator, gap = crowded(error)
    level = process.posterior(torch.full((1, len(seen.value)), torch.inf))
    found = Analytic(Unguided(process, closed_form), seen, 1e-2, 800, memory=0.0).gain(gap, level)
    whole = operator @ prior @ operator.T + error**2 * np.eye(len(operator))
    gain = np.linalg.solve(whole, operator @ prior).T
    deviation = np.sqrt(np.diag(prior - gain @ operator @ prior))
    off = (found.double().numpy().reshape(2, -1) - gap.double().numpy().reshape(2, -1) @ gain.T) / deviation
    assert np.sqrt((off**2).mean()) < 2 * primal.SHARE


def test_where_every_value_is_observed_alike_one_iteration_suffices(always):
    """The preconditioner is then the whole system."""
    process = scenes.PROCESS
    point = torch.arange(scenes.SIZE).expand(scenes.FRAMES, -1)[..., None]
    ones = torch.ones(scenes.FRAMES, scenes.SIZE)
    seen = replace(scenes.seen(), point=point, weight=ones[..., None], value=ones, error=0.5 * ones, present=ones)
    solver = Primal(MatrixFree(process, seen, (2, 4)))
    innovation = torch.randn(1, scenes.FRAMES, scenes.SIZE, generator=torch.Generator().manual_seed(0))
    _, worst = solver.increments(innovation, process.posterior(scenes.ABOVE[None]), 1e-3, 2)
    assert worst < 1


def test_a_solver_that_does_not_converge_says_so(always):
    process, seen, _, _, gap = crowded(0.01)
    level = process.posterior(torch.full((1, len(seen.value)), torch.inf))
    with pytest.raises(ArithmeticError, match="after at most 2 iterations"):
        Analytic(Unguided(process, closed_form), seen, 1e-4, 2, memory=0.0).gain(gap, level)


def test_on_a_globe_it_is_the_gain_of_the_dual_solver(always, monkeypatch):
    process, seen, level = globe()
    posterior, gap = process.posterior(level), seen.value.expand(2, -1, -1)
    make = lambda: Analytic(Unguided(process, closed_form), seen, 1e-6, memory=0.0, shape=(14, 12))
    found = make().gain(gap, posterior)
    monkeypatch.setattr(analytic, "MANY", 1000)
    torch.testing.assert_close(found, make().gain(gap, posterior), rtol=1e-3, atol=1e-4)


def test_a_member_that_is_not_finite_spoils_no_other_and_is_left_to_the_sampler(always):
    x = scenes.noisy()
    find = lambda members: Analytic(scenes.prior(), scenes.seen(), 1e-6, memory=0.0).update(
        members, scenes.PROCESS.posterior(scenes.ABOVE[None])
    )
    expected = find(x)
    x[1, 0, 0] = torch.nan
    found = find(x)
    torch.testing.assert_close(found[[0, 2]], expected[[0, 2]], rtol=1e-4, atol=1e-4)
    assert not found[1].isfinite().all()
