"""The neighbour check by brute force, its rates of detection and false alarm, and gross errors beside each other."""

import numpy as np

from hindsight.diffusion import leave_one_out


def network(count=60, seed=0, error=0.5, reach=0.3):
    """Observations with errors of a field of unit variance on a line: a draw of innovations, and their covariance S."""
    generator = np.random.default_rng(seed)
    place = generator.uniform(0, 3, count)
    covariance = np.exp(-0.5 * ((place[:, None] - place) / reach) ** 2) + error**2 * np.eye(count)
    return np.linalg.cholesky(covariance) @ generator.standard_normal(count), covariance


def by_brute_force(innovation, covariance, number):
    """Departure of one observation from its regression on the others, and its variance."""
    others = np.delete(np.arange(len(innovation)), number)
    weights = np.linalg.solve(covariance[np.ix_(others, others)], covariance[others, number])
    return innovation[number] - weights @ innovation[others], covariance[number, number] - weights @ covariance[
        others, number
    ]


def test_departures_are_those_of_regression_on_all_the_others():
    innovation, covariance = network()
    found = leave_one_out.check(innovation, covariance, np.inf)
    expected = np.array([by_brute_force(innovation, covariance, n) for n in range(len(innovation))])
    np.testing.assert_allclose(found.departure, expected[:, 0], atol=1e-9)
    np.testing.assert_allclose(found.variance, expected[:, 1], atol=1e-9)
    assert not found.rejected.any() and found.order == []


def test_after_a_rejection_it_is_the_check_of_what_is_left():
    innovation, covariance = network()
    innovation[[7, 20]] += [12, -9]
    found = leave_one_out.check(innovation, covariance, 5.0)
    assert found.order == [7, 20] and np.flatnonzero(found.rejected).tolist() == [7, 20]
    rest = np.flatnonzero(~found.rejected)
    again = leave_one_out.check(innovation[rest], covariance[np.ix_(rest, rest)], np.inf)
    np.testing.assert_allclose(found.departure[rest], again.departure, atol=1e-8)
    np.testing.assert_allclose(found.variance[rest], again.variance, atol=1e-8)
    np.testing.assert_allclose(found.inverse[np.ix_(rest, rest)], again.inverse, atol=1e-8)
    np.testing.assert_allclose(again.inverse @ covariance[np.ix_(rest, rest)], np.eye(len(rest)), atol=1e-8)
    assert not found.inverse[found.order].any() and not found.inverse[:, found.order].any()
    without = np.delete(np.arange(len(innovation)), 20)  # 20 was judged when 7 was out
    without = without[without != 7]
    weights = np.linalg.solve(covariance[np.ix_(without, without)], covariance[without, 20])
    np.testing.assert_allclose(found.departure[20], innovation[20] - weights @ innovation[without], atol=1e-8)


def test_a_gross_error_does_not_drag_its_neighbours_with_it():
    """Five close stations, one wrong by much: it alone is rejected, though all five departures are large before."""
    covariance = np.full((5, 5), 1.0) + 0.01 * np.eye(5)
    found = leave_one_out.check(np.array([0.1, 0.0, 8.0, -0.1, 0.05]), covariance, 5.0)
    assert found.order == [2]


def test_rates_of_detection_and_of_false_alarm():
    """Errors of five times that of observation, planted in dense networks: found, and little else."""
    found, alarms, planted, good = 0, 0, 0, 0
    for seed in range(40):
        innovation, covariance = network(150, seed, error=0.3, reach=1.2)
        wrong = np.random.default_rng(1000 + seed).choice(150, 4, replace=False)
        innovation[wrong] += 5 * 0.3 * np.where(np.arange(4) % 2, 1, -1)
        rejected = leave_one_out.check(innovation, covariance, 3.0).rejected
        found, planted = found + rejected[wrong].sum(), planted + 4
        alarms, good = alarms + np.delete(rejected, wrong).sum(), good + 146
    assert found / planted >= 0.95 and alarms / good <= 0.005


def test_nothing_to_check():
    found = leave_one_out.check(np.zeros(0), np.zeros((0, 0)), 3.0)
    assert found.order == [] and len(found.departure) == 0
