"""The block bootstrap."""

import numpy as np

from hindsight.scores import significance


def test_weights_are_shares_of_frames():
    weights = significance.block_weights(37, 5, 200, seed=0)
    assert weights.shape == (200, 37)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(weights.mean(0), 1 / 37, rtol=0.35)


def test_blocks_stay_together():
    weights = significance.block_weights(1000, 50, 20, seed=0) > 0
    runs = np.diff(np.concatenate([weights, weights[:, :1]], 1).astype(int), axis=1) != 0
    assert runs.sum(1).max() <= 2 * 20  # twenty blocks have at most forty edges


def test_the_interval_of_a_mean_covers_as_often_as_it_says():
    generator = np.random.default_rng(1)
    covered, trials, n, rho = 0, 300, 400, 0.7
    for trial in range(trials):
        noise = generator.standard_normal(n + 50)
        series = np.zeros(n + 50)
        for t in range(1, n + 50):
            series[t] = rho * series[t - 1] + noise[t]
        means = significance.block_weights(n, 20, 300, seed=trial) @ series[50:]
        low, high = significance.interval(means, 0.9)
        covered += low <= 0 <= high
    assert 0.82 < covered / trials < 0.95


def test_blocks_of_one_would_be_too_narrow_for_such_a_series():
    series = np.repeat(np.random.default_rng(2).standard_normal(50), 20)
    width = lambda block: np.ptp(significance.interval(significance.block_weights(1000, block, 500, 0) @ series, 0.9))
    assert width(20) > 2.5 * width(1)


def test_means_leave_out_what_is_unknown_or_not_chosen():
    series = np.array([[1.0, 5.0], [np.nan, 6.0], [3.0, 7.0], [4.0, np.nan]])
    weights = np.array([[0.25, 0.25, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0]])
    found = significance.resampled_means(weights, series)
    np.testing.assert_allclose(found, [[8 / 3, 6.0], [np.nan, 6.0]])
    some = significance.resampled_means(weights, series, np.array([True, False, True, False]))
    np.testing.assert_allclose(some, [[2.0, 6.0], [np.nan, np.nan]])
