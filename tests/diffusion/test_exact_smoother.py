"""Schedules, guidance and sampling against exact answers: Kalman filter, fixed-lag smoother, and Rauch-Tung-Striebel
smoother, mean and spread, within Monte-Carlo error."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import frame_random, noise, predictive, sampler, schedule, selection
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.diffusion.steps.covariance import Covariance
from hindsight.operators.linear import LinearObservations
from tests.oracles import linear_gaussian as oracle

FRAMES, SIZE, MEMBERS = 6, 12, 6000
NETWORKS = {"dense": range(SIZE), "sparse": [2, 7], "one": [5], "none": []}


def observe(places, seed=3):
    """The same places in every frame, but for frame 3, which is not observed; errors unequal."""
    generator = np.random.default_rng(seed)
    n = max(len(places), 1)
    present = torch.zeros(FRAMES, n)
    present[:, : len(places)] = 1
    present[3] = 0
    point = torch.zeros(FRAMES, n, 4, dtype=torch.long)
    weight = torch.zeros(FRAMES, n, 4)
    for k, place in enumerate(places):  # between two points, unevenly
        point[:, k] = torch.tensor([place, (place + 1) % SIZE, 0, 0])
        weight[:, k] = torch.tensor([0.75, 0.25, 0.0, 0.0])
    error = torch.tensor(generator.uniform(0.1, 0.6, n), dtype=torch.float32).expand(FRAMES, n)
    value = torch.tensor(generator.standard_normal((FRAMES, n)), dtype=torch.float32)
    return LinearObservations(point, weight, value, error, present)


def rows(seen):
    """The same observations for the oracle: operator, errors and values of each frame."""
    found = []
    for t in range(FRAMES):
        here = seen.present[t] > 0
        operator = np.zeros((int(here.sum()), SIZE))
        for k, (point, weight) in enumerate(zip(seen.point[t][here], seen.weight[t][here])):
            np.add.at(operator[k], point.numpy(), weight.numpy())
        found.append((operator, seen.error[t][here].numpy(), seen.value[t][here].numpy()))
    return zip(*found)


def closed_form(noisy, posterior, falling, points):
    """The ideal denoiser, in the place of a trained one."""
    return posterior.mean(noisy)


def white(members, size=SIZE):
    """White noise, faster than `frame_random`, which is tested elsewhere."""

    def noise(view, counts, purpose, size=size):
        key = hash((view.start, tuple(counts.tolist()), frame_random.PURPOSES.index(purpose)))
        generator = torch.Generator().manual_seed(key % 2**62)
        return torch.randn(members, len(counts), size, generator=generator)

    return noise


def sampled(process, cycles, denoiser, step=None, members=MEMBERS, frames=FRAMES, resample=None, **more):
    """The finished frames of a sample, (E, T, D)."""
    resample = resample or (lambda fields, level, cycle: fields)
    state = sampler.State(torch.zeros(members, frames, process.size), np.full(frames, np.inf))
    step_settings = sampler.StepSettings(step or Covariance(), **more)
    found, before = torch.empty_like(state.fields), 0
    for after in sampler.sample(cycles, state, denoiser, step_settings, white(members, process.size), resample):
        found[:, before : after.finished] = after.fields[:, before : after.finished]
        before = after.finished
    return found


def analytic(process, seen, fixed_sigma=1e-3):
    return lambda view: Analytic(Unguided(process, closed_form, fixed_sigma), seen.frames(view), tolerance=1e-6)


def ladder(count, largest=10.0):
    return noise.levels(count, 0.05, largest, 7.0)


def departures(sample, mean, covariance):
    """Departures of the mean in units of its sampling error, and the ratio of spreads."""
    sample, deviation = sample.double().numpy(), np.sqrt(np.array([np.diag(p) for p in covariance]))
    off = (sample.mean(0) - mean) / deviation * np.sqrt(len(sample))  # standard normal if right
    return off, sample.std(0, ddof=1) / deviation


def exact(sample, mean, covariance):
    off, ratio = departures(sample, mean, covariance)
    assert np.abs(off).max() < 4.5 and np.abs(off).std() < 1.5
    np.testing.assert_allclose(ratio, 1, atol=0.05)
    middle = np.cov(sample[:, 2].double().numpy().T)
    np.testing.assert_allclose(middle, covariance[2], atol=0.06 * np.abs(covariance[2]).max())


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.slow), 8])
def test_batch_is_the_rauch_tung_striebel_smoother_at_any_number_of_steps(network, count):
    process, seen = oracle.process(SIZE), observe(list(NETWORKS[network]))
    sample = sampled(process, schedule.batch(FRAMES, ladder(count)), analytic(process, seen))
    exact(sample, *oracle.smoother(process, *rows(seen)))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("lag", "count"), [(0, 1), (0, 4), (2, 2)])
def test_a_moving_window_is_the_kalman_filter_and_the_fixed_lag_smoother(network, lag, count):
    process, seen = oracle.process(SIZE), observe(list(NETWORKS[network]))
    cycles = schedule.moving_window(FRAMES, ladder(count), lag, context=FRAMES)
    sample = sampled(process, cycles, analytic(process, seen))
    exact(sample, *oracle.fixed_lag(process, *rows(seen), lag))


def test_a_nowcast_is_the_kalman_filter_however_low_the_first_noise_level():
    """Frames of an earlier cycle begin anew: with noise of this level on top, they would keep what they were."""
    process, seen = oracle.process(SIZE), observe(list(NETWORKS["sparse"]))
    cycles = schedule.moving_window(FRAMES, ladder(1, 0.3), 0, context=FRAMES)
    exact(sampled(process, cycles, analytic(process, seen)), *oracle.fixed_lag(process, *rows(seen), 0))


@pytest.mark.slow
def test_finished_frames_that_are_kept_fixed_are_not_the_kalman_filter():
    """With the published schedule a member's past is one draw, which later observations do not reweight."""
    process, seen = oracle.process(SIZE), observe([2, 7])
    mean, covariance = oracle.fixed_lag(process, *rows(seen), 0)
    fixed = sampled(process, schedule.staircase(FRAMES, ladder(8), 0, FRAMES), analytic(process, seen))
    moving = sampled(process, schedule.moving_window(FRAMES, ladder(8), 0, FRAMES), analytic(process, seen))
    error = lambda sample: np.abs(departures(sample, mean, covariance)[0][2:]).mean() / np.sqrt(MEMBERS)
    assert error(fixed) > 0.1 and error(moving) < 0.02
    first = departures(fixed, mean, covariance)[0][0]
    assert np.abs(first).max() < 4.5  # before there is a past it is the filter


def weighted(process, seen, effective=0.05):
    """Resampling by how well members foresee new observations."""

    def resample(fields, level, cycle):
        level, top = torch.tensor(level, dtype=torch.float32), torch.tensor(cycle.rows[0], dtype=torch.float32)
        guided = analytic(process, seen)(cycle.view)
        cost = predictive.misfit(guided, fields, level, top, torch.zeros_like(fields)).sum((1, 2))
        chosen = selection.resampled(selection.tempered(cost[:, None], effective * len(fields)), 0.5)
        return selection.take(fields, chosen[..., None])

    return resample


def nearly_exact(sample, mean, covariance, atol=0.05):
    """Mean and spread within some posterior standard deviations; a resampled ensemble has fewer effective members."""
    off, ratio = departures(sample, mean, covariance)
    assert np.abs(off).mean() / np.sqrt(len(sample)) < atol and np.abs(off).max() / np.sqrt(len(sample)) < 4 * atol
    np.testing.assert_allclose(ratio, 1, atol=2 * atol)
    assert abs(ratio.mean() - 1) < atol / 2


@pytest.mark.parametrize("network", ["sparse", pytest.param("one", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("lag", "count"), [(0, 1), (0, 4), (2, 6)])
def test_a_particle_filter_is_the_kalman_filter_and_the_fixed_lag_smoother(network, lag, count):
    """The same schedule without weights is not (above); with them the mean and the spread are right."""
    process, seen = oracle.process(SIZE), observe(list(NETWORKS[network]))
    cycles = schedule.staircase(FRAMES, ladder(count), lag, FRAMES, "before")
    exact_answer = oracle.fixed_lag(process, *rows(seen), lag)
    found = sampled(process, cycles, analytic(process, seen), resample=weighted(process, seen))
    nearly_exact(found, *exact_answer)
    error = lambda sample: np.abs(departures(sample, *exact_answer)[0][2:]).mean()
    assert error(sampled(process, cycles, analytic(process, seen))) > 2 * error(found)


@pytest.mark.parametrize("carried", [0.1, 0.5, 2.0])
def test_a_sliding_window_is_the_fixed_lag_smoother_at_any_level_of_the_frames_it_carries(carried):
    process, seen = oracle.process(SIZE), observe([2, 7])
    cycles = schedule.moving_window(FRAMES, ladder(2), 1, FRAMES, 1, carried, "before")
    sample = sampled(process, cycles, analytic(process, seen), resample=weighted(process, seen))
    nearly_exact(sample, *oracle.fixed_lag(process, *rows(seen), 1))


def test_the_two_oracles_agree():
    process, seen = oracle.process(SIZE), observe([2, 7])
    mean, covariance = oracle.smoother(process, *rows(seen))
    operators, errors, values = rows(seen)
    whole = oracle.stacked(operators)
    dense_mean, dense = oracle.condition(
        oracle.covariance(process, FRAMES), whole, np.concatenate(errors), np.concatenate(values)
    )
    np.testing.assert_allclose(mean.ravel(), dense_mean, atol=1e-9)
    np.testing.assert_allclose(covariance[2], dense[2 * SIZE : 3 * SIZE, 2 * SIZE : 3 * SIZE], atol=1e-9)
