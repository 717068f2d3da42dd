"""The linear prior against dense linear algebra."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import gauss_markov
from hindsight.diffusion.gauss_markov import GaussMarkov, Posterior, ideal
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.diffusion.modes import Empirical
from hindsight.operators.linear import LinearObservations
from tests.diffusion.test_exact_smoother import closed_form
from tests.diffusion.test_modes import waves
from tests.oracles import linear_gaussian as oracle

FRAMES = 5


def round_the_globe():
    """Waves as modes, in two coupled groups of ten and five others; null coefficients without coupling."""
    modes = waves(7)
    borrowed = oracle.process(len(modes.place), coupled=10, groups=2)
    used = (modes.place >= 0)[:20].view(2, 10)
    assert not used.all()
    return GaussMarkov(
        modes, borrowed.variance, borrowed.coupling * used[:, None] * used[..., None], borrowed.persistence
    )


PROCESSES = {
    "all modes": oracle.process,
    "fewer modes than values": lambda: oracle.process(modes=9),
    "three groups": lambda: oracle.process(coupled=3, groups=3),
    "groups and nothing else": lambda: oracle.process(coupled=4, groups=3),
    "no coupling": lambda: oracle.process(coupled=0),
    "waves": round_the_globe,
}


@pytest.fixture(params=PROCESSES)
def process(request):
    return PROCESSES[request.param]()


@pytest.fixture
def sigma():
    return torch.tensor([[0.3, 2.0, 0.05, 40.0, 0.7], [1.0] * FRAMES])


def dense_posterior(process, levels):
    prior = oracle.covariance(process, FRAMES)
    noise = np.diag(np.repeat(levels.double().numpy() ** 2, process.size))
    return prior @ np.linalg.inv(prior + noise), prior - prior @ np.linalg.inv(prior + noise) @ prior


@pytest.mark.parametrize("mean_of", [lambda *given: Posterior(*given[::2]).mean(given[1]), ideal], ids=["kept", "once"])
def test_mean_is_the_ideal_denoiser_for_any_level_of_each_frame(process, sigma, mean_of):
    noisy = torch.randn(2, FRAMES, process.size, generator=torch.Generator().manual_seed(0))
    mean = mean_of(process, noisy, sigma)
    for levels, x, found in zip(sigma, noisy, mean):
        expected = dense_posterior(process, levels)[0] @ x.double().numpy().ravel()
        np.testing.assert_allclose(found.numpy().ravel(), expected, atol=2e-5)


def test_covariance_is_the_posterior_covariance(process, sigma):
    posterior = Posterior(process, sigma[:1])
    units = torch.eye(FRAMES * process.size).view(-1, FRAMES, process.size)
    found = posterior.covariance(units).flatten(1).numpy()
    np.testing.assert_allclose(found, dense_posterior(process, sigma[0])[1], atol=2e-5)


def test_draws_have_the_posterior_covariance(process, sigma):
    posterior = Posterior(process, sigma[:1])
    root = posterior.draw(torch.eye(FRAMES * process.size).view(-1, FRAMES, process.size)).flatten(1).numpy()
    np.testing.assert_allclose(root.T @ root, dense_posterior(process, sigma[0])[1], atol=2e-5)


def test_infinite_noise_leaves_the_prior(process):
    posterior = Posterior(process, torch.full((1, FRAMES), torch.inf))
    units = torch.eye(FRAMES * process.size).view(-1, FRAMES, process.size)
    np.testing.assert_allclose(posterior.covariance(units).flatten(1), oracle.covariance(process, FRAMES), atol=2e-5)
    assert posterior.mean(units).abs().max() == 0


def test_a_level_of_zero_is_refused(process):
    with pytest.raises(ValueError, match="above zero"):
        Posterior(process, torch.zeros(1, FRAMES))


def test_members_may_share_a_factor_or_each_have_their_own(process):
    """Many members with one row of levels, and the same members with a row each."""
    levels = torch.tensor([[0.3, 2.0, 0.05, 40.0, 0.7]])
    x = torch.randn(4, FRAMES, process.size, generator=torch.Generator().manual_seed(0))
    shared, own = Posterior(process, levels), Posterior(process, levels.expand(4, -1))
    for way in (Posterior.mean, Posterior.covariance, Posterior.draw):
        torch.testing.assert_close(way(shared, x), way(own, x), atol=2e-5, rtol=0)
    for member in range(4):
        torch.testing.assert_close(shared.mean(x)[member], shared.mean(x[member][None])[0], atol=2e-5, rtol=0)


def test_a_process_comes_back_from_its_tensors(process, sigma):
    assert {"variance", "coupling", "memory"} <= set(process.tensors())  # the names in saved priors
    again = GaussMarkov.from_tensors(process.tensors())
    assert again.size == process.size and again.coupled == process.coupled
    assert all(torch.equal(value, again.tensors()[name]) for name, value in process.tensors().items())
    x = torch.randn(2, FRAMES, process.size, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.posterior(sigma).mean(x), process.posterior(sigma).mean(x))
    assert torch.equal(process.to(torch.device("cpu")).posterior(sigma).mean(x), process.posterior(sigma).mean(x))


def test_groups_of_modes_are_independent():
    """Observations of one group's modes leave the others unchanged."""
    process = oracle.process(coupled=4, groups=3)
    seen = torch.zeros(1, FRAMES, 12)
    seen[0, 2, 5] = 1.0  # a mode of the second group
    found = process.modes.project(Posterior(process, torch.ones(1, FRAMES)).mean(process.modes.expand(seen)))
    assert found[0, :, [0, 1, 2, 3, 8, 9, 10, 11]].abs().max() < 1e-6
    assert (found[0, :, 4:8].abs().sum(-1) > 1e-3).all()


def networks(size):
    """Three places in each frame, two sets alternating; one frame has a single place, one has other errors."""
    generator = torch.Generator().manual_seed(5)
    point, weight = torch.randint(0, size, (2, 3, 4), generator=generator), torch.rand(2, 3, 4, generator=generator)
    turn, present = [0, 1, 0, 1, 0], torch.ones(FRAMES, 3)
    present[3, 1:] = 0
    error = (0.2 + torch.rand(2, 3, generator=generator))[turn]
    error[4] *= 3
    return LinearObservations(point[turn], weight[turn], torch.randn(FRAMES, 3, generator=generator), error, present)


def conditioned(process, seen, levels):
    """The mean given the observations of `networks`, by dense conditioning of the posterior at these levels."""
    rows = [seen.rows(t, process.size).numpy()[seen.present[t].numpy() > 0] for t in range(FRAMES)]
    error, value = (x[seen.present > 0].double().numpy() for x in (seen.error, seen.value))
    return oracle.condition(dense_posterior(process, levels)[1], oracle.stacked(rows), error, value)[0]


def test_frames_observed_at_other_places_are_guided_by_the_dense_gain(process, sigma):
    """Frames that share places share a block of the preconditioner, but only at the same level of noise."""
    seen = networks(process.size)
    for levels in (sigma[0], sigma[1]):
        posterior = process.posterior(levels[None])
        found = Analytic(Unguided(process, closed_form), seen, tolerance=1e-6).update(
            torch.zeros(2, FRAMES, process.size), posterior
        )
        expected = conditioned(process, seen, levels)
        np.testing.assert_allclose(found[0].numpy().ravel(), expected, atol=1e-4 * max(1, np.abs(expected).max()))
        torch.testing.assert_close(found[0], found[1])


def test_without_memory_the_solver_needs_one_iteration():
    """The system is then block diagonal and equal to its preconditioner."""
    process = oracle.process(groups=2)
    process = GaussMarkov(process.modes, process.variance, process.coupling * 0, process.persistence * 0)
    seen, levels = networks(process.size), torch.tensor([0.3, 2.0, 5.0, 40.0, 0.3])
    guidance = Analytic(Unguided(process, closed_form), seen, tolerance=1e-5, iterations=1)
    found = guidance.update(torch.zeros(1, FRAMES, process.size), process.posterior(levels[None]))
    np.testing.assert_allclose(found.numpy().ravel(), conditioned(process, seen, levels), atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 8])
def test_in_float32_the_mean_loses_nothing_at_the_levels_of_training(frames):
    """Modes from 500 to 1e-6 of variance, memories up to the longest allowed, levels from 0.02 to 40."""
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(2, 20, 20, generator=generator))[0]
    memory = torch.linspace(0.995, 0.2, 20)
    modes = Empirical(torch.linalg.qr(torch.randn(60, 60, generator=generator))[0])
    rest = torch.linspace(0.9, -0.2, 20)
    process = GaussMarkov(modes, torch.logspace(2.7, -6, 60), turn * memory @ turn.mT, rest)
    sigma = torch.exp(torch.empty(64, frames).uniform_(-3.9, 3.7, generator=generator))
    clean = process.posterior(torch.full((1, frames), torch.inf)).draw(torch.randn(64, frames, 60, generator=generator))
    noisy = clean + sigma[..., None] * torch.randn(clean.shape, generator=generator)
    apart = (ideal(process, noisy, sigma) - Posterior(process, sigma).mean(noisy)).abs()
    assert (apart / sigma[..., None].clamp(max=1)).max() < 1e-3 and apart.square().mean().sqrt() < 1e-5


def test_large_members_are_worked_on_one_by_one_with_the_same_result(process, sigma, monkeypatch):
    posterior = process.posterior(sigma[:1])
    members = torch.randn(3, sigma.shape[1], process.size, generator=torch.Generator().manual_seed(6))
    functions = posterior.mean, posterior.covariance, posterior.draw
    together = [function(members) for function in functions]
    monkeypatch.setattr(gauss_markov, "AT_ONCE", members[:1].numel())
    for function, expected in zip(functions, together):
        torch.testing.assert_close(function(members), expected, rtol=1e-5, atol=1e-5)
