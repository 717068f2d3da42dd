"""Coverage of the confidence intervals, and the parts of their computation."""

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.signal import lfilter

from hindsight.scores import significance


def autoregression(rho, frames, trials, seed):
    """Series of unit variance with lag-1 correlation `rho`, (frames, trials)."""
    noise = np.random.default_rng(seed).standard_normal((frames + 300, trials))
    return np.sqrt(1 - rho**2) * lfilter([1], [1, -rho], noise, axis=0)[300:]


def coverage(series, truth, confidence=0.95, scale="linear"):
    lower, upper = significance.interval(significance.weighted_means(series), confidence, scale)
    return np.mean((lower <= truth) & (truth <= upper))


@pytest.mark.parametrize(
    "frames", [60, 120, 240, 480, *(pytest.param(n, marks=pytest.mark.slow) for n in (1460, 2920))]
)
def test_the_interval_of_a_mean_has_its_nominal_coverage(frames):
    """First-order autoregressions, from white noise to a memory of ten frames; the error of 600 trials is 0.009."""
    for rho in (0.0, 0.5, 0.9):
        series = autoregression(rho, frames, 600, seed=frames)
        assert 0.91 < coverage(series, 0.0) < 0.98, rho
        assert 0.85 < coverage(series, 0.0, 0.9) < 0.95, rho


def test_coverage_for_series_that_are_never_negative():
    """Mean squares of errors with a memory of ten frames, and their logarithm."""
    for frames, least in ((60, 0.88), (240, 0.91), (2920, 0.93)):
        squares = np.mean([autoregression(0.9, frames, 500, seed=frames + k) ** 2 for k in range(4)], 0)
        assert least < coverage(squares, 1.0, scale="log") < 0.98


def test_with_many_frames_coverage_does_not_need_red_noise():
    """White noise on top of a slow process; an oscillation of ten frames."""
    slow = autoregression(0.95, 2920, 500, 0) + autoregression(0.0, 2920, 500, 1)
    noise = np.random.default_rng(2).standard_normal((1500, 500))
    wave = lfilter([1], [1, -1.6, 0.95], noise, axis=0)[300:]
    assert 0.91 < coverage(slow, 0.0) < 0.98 and 0.91 < coverage(wave, 0.0) < 0.98


def test_with_many_frames_the_width_is_nearly_that_for_a_known_spectrum():
    for rho in (0.0, 0.9):
        series = autoregression(rho, 2920, 300, seed=4)
        lower, upper = significance.interval(significance.weighted_means(series), 0.95)
        expected = 2 * 1.96 * np.sqrt((1 + rho) / (1 - rho) / 2920)
        assert 1 < np.median(upper - lower) / expected < 1.2


def test_waves_change_a_mean_by_its_cosine_transform():
    series = np.random.default_rng(0).standard_normal(50)
    found = significance.weighted_means(series)
    assert np.isclose(found[0], series.mean())
    for j in (1, 5, 24):
        wave = np.sqrt(2) * np.cos(np.pi * j * (np.arange(50) + 0.5) / 50)
        assert np.isclose(found[j] - found[0], significance.STEP * np.mean(wave * series))
        assert np.isclose(found[significance.WAVES + j] - found[0], -significance.STEP * np.mean(wave * series))


def test_with_a_single_corner_the_half_width_is_that_of_students_t(monkeypatch):
    """Changes d_j as of red noise with one corner and S(0) / T of 1, which a period of finite length reduces."""
    j, k = np.arange(1, significance.WAVES + 1), 2.0
    monkeypatch.setattr(significance, "CORNERS", np.array([k]))
    monkeypatch.setattr(significance, "PRIOR", np.zeros(1))
    found = significance.half_width(1 / np.sqrt(1 + (j / k) ** 2), 0.95)
    lags = np.arange(-3999, 4000) / 4000  # as shares of the period; the memory is 1 / (pi k)
    memory = np.exp(-np.pi * k * np.abs(lags))
    reduction = ((1 - np.abs(lags)) * memory).mean() / (np.exp(-np.pi * k * np.abs(4 * lags)) * 4).mean()
    assert np.isclose(found, stats.t.ppf(0.975, significance.WAVES) * np.sqrt(reduction), rtol=1e-3)


def test_with_many_corners_the_half_width_is_a_quantile_of_their_mixture():
    changes = np.random.default_rng(0).standard_normal(significance.WAVES) / np.arange(1, significance.WAVES + 1)
    count, log_weight, sizes = significance.WAVES, [], []
    for corner, prior in zip(significance.CORNERS, significance.PRIOR):
        fall = 1 + (np.arange(1, count + 1) / corner) ** 2
        level = np.mean(changes**2 * fall)
        log_weight.append(prior + stats.norm.logpdf(changes, scale=np.sqrt(level / fall)).sum())
        sizes.append(np.sqrt(level * (1 - (1 - np.exp(-np.pi * corner)) / (np.pi * corner))))
    weight = np.exp(log_weight) / np.sum(np.exp(log_weight))
    beyond = lambda x: np.sum(weight * stats.t.sf(x / np.array(sizes), count)) - 0.025
    assert np.isclose(significance.half_width(changes, 0.95), optimize.brentq(beyond, 1e-6, 1e3), rtol=1e-5)


def test_means_ignore_nan():
    series = np.random.default_rng(0).standard_normal((80, 2, 3))
    series[:40, 0, 1] = np.nan
    series[::2, 1, 2] = np.nan
    series[:, 0, 0] = np.nan
    found = significance.weighted_means(series)
    np.testing.assert_allclose(found[:, 0, 1], significance.weighted_means(series[40:, 0, 1]))
    np.testing.assert_allclose(found[:, 1, 2], significance.weighted_means(series[1::2, 1, 2]))
    np.testing.assert_allclose(found[:, 1, 1], significance.weighted_means(series[:, 1, 1]))
    assert np.isnan(found[:, 0, 0]).all()


def test_too_few_frames_have_no_interval():
    few, enough = significance.LEAST_FRAMES - 1, significance.LEAST_FRAMES
    for frames, has_interval in ((1, False), (few, False), (enough, True)):
        scores = significance.weighted_means(np.random.default_rng(0).standard_normal(frames))
        assert np.isfinite(significance.interval(scores, 0.95)).all() == has_interval


def test_intervals_stay_on_their_scale_and_a_score_of_zero_is_not_transformed():
    small = 1 + 0.9 * autoregression(0.9, 60, 200, 3) / 3
    scores = significance.weighted_means(np.abs(small))
    lower, upper = significance.interval(scores, 0.95, "log")
    assert (lower > 0).all() and (lower < scores[0]).all() and (upper > scores[0]).all()
    correlations = np.tanh(autoregression(0.5, 60, 200, 3) + 2)
    lower, upper = significance.interval(significance.weighted_means(correlations), 0.95, "fisher")
    assert (lower > -1).all() and (upper < 1).all()
    perfect = significance.interval(np.zeros((1 + 2 * significance.WAVES, 1)), 0.95, "log")
    np.testing.assert_allclose(perfect, 0, atol=1e-100)


def test_the_central_range_leaves_equal_tails():
    low, high = significance.central_range(np.arange(1001.0), 0.9)
    np.testing.assert_allclose((low, high), (50, 950))
