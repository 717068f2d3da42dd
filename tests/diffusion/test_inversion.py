"""Inversion against the exact solution for a Gaussian prior, and as the reverse of deterministic sampling."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import inversion, noise, sampler, schedule
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.diffusion.steps.ddim import Ddim
from tests.diffusion.test_exact_smoother import closed_form, white
from tests.oracles import linear_gaussian as oracle

FRAMES, SIZE, MEMBERS, LOW, HIGH = 5, 8, 3, 0.05, 4.0


def denoiser(process):
    return Unguided(process, closed_form, 1e-3)


def fields(frames=FRAMES):
    return torch.tensor(np.random.default_rng(1).standard_normal((MEMBERS, frames, SIZE)), dtype=torch.float32)


def exact(process, x, low, high):
    """The part along an eigenvector of the covariance grows by sqrt((variance + high^2) / (variance + low^2))."""
    value, vector = np.linalg.eigh(oracle.covariance(process, x.shape[1]))
    parts = x.double().flatten(1).numpy() @ vector
    return (parts * np.sqrt((value + high**2) / (value + low**2)) @ vector.T).reshape(x.shape)


def test_the_error_for_a_gaussian_prior_halves_with_the_step():
    process, x = oracle.process(SIZE), fields()
    everywhere, target = torch.ones(FRAMES, dtype=torch.bool), torch.full((FRAMES,), HIGH)
    error = []
    for steps in (20, 40, 80):
        found = inversion.inverted(x, everywhere, LOW, target, steps, denoiser(process))
        error.append(np.abs(found.numpy() - exact(process, x, LOW, HIGH)).max())
    assert error[0] < 0.7
    np.testing.assert_allclose(np.divide(error[1:], error[:-1]), 0.5, atol=0.05)


def test_deterministic_sampling_without_observations_leads_back():
    process, x, count = oracle.process(SIZE), fields(), 200
    everywhere, target = torch.ones(FRAMES, dtype=torch.bool), torch.full((FRAMES,), HIGH)
    noisy = inversion.inverted(x, everywhere, LOW, target, count, denoiser(process))
    assert (noisy - x).abs().max() > 1
    for above, below in zip(*(np.geomspace(HIGH, LOW, count + 1)[k:] for k in (0, 1))):
        levels = (torch.full((FRAMES,), level, dtype=torch.float32) for level in (above, below))
        noisy = Ddim(0.0)(noisy, *levels, denoiser(process), None)
    assert (noisy - x).abs().max() < 0.03


def test_frames_that_are_not_clean_stay_as_they_are():
    process, x = oracle.process(SIZE), fields()
    clean = torch.tensor([True, True, False, True, False])
    found = inversion.inverted(x, clean, LOW, torch.tensor([1.0, 2.0, 4.0, 3.0, 4.0]), 8, denoiser(process))
    assert torch.equal(found[:, ~clean], x[:, ~clean]) and (found[:, clean] != x[:, clean]).any(2).all()


def test_two_levels_are_of_the_oldest_and_the_newest_frame_carried_over():
    found = schedule.carried_levels((1.5, 9.0), 3)  # 1 / (1 + level) is 0.4, 0.25, 0.1
    np.testing.assert_allclose(found, [1.5, 3.0, 9.0])
    cycles = schedule.moving_window(6, noise.levels(4, LOW, 10.0, 7.0), 0, 4, 1, (1.5, 9.0), inversion=5)
    np.testing.assert_allclose(cycles[3].rows[0], [1.5, 3.0, 9.0, 10.0])
    assert [cycle.inversion for cycle in cycles] == [0, 5, 5, 5, 5, 5]


@pytest.mark.parametrize("steps", [0, 30])
def test_without_observations_a_window_that_moves_keeps_the_frames_that_it_inverts(steps):
    """By noise, frames that are sampled again become others; by inversion they come back."""
    process, count = oracle.process(SIZE), 60
    cycles = schedule.moving_window(4, noise.levels(count, LOW, 10.0, 7.0), 1, 4, 1, 2.0, inversion=steps)
    state, settings = sampler.State(torch.zeros(MEMBERS, 4, SIZE), np.full(4, np.inf)), sampler.StepSettings(Ddim(0.0))
    free = lambda view: denoiser(process)
    found = [
        now.fields[:, :2].clone()
        for now in sampler.sample(cycles, state, free, settings, white(MEMBERS, SIZE), unguided=free)
    ]
    change = float((found[-1] - found[0]).abs().mean())
    assert change < 0.15 if steps else change > 0.3


def test_without_a_denoiser_for_it_an_inversion_is_refused():
    """By noise instead, the analysis would be another one without a word."""
    process = oracle.process(SIZE)
    cycles = schedule.moving_window(3, noise.levels(2, LOW, 10.0, 7.0), 0, 3, 1, 2.0, inversion=1)
    state, free = sampler.State(torch.zeros(MEMBERS, 3, SIZE), np.full(3, np.inf)), lambda view: denoiser(process)
    with pytest.raises(ValueError, match="needs a denoiser without observations"):
        list(sampler.sample(cycles, state, free, sampler.StepSettings(Ddim(0.0)), white(MEMBERS, SIZE)))
