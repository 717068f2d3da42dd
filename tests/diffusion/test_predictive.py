"""How well members foresee observations, against dense conditioning of a trajectory and its noisy frames."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import predictive, selection
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.unguided import Unguided
from tests.diffusion.test_exact_smoother import closed_form, observe
from tests.oracles import linear_gaussian as oracle

FRAMES, SIZE, MEMBERS = 6, 12, 5
LEVELS = {
    "certain past": [0.001, 0.001, 0.001, 0.001, np.inf, np.inf],
    "a staircase": [0.001, 0.05, 0.4, 2.0, 2.0, np.inf],
    "all new but one": [0.3, np.inf, np.inf, np.inf, np.inf, np.inf],
}


def scene(levels, between=False):
    """Noisy members (E, T, D), their levels, and observations of every frame, or between every frame and the next."""
    process, seen = oracle.process(SIZE), observe([1, 4, 8])
    if between:
        offset = torch.zeros_like(seen.point)
        offset[:-1, 2, 1] = 1
        seen = type(seen)(**{**vars(seen), "offset": offset})
    generator = np.random.default_rng(7)
    noisy = torch.tensor(generator.standard_normal((MEMBERS, FRAMES, SIZE)), dtype=torch.float32)
    return process, seen, noisy, torch.tensor(levels, dtype=torch.float32)


def guided(process, seen, estimate=closed_form):
    return Analytic(Unguided(process, estimate, fixed_sigma=1e-3), seen, tolerance=1e-7)


def dense(process, seen, noisy, level):
    """-log p(y_2 | z, y_1) of each member up to a constant, by conditioning the trajectory on z, then on y_1."""
    old = np.isfinite(level.numpy())
    values = torch.eye(FRAMES * SIZE).view(-1, FRAMES, SIZE)
    operator = seen.forward(values).double().numpy().reshape(FRAMES * SIZE, -1).T  # one row an observation
    present = (seen.present > 0).numpy().ravel()
    needs_new = (np.abs(operator).reshape(len(operator), FRAMES, SIZE)[:, ~old] > 0).any((1, 2))
    error, value = seen.error.double().numpy().ravel(), seen.value.double().numpy().ravel()
    covariance = oracle.covariance(process, FRAMES)
    select = np.eye(FRAMES * SIZE)[np.repeat(old, SIZE)]
    sigma = np.repeat(level.double().numpy()[old], SIZE)
    before, after = present & ~needs_new, present & needs_new
    costs = []
    for member in noisy.double().numpy():
        given = np.concatenate([select, operator[before]]), np.concatenate([sigma, error[before]])
        said = np.concatenate([member[old].ravel(), value[before]])
        mean, left = oracle.condition(covariance, *given, said)
        innovation = value[after] - operator[after] @ mean
        system = operator[after] @ left @ operator[after].T + np.diag(error[after] ** 2)
        costs.append(0.5 * innovation @ np.linalg.solve(system, innovation))
    return np.array(costs)


@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize("case", LEVELS)
def test_weights_are_the_likelihood_of_new_observations_given_the_past_of_each_member(case, between):
    process, seen, noisy, level = scene(LEVELS[case], between)
    top = torch.full_like(level, 20.0)
    found = predictive.misfit(guided(process, seen), noisy, level, top, torch.randn_like(noisy)).sum((1, 2))
    expected = dense(process, seen, noisy, level)
    assert expected.std() > 0.03  # the weights differ
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=2e-3, atol=2e-3)


def test_the_mean_of_new_frames_is_the_linear_prior_s_and_what_the_network_adds_at_the_highest_level():
    process, seen, noisy, level = scene(LEVELS["a staircase"])
    top, white, given = torch.full_like(level, 20.0), torch.randn_like(noisy), []

    def estimate(fields, posterior, falling, points):
        given.append((fields, posterior.sigma[0], falling))
        return posterior.mean(fields) + 0.25

    prior = Unguided(process, estimate, fixed_sigma=1e-3)
    found = predictive.mean(prior, noisy, level, top, white)
    old = np.isfinite(level.numpy())
    select, sigma = np.eye(FRAMES * SIZE)[np.repeat(old, SIZE)], np.repeat(level.double().numpy()[old], SIZE)
    for member, mean in zip(noisy.double().numpy(), found.double().numpy()):
        expected = oracle.condition(oracle.covariance(process, FRAMES), select, sigma, member[old].ravel())[0]
        np.testing.assert_allclose(mean.ravel(), expected + 0.25, atol=2e-3)
    (fields, sigma, falling) = given[0]
    assert sigma[-1] == 20 and falling.all()
    assert torch.equal(fields[:, :-1], noisy[:, :-1])
    assert abs(float(fields[:, -1].std()) / 20 - 1) < 0.4  # noise, as in training


def test_finished_frames_are_taken_as_they_are():
    process, seen, noisy, level = scene([0.0, 0.0, 0.0, 0.0, 0.0, np.inf])
    prior = Unguided(
        process, lambda fields, posterior, falling, points: posterior.mean(fields) + falling[:, None] * 1.0
    )
    plain = Unguided(process, closed_form)
    top, white = torch.full_like(level, 20.0), torch.randn_like(noisy)
    more = predictive.mean(prior, noisy, level, top, white) - predictive.mean(plain, noisy, level, top, white)
    np.testing.assert_allclose(more[:, :-1], 0, atol=1e-6)
    np.testing.assert_allclose(more[:, -1], 1, atol=1e-5)


def test_without_covariance_the_predictions_count_as_certain():
    process, seen, noisy, level = scene(LEVELS["certain past"])
    guidance, top, white = guided(process, seen), torch.full_like(level, 20.0), torch.zeros_like(noisy)
    found = predictive.misfit(guidance, noisy, level, top, white, covariance=False)
    misfit = selection.misfit(predictive.mean(guidance.prior, noisy, level, top, white), seen)
    assert torch.equal(found[:, 4:], misfit[:, 4:]) and (found[:, :4] == 0).all() and (misfit[:, :3] > 0).any()


def test_a_new_frame_without_observations_leaves_the_weights_alone():
    process, seen, noisy, level = scene([0.001, 0.5, 0.5, np.inf, np.inf, np.inf])
    seen.present[3:] = 0
    found = predictive.misfit(guided(process, seen), noisy, level, torch.full_like(level, 20.0), noisy).sum((1, 2))
    np.testing.assert_allclose(found - found[0], 0, atol=1e-5)
