"""The guidance with the analytic covariance; test_exact_smoother.py tests that its samples are exact."""

import dataclasses

import numpy as np
import pytest
import torch

from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.diffusion.modes import Empirical
from hindsight.operators.linear import LinearObservations
from tests.diffusion.guidance import scenes
from tests.diffusion.test_exact_smoother import FRAMES, SIZE, closed_form, observe, rows
from tests.oracles import linear_gaussian as oracle


def guidance(seen, **more):
    return Analytic(scenes.prior(), seen, tolerance=1e-6, **more)


def test_the_update_is_the_dense_gain_for_unequal_levels_of_noise():
    process, seen = oracle.process(SIZE), observe([2, 7])
    sigma = torch.tensor([[0.3, 5.0, 1.0, 0.1, 40.0, 2.0]])
    analytic = Analytic(Unguided(process, closed_form), seen, tolerance=1e-6)
    found = analytic.update(torch.zeros(1, FRAMES, SIZE), process.posterior(sigma))
    prior = oracle.covariance(process, FRAMES)
    noisy = np.diag(np.repeat(sigma[0].double().numpy() ** 2, SIZE))
    posterior = prior - prior @ np.linalg.inv(prior + noisy) @ prior
    operators, errors, values = rows(seen)
    whole = oracle.stacked(operators)
    mean, _ = oracle.condition(posterior, whole, np.concatenate(errors), np.concatenate(values))
    np.testing.assert_allclose(found.numpy().ravel(), mean, atol=1e-4)


@pytest.mark.parametrize("seen", [scenes.seen(), scenes.between()], ids=["of a frame", "between frames"])
def test_the_mean_is_dense_conditioning_of_every_member(seen):
    x = scenes.noisy()
    expected, _ = scenes.conditioned(x, seen)
    scenes.agree(guidance(seen).mean(x, scenes.ABOVE, scenes.BELOW), expected)


@pytest.mark.parametrize("seen", [scenes.seen(), scenes.between()], ids=["of a frame", "between frames"])
def test_draws_have_the_mean_and_the_covariance_of_dense_conditioning(seen):
    generator = torch.Generator().manual_seed(0)
    x = scenes.noisy()[:1].expand(20000, -1, -1)
    white = lambda purpose, size=scenes.SIZE: torch.randn(20000, scenes.FRAMES, size, generator=generator)
    found = guidance(seen).draw(x, scenes.ABOVE, scenes.BELOW, white).flatten(1).double().numpy()
    (mean,), spread = scenes.conditioned(x[:1], seen)
    deviation = np.sqrt(np.diag(spread))
    assert np.abs((found.mean(0) - mean) / deviation).max() < 4.5 / np.sqrt(20000)
    np.testing.assert_allclose(
        np.cov(found.T) / np.outer(deviation, deviation), spread / np.outer(deviation, deviation), atol=0.04
    )


def test_a_start_is_a_draw_given_the_frames_with_a_finite_level():
    """Levels may be infinite; without white noise it is the mean."""
    seen, level = scenes.seen(), torch.tensor([0.001, torch.inf, 0.5, torch.inf, torch.inf])
    x = torch.where(level.isfinite()[:, None], scenes.noisy(), 0.0)
    still = lambda purpose, size=scenes.SIZE: torch.zeros(scenes.MEMBERS, scenes.FRAMES, size)
    expected, _ = scenes.conditioned(x, seen, level.clamp(max=1e6))
    scenes.agree(guidance(seen).start(x, level, still), expected, 2e-3)


def test_cached_operators_are_the_same_as_new_ones():
    """The cache distinguishes places, errors and padding."""
    x, seen, cache = scenes.noisy(), scenes.seen(), {}
    other = dataclasses.replace(seen, error=seen.error * 2)
    moved = dataclasses.replace(seen, point=(seen.point + 1) % scenes.SIZE)
    for each in (seen, other, moved, seen):
        found = guidance(each, cache=cache).mean(x, scenes.ABOVE, scenes.BELOW)
        assert torch.equal(found, guidance(each).mean(x, scenes.ABOVE, scenes.BELOW))
    assert len(cache) == 5 + 4 + 5  # other errors are other systems, but for the frame that sees nothing


def test_without_observations_nothing_moves():
    process, x = oracle.process(SIZE), torch.randn(2, FRAMES, SIZE)
    guidance = Analytic(Unguided(process, closed_form), observe([]))
    assert torch.equal(guidance.update(x, process.posterior(torch.ones(1, FRAMES))), x)


def test_a_solver_that_cannot_reach_its_tolerance_says_so():
    process, seen = oracle.process(SIZE), observe(range(SIZE))
    with pytest.raises(ArithmeticError, match="residual"):
        guidance = Analytic(Unguided(process, closed_form), seen, tolerance=1e-12, iterations=2, memory=0.0)
        guidance.update(torch.zeros(1, FRAMES, SIZE), process.posterior(torch.full((1, FRAMES), torch.inf)))


def test_a_solution_that_is_not_finite_is_never_taken_for_one():
    seen, level = scenes.seen(), scenes.PROCESS.posterior(scenes.ABOVE[None])
    guide = guidance(seen)
    guide.system.preconditioner = lambda posterior: lambda values: values * torch.nan
    with pytest.raises(ArithmeticError, match="residual inf"):
        guide.gain(torch.ones(1, *seen.value.shape), level)


def test_a_member_that_is_not_finite_does_not_stop_the_others():
    """The sampler refuses it."""
    x = scenes.noisy()
    x[1, 2, 3] = torch.nan
    found = guidance(scenes.seen()).mean(x, scenes.ABOVE, scenes.BELOW)
    expected, _ = scenes.conditioned(x[[0, 2]], scenes.seen())
    scenes.agree(found[[0, 2]], expected)
    assert found[1].isnan().any()


def crowded(error, frames=8, count=120, size=60):
    """A smooth field with long memories, observed at twice as many places as it has values, and gaps of two members."""
    generator = torch.Generator().manual_seed(0)
    place, turn = np.arange(size), torch.linalg.qr(torch.randn(2, 20, 20, generator=generator))[0]
    variance, functions = np.linalg.eigh(np.exp(-0.5 * ((place[:, None] - place) / 6) ** 2))
    tensor = lambda x: torch.tensor(x.copy(), dtype=torch.float32)
    process = GaussMarkov(
        Empirical(tensor(functions[:, ::-1])),
        tensor(np.maximum(variance[::-1], 1e-5)),
        (turn[0] * torch.linspace(0.995, 0.2, 20) @ turn[1].mT)[None],
        torch.linspace(0.9, 0.1, 40),
    )
    west, left = np.divmod(np.random.default_rng(0).uniform(0, size - 1.001, (frames, count)), 1)
    point, weight = np.stack([west, west + 1], -1).astype(int), np.stack([1 - left, left], -1)
    shape = torch.ones(frames, count)
    seen = LinearObservations(torch.tensor(point), tensor(weight), 0 * shape, error * shape, shape)
    prior = oracle.covariance(process, frames)
    operator = oracle.stacked(seen.rows(t, size).double().numpy() for t in range(frames))
    root = np.linalg.cholesky(prior + 1e-9 * np.eye(len(prior)))
    draw = np.random.default_rng(1).standard_normal
    gap = operator @ root @ draw((len(root), 2)) + error * draw((len(operator), 2))
    return process, seen, prior, operator, tensor(gap.T.reshape(2, frames, count))


@pytest.mark.parametrize(
    ("error", "tolerance"), [(0.1, 1e-3), (0.01, 1e-4), (0.003, 1e-4), (0.001, 1e-4), (0.001, 0.1)]
)
def test_observations_that_are_nearly_exact_are_used_as_the_dense_gain_would(error, tolerance):
    """At infinite noise, where the system is worst conditioned: the increments in posterior standard deviations."""
    process, seen, prior, operator, gap = crowded(error)
    guidance = Analytic(Unguided(process, closed_form), seen, tolerance=tolerance, iterations=400)
    found = guidance.gain(gap, process.posterior(torch.full((1, len(seen.value)), torch.inf)))
    whole = operator @ prior @ operator.T + error**2 * np.eye(len(operator))
    gain = np.linalg.solve(whole, operator @ prior).T
    deviation = np.sqrt(np.diag(prior - gain @ operator @ prior))
    off = (found.double().numpy().reshape(2, -1) - gap.double().numpy().reshape(2, -1) @ gain.T) / deviation
    assert np.sqrt((off**2).mean()) < 0.06 and np.abs(off).max() < 0.3


def test_the_residual_at_the_end_is_the_true_one():
    """Computed densely in double precision from the solution; the recurrence must not drift from it."""
    process, seen, prior, operator, gap = crowded(0.01)
    guidance = Analytic(Unguided(process, closed_form), seen, tolerance=1e-4, iterations=400)
    solved, _ = guidance._solve(gap, process.posterior(torch.full((1, len(seen.value)), torch.inf)))
    whole = operator @ prior @ operator.T + 1e-4 * np.eye(len(operator))
    right = gap.double().numpy().reshape(2, -1)
    left = right - solved.double().numpy().reshape(2, -1) @ whole
    assert (np.linalg.norm(left, axis=1) < 1.1e-4 * np.linalg.norm(right, axis=1)).all()


def test_errors_too_small_for_double_precision_raise_an_error():
    process, seen, _, _, gap = crowded(1e-9)
    with pytest.raises(ArithmeticError, match="cannot distinguish observations with errors as small as 1.0e-09"):
        Analytic(Unguided(process, closed_form), seen).gain(gap, process.posterior(torch.full((1, 8), torch.inf)))
