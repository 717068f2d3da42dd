"""Scores against brute force and closed forms."""

import numpy as np
import pytest
from scipy import stats

from hindsight.scores import ensemble

generator = np.random.default_rng(0)


def run(analysis, truth, climatology=None, weights=None):
    """Statistics of (E, P) members and a (P,) truth, and the scores of their mean."""
    shape = (1, 1, truth.size)
    found = ensemble.statistics(
        analysis.reshape(len(analysis), *shape),
        truth.reshape(shape),
        np.zeros(shape) if climatology is None else climatology.reshape(shape),
        np.ones(truth.size) if weights is None else weights,
    )
    return {k: float(v[0, 0]) for k, v in ensemble.scores(found).items()}


@pytest.mark.parametrize("members", [2, 3, 16])
def test_crps_is_the_fair_one_by_brute_force(members):
    x, y = generator.standard_normal((members, 50)), generator.standard_normal(50)
    pairs = np.abs(x[:, None] - x[None]).sum((0, 1)) / (members * (members - 1))
    assert np.isclose(run(x, y)["crps"], (np.abs(x - y).mean(0) - pairs / 2).mean())


def test_crps_of_many_gaussian_members_is_the_formula():
    y = np.linspace(-3, 3, 41)
    x = generator.normal(0.5, 1.3, (4000, 41))
    z = (y - 0.5) / 1.3
    exact = 1.3 * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert np.isclose(run(x, y)["crps"], exact.mean(), rtol=0.01)


def test_fair_crps_does_not_reward_more_members():
    y = generator.standard_normal(200000)
    few, many = (run(generator.standard_normal((m, y.size)), y)["crps"] for m in (2, 20))
    assert np.isclose(few, many, rtol=0.02)


def test_an_exchangeable_truth_gives_spread_skill_of_one_and_flat_ranks():
    x, y = generator.standard_normal((8, 200000)), generator.standard_normal(200000)
    assert np.isclose(run(x, y)["spread_skill"], 1, atol=0.01)
    ranks = ensemble.rank_histogram(x[:, None, None], y[None, None], np.ones(y.size), no_tie)[0, 0]
    np.testing.assert_allclose(ranks, 1 / 9, atol=0.003)
    assert np.isclose(ranks.sum(), 1)


def no_tie():
    raise AssertionError("there is no tie")


def test_a_truth_that_equals_members_is_as_likely_above_as_below_each_of_them():
    """Rain in a third of members and truths, exactly 0 elsewhere: exchangeable, so the histogram is flat."""
    rain = lambda *size: np.where(generator.random(size) < 1 / 3, generator.random(size), 0.0)
    x, y = rain(6, 1, 1, 100000), rain(1, 1, 100000)
    draw_uniform = lambda: np.random.default_rng(5).random(y.shape)
    found = ensemble.rank_histogram(x, y, np.ones(100000), draw_uniform)[0, 0]
    np.testing.assert_allclose(found, 1 / 7, atol=0.005)
    lowest = ensemble.rank_histogram(x, y, np.ones(100000), lambda: np.zeros(y.shape))[0, 0]
    assert lowest[0] > 0.6  # as it would be without


def test_weights_count():
    x, y = np.array([[1.0, 10.0], [3.0, 10.0]]), np.array([0.0, 0.0])
    assert np.isclose(run(x, y, weights=np.array([1.0, 0.0]))["rmse"], 2)
    assert np.isclose(run(x, y, weights=np.array([1.0, 3.0]))["rmse"], np.sqrt((4 + 3 * 100) / 4))


def test_anomaly_correlation_is_of_departures_from_the_climatology():
    climatology, anomaly = 100 + generator.standard_normal(500), generator.standard_normal(500)
    x = np.stack([climatology + 2 * anomaly] * 2)
    assert np.isclose(run(x, climatology + anomaly, climatology)["acc"], 1)
    assert np.isclose(run(x, climatology - anomaly, climatology)["acc"], -1)


def test_both_anomaly_correlations_by_loops_over_times():
    """Of each time, then the mean; of sums over all times, in which a stormy time counts for more."""
    size = np.array([1.0, 1, 10])[:, None, None]
    truth = size * generator.standard_normal((3, 1, 400))
    members = truth + np.array([0.5, 2.0, 30.0])[:, None, None] * generator.standard_normal((2, 3, 1, 400))
    weights, mean = generator.random(400), members.mean(0)
    found = ensemble.statistics(members, truth, np.zeros(truth.shape), weights)
    scores = ensemble.scores({name: value.mean(0) for name, value in found.items()})
    sums = lambda a, b: [(weights * a[t, 0] * b[t, 0]).sum() for t in range(3)]
    product, ours, theirs = sums(mean, truth), sums(mean, mean), sums(truth, truth)
    each = [p / np.sqrt(a * b) for p, a, b in zip(product, ours, theirs)]
    assert np.isclose(scores["acc"][0], np.mean(each))
    assert np.isclose(scores["acc_pooled"][0], sum(product) / np.sqrt(sum(ours) * sum(theirs)))
    assert scores["acc"][0] > scores["acc_pooled"][0] + 0.1


def test_bias_has_a_sign():
    assert np.isclose(run(np.full((2, 3), 5.0), np.full(3, 3.0))["bias"], 2)


def test_nan_stays_nan():
    assert np.isnan(run(np.array([[1.0, np.nan], [1.0, 2.0]]), np.zeros(2))["rmse"])


def test_without_a_truth_there_is_no_rank():
    truth = np.array([[[0.5, 0.5]], [[0.5, np.nan]]])
    found = ensemble.rank_histogram(np.zeros((3, 2, 1, 2)), truth, np.ones(2), lambda: truth)
    np.testing.assert_array_equal(found[:, 0], [[0, 0, 0, 1], [np.nan] * 4])


def in_pairs(count, pairs, curved=0.0):
    """Antithetic members, (E, N): 1 plus normal noise of standard deviation 2, and a part even in the noise."""
    z = np.random.default_rng(5).standard_normal((pairs, count))
    bent = curved * (z**2 - 1)
    return np.stack([1 + 2 * z + bent, 1 - 2 * z + bent], 1).reshape(2 * pairs, count)


@pytest.mark.parametrize("curved", [0.0, 1.0])
def test_antithetic_members_have_an_unbiased_variance_and_fair_differences(curved):
    """Both are those of as many independent members, up to chance; the sampling error of the mean is smaller."""
    pairs = in_pairs(200_000, 4, curved)
    z = np.random.default_rng(6).standard_normal((8, 200_000))
    independent = 1 + 2 * z + curved * (z**2 - 1)
    exact = 4 + 2 * curved**2
    variance, of_mean = (part.mean() for part in ensemble.variances(pairs, antithetic=True))
    assert variance == pytest.approx(exact, rel=0.01) and ensemble.variances(independent)[0].mean() == pytest.approx(
        exact, rel=0.01
    )
    assert of_mean == pytest.approx(2 * curved**2 / 4, rel=0.02, abs=1e-12)
    assert of_mean == pytest.approx(((pairs.mean(0) - 1) ** 2).mean(), rel=0.02, abs=1e-12)
    differences = ensemble.mean_difference(pairs, antithetic=True).mean(), ensemble.mean_difference(independent).mean()
    assert differences[0] == pytest.approx(differences[1], rel=0.01)
    assert ensemble.mean_difference(pairs).mean() > 1.02 * differences[0]  # pairs lie on either side of the mean


def test_of_independent_members_the_formulas_of_pairs_say_the_same():
    members = np.random.default_rng(7).standard_normal((6, 200_000))
    usual, paired = ensemble.variances(members), ensemble.variances(members, antithetic=True)
    for one, other in zip(usual, paired):
        assert one.mean() == pytest.approx(other.mean(), rel=0.01)
    differences = [ensemble.mean_difference(members, antithetic=a).mean() for a in (False, True)]
    assert differences[0] == pytest.approx(differences[1], rel=0.01)


def test_a_truth_is_ranked_among_one_member_of_each_pair():
    """Among all of them it would lie between the members of the narrowest pair twice as often as anywhere else."""
    members, truth = in_pairs(90_000, 8), 1 + 2 * np.random.default_rng(8).standard_normal(90_000)
    ranks = lambda chosen: ensemble.rank_histogram(
        chosen[:, None, None], truth[None, None], np.ones(truth.size), lambda: np.zeros(truth.shape)
    )[0, 0]
    np.testing.assert_allclose(ranks(ensemble.ranked(members, antithetic=True)), 1 / 9, rtol=0.05)
    assert ranks(members)[8] == pytest.approx(1 / 9, rel=0.05) and ensemble.ranked(members, antithetic=False) is members


def test_spread_over_skill_of_antithetic_members_is_one_if_they_are_right():
    members = in_pairs(200_000, 4).reshape(8, 200_000, 1, 1)
    truth = 1 + 2 * np.random.default_rng(9).standard_normal((200_000, 1, 1))
    found = ensemble.statistics(members, truth, np.zeros(truth.shape), np.ones(1), antithetic=True)
    scores = ensemble.scores({name: value.mean(0) for name, value in found.items()})
    assert scores["rmse"][0] == pytest.approx(2, rel=0.01) and scores["spread_skill"][0] == pytest.approx(1, rel=0.01)
