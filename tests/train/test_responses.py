"""Responses of a prior to noisy windows of a period."""

import numpy as np
import pytest
import torch

from hindsight.backbones import taps
from hindsight.diffusion import denoiser
from hindsight.settings.train import Points
from hindsight.train import responses, validation
from tests.train import helpers

LEVELS = (0.1, 1.0)


def windows(frames, start, seed=0, segment=None):
    times = np.datetime64(start, "ns") + np.arange(frames) * np.timedelta64(1, "D")
    return helpers.of(times, helpers.two_states(frames, seed), segment=segment)


def busy(settings=helpers.SETTINGS):
    """A prior whose network does something."""
    prior = helpers.prior(settings).eval()
    for parameter in prior.network.parameters():
        if parameter.abs().max() == 0:
            torch.nn.init.normal_(parameter, std=0.2)
    return prior


def test_windows_are_spread_over_the_held_out_period_and_paired_by_season():
    training, held_out = windows(365 * 6, "2000-01-01T12"), windows(83, "2010-03-01T12")
    chosen, held = responses.choose(training, held_out, 20, seed=1)
    assert len(chosen) == len(held) == len(set(chosen)) == len(set(held)) == 20
    assert [n // 4 for n in held] == list(range(20))  # one of each four of 80 windows
    apart = np.array(chosen) % 365.25 - (np.array(held) + 31 + 29)  # days of the year
    assert np.abs(apart).max() < 11.5 and np.ptp(apart) > 10
    assert len({n // 365 for n in chosen}) >= 4  # of many years
    assert responses.choose(training, held_out, 20, seed=1) == (chosen, held)
    assert responses.choose(training, held_out, 20, seed=2) != (chosen, held)


def test_all_windows_are_taken_if_there_are_no_more():
    training, held_out = windows(8, "2000-01-01T12"), windows(30, "2001-06-01T12")
    chosen, held = responses.choose(training, held_out, 20, seed=1)
    assert sorted(chosen) == [0, 1, 2, 3, 4] and len(set(held)) == 5


@pytest.mark.parametrize("about", [{}, {"points": Points(share=0.5)}], ids=["fields", "points"])
def test_errors_are_those_of_the_prior_and_of_the_linear_prior(about):
    settings = helpers.SETTINGS.model_copy(update=about)
    prior, seen = busy(settings), windows(60, "2000-01-01T12")
    numbers = list(range(0, 57, 3))
    found = responses.measure(prior, seen, numbers, LEVELS, 3, 4)
    assert found.error.shape == found.linear_error.shape == (2, 19) and found.times.shape == (19, 4)
    clean, conditions = seen.take(numbers)
    for k, level in enumerate(LEVELS):
        white = torch.stack([responses._white(prior, found.times[n : n + 1], 3, k)[0] for n in range(19)])
        assert white.mean().abs() < 0.1 and white.std().item() == pytest.approx(1, abs=0.05)
        sigma = torch.full((19, 4), level)
        denoised = prior.denoise(clean + level * white, sigma, conditions)
        expected = (denoised - clean).square().mean((1, 2)).detach().numpy()
        np.testing.assert_allclose(found.error[k], expected, rtol=1e-4)
        linear = denoiser.denoise(prior.process, lambda inputs, *_: torch.zeros(()), clean + level * white, sigma)
        expected = (linear - clean).square().mean((1, 2)).numpy()
        np.testing.assert_allclose(found.linear_error[k], expected, rtol=1e-4)
        for pool, values in ((taps.largest, found.features), (taps.mean, found.means)):
            with taps.pooled(prior.network.taps, 4, pool) as pooled:
                prior.denoise(clean + level * white, sigma, conditions)
            for name, one in pooled.items():
                np.testing.assert_allclose(values[name][k], one.detach(), atol=1e-4)
    whites = [responses._white(prior, found.times, 3, k) for k in range(2)]
    assert torch.equal(whites[0][:-1, 3], whites[0][1:, 0])  # the same frame in two windows
    for one, other in (whites, (whites[0][:, 1:], whites[0][:, :-1])):  # levels, and frames
        assert (one * other).mean().abs() < 0.2
    np.testing.assert_allclose(found.skill, np.log(np.sqrt(found.linear_error) / np.sqrt(found.error)))


def test_responses_do_not_depend_on_windows_at_once_nor_on_other_windows():
    prior, seen, counts = busy(), windows(60, "2000-01-01T12"), []
    whole = responses.measure(prior, seen, list(range(10)), LEVELS, 3, 10, counts.append)
    parts = responses.measure(prior, seen, list(range(4, 10)), LEVELS, 3, 4, counts.append)
    assert counts == [10, 20, 4, 8, 10, 12]
    np.testing.assert_allclose(whole.error[:, 4:], parts.error, rtol=1e-5)
    for tap, features in whole.features.items():
        assert features.shape[:3] == (2, 10, 4)
        np.testing.assert_allclose(features[:, 4:], parts.features[tap], rtol=1e-4, atol=1e-6)


def test_an_untrained_prior_has_the_error_of_the_linear_prior():
    prior, seen = helpers.prior().eval(), windows(60, "2000-01-01T12")
    found = responses.measure(prior, seen, list(range(20)), validation.LEVELS, 3, 8)
    np.testing.assert_allclose(found.skill, 0, atol=1e-6)
