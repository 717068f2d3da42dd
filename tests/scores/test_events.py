"""Scores of events: brute force over points and squares, and cases with a known answer."""

import numpy as np
import pytest

from hindsight.scores import events

GENERATOR = np.random.default_rng(6)
MEMBERS, TRUTH = GENERATOR.random((3, 2, 7, 9)), GENERATOR.random((2, 7, 9))
WEIGHTS = GENERATOR.random((7, 9)) + 0.5


def test_counts_are_those_of_a_loop_over_points():
    found = events.contingency(MEMBERS, TRUTH, 0.6, WEIGHTS)
    for t in range(2):
        count = dict.fromkeys(events.COUNTS, 0.0)
        for e in range(3):
            for i in range(7):
                for j in range(9):
                    forecast, seen = MEMBERS[e, t, i, j] >= 0.6, TRUTH[t, i, j] >= 0.6
                    if forecast or seen:
                        name = "hits" if forecast and seen else "misses" if seen else "false_alarms"
                        count[name] += WEIGHTS[i, j] / WEIGHTS.sum() / 3
        for name in events.COUNTS:
            assert found[name][t] == pytest.approx(count[name], rel=1e-12)


def test_the_index_is_the_share_of_hits():
    counts = {"hits": np.array([3.0, 0.0]), "misses": np.array([1.0, 0.0]), "false_alarms": np.array([2.0, 0.0])}
    found = events.critical_success(counts)
    assert found[0] == 0.5 and np.isnan(found[1])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("periodic", [(False, False), (True, True), (False, True)])
def test_fractions_are_those_of_a_loop_over_squares(size, periodic):
    seen = TRUTH >= 0.6
    found = events.fractions(seen, size, periodic)
    before = size // 2
    for i in range(7):
        for j in range(9):
            total = np.zeros(2)
            for a in range(i - before, i - before + size):
                for b in range(j - before, j - before + size):
                    inside = (periodic[0] or 0 <= a < 7) and (periodic[1] or 0 <= b < 9)
                    total += seen[:, a % 7, b % 9] if inside else 0
            np.testing.assert_allclose(found[:, i, j], total / size**2, atol=1e-12)


def test_neighbourhoods_are_those_of_their_definition():
    found = events.neighbourhoods(MEMBERS, TRUTH, 0.6, 3, WEIGHTS)
    forecast = np.mean([events.fractions(one >= 0.6, 3) for one in MEMBERS], 0)
    seen, share = events.fractions(TRUTH >= 0.6, 3), WEIGHTS / WEIGHTS.sum()
    np.testing.assert_allclose(found["fraction_difference"], ((forecast - seen) ** 2 * share).sum((1, 2)))
    np.testing.assert_allclose(found["fraction_squares"], ((forecast**2 + seen**2) * share).sum((1, 2)))


def skill(forecast, truth, size):
    return events.fractions_skill(
        events.neighbourhoods(forecast, truth, 0.5, size, np.ones(truth.shape[1:]), (True, True))
    )


def test_a_perfect_forecast_has_skill_one_and_a_shower_elsewhere_none():
    truth, other = np.zeros((1, 40, 40)), np.zeros((1, 1, 40, 40))
    truth[0, 10, 10] = other[0, 0, 10, 30] = 1
    assert skill(truth[None], truth, 5)[0] == pytest.approx(1) and skill(other, truth, 5)[0] == pytest.approx(0)
    assert np.isnan(skill(other * 0, truth * 0, 5)[0])


@pytest.mark.parametrize("size", [3, 7, 11, 21])
def test_a_displaced_shower_has_the_skill_of_the_overlap_of_its_squares(size):
    """Fractions of one point are squares of constant height: FSS = share of the square that overlaps, 1 - d / n."""
    truth, moved = np.zeros((1, 64, 64)), np.zeros((1, 1, 64, 64))
    truth[0, 30, 30] = moved[0, 0, 30, 34] = 1
    assert skill(moved, truth, size)[0] == pytest.approx(max(0, 1 - 4 / size))


def test_a_random_forecast_has_the_skill_of_the_climatology_at_the_scale_of_a_point():
    """FSS_random = f for a forecast of events at random with the right frequency f (Roberts and Lean 2008)."""
    generator = np.random.default_rng(7)
    truth, other = (generator.random((1, 400, 400)) > 0.8).astype(float), generator.random((1, 1, 400, 400)) > 0.8
    assert skill(other.astype(float), truth, 1)[0] == pytest.approx(0.2, abs=0.01)
