"""Transitions between frames of first-order autoregressions, whose moments are known."""

import numpy as np
import pytest

from hindsight.scores import seams

RHO = 0.8


def moments(rho):
    """Means over many points of one transition; truth and members are independent autoregressions with memory `rho`."""
    generator = np.random.default_rng(0)
    early = generator.standard_normal((9, 1, 100000))
    late = rho * early + np.sqrt(1 - rho**2) * generator.standard_normal(early.shape)
    return seams.transition(early[1:], late[1:], (early[0], late[0]), np.ones(early.shape[-1]))


def test_the_measures_of_an_autoregression_are_its_closed_forms():
    found = seams.measures(moments(RHO))
    assert np.isclose(found["members"], np.sqrt(2 - 2 * RHO), rtol=0.01)
    assert np.isclose(found["truth"], np.sqrt(2 - 2 * RHO), rtol=0.01)
    assert np.isclose(found["mean"], np.sqrt((2 - 2 * RHO) / 8), rtol=0.01)
    assert np.isclose(found["correlation"], RHO, rtol=0.01)
    assert np.isclose(found["members_to_truth"], 1, rtol=0.01)
    assert np.isclose(found["mean_to_truth"], np.sqrt(1 / 8), rtol=0.01)


def test_the_spread_of_independent_frames_jumps_by_its_sampling_error():
    """Two independent sample deviations of 8 normal values differ by sqrt(2 var s), var s = 1 - c4(8)^2."""
    from scipy.special import gammaln

    c4 = np.sqrt(2 / 7) * np.exp(gammaln(4) - gammaln(3.5))
    assert np.isclose(seams.measures(moments(0.0))["spread"], np.sqrt(2 * (1 - c4**2)), rtol=0.01)


def test_weights_count():
    a, b = np.zeros((2, 1, 2)), np.array([[[1.0, 5.0]], [[3.0, 9.0]]])
    found = seams.transition(a, b, (a[0], b[0]), np.array([1.0, 0.0]))
    assert found["members"] == [pytest.approx(5.0)] and found["mean"] == [pytest.approx(4.0)]
    assert found["truth"] == [pytest.approx(1.0)] and found["spread"] == [pytest.approx(2.0)]


def walk(generator, shards, frames, jump=0.0, points=(4, 6)):
    """Shards of a random walk with steps of varying size; the first frame of each shard jumps by more."""
    field, found = np.zeros(points), []
    for number in range(shards):
        steps = generator.standard_normal((frames, *points)) * generator.lognormal(0, 0.3, (frames, 1, 1))
        steps[0] *= 1 + jump * (number > 0)
        found.append(field + steps.cumsum(0))
        field = found[-1][-1]
    return found


def hourly(fields, frames):
    """The rows of a walk, six-hourly from midnight."""
    found = seams.HourlyChanges(np.ones(fields[0].shape[1:]))
    for number, shard in enumerate(fields):
        first = np.datetime64("2000-01-01", "ns") + number * frames * np.timedelta64(6, "h")
        found.add(shard, first + np.arange(frames) * np.timedelta64(6, "h"))
    return {row["hour"]: row for row in found.rows(0.95)}


def test_a_jump_at_seams_is_its_ratio_and_other_hours_have_none():
    rows = hourly(walk(np.random.default_rng(0), 60, 40, jump=0.5), 40)
    assert list(rows) == [0, 6, 12, 18] and (rows[0]["seams"], rows[0]["inside"]) == (59, 60 * 9)
    assert rows[0]["ratio"] == pytest.approx(1.5, rel=0.1) and rows[0]["lower"] > 1.3
    assert rows[6]["ratio"] is None and rows[6]["change"] == pytest.approx(0.975, rel=0.05)


def test_without_a_jump_the_interval_contains_one_as_often_as_it_says():
    generator, inside = np.random.default_rng(1), 0
    for _ in range(200):
        row = hourly(walk(generator, 10, 20, points=(2, 3)), 20)[0]
        inside += row["lower"] < 1 < row["upper"]
    assert 0.9 * 200 < inside < 0.99 * 200


def test_a_few_changes_or_equal_frames_have_no_ratio():
    assert hourly(walk(np.random.default_rng(2), 3, 8), 8)[0]["ratio"] is None
    assert hourly([np.ones((8, 2, 2))] * 3, 8) == {}
