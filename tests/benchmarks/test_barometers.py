"""Scores at withheld barometers: rank histograms of calibrated and narrow ensembles, CRPS by its double sum."""

import numpy as np
import pytest

from benchmarks import barometers


def ranks(width, seed=0, blocks=36, each=60, members=16):
    """Ranks of values whose errors a block of rows has in common, among members of a spread of `width`."""
    generator, block = np.random.default_rng(seed), np.repeat(np.arange(blocks), each)
    value = 0.7 * generator.normal(size=blocks)[block] + np.sqrt(0.51) * generator.normal(size=len(block))
    return (width * generator.normal(size=(members, len(block))) < value).sum(0), block, members + 1


def test_the_ranks_of_a_calibrated_ensemble_are_flat_within_chance():
    found = [barometers.rank_histogram(*ranks(1.0, seed)) for seed in range(60)]
    assert all(sum(shares) == pytest.approx(1, abs=1e-3) for shares, _ in found)
    assert 0.7 < np.mean([chance for _, chance in found]) < 1.8


def test_the_ranks_of_a_narrow_ensemble_are_not():
    shares, chance = barometers.rank_histogram(*ranks(0.5))
    assert min(shares[0], shares[-1]) > 2 / 17 and chance > 5


def test_the_crps_is_that_of_its_definition():
    away = np.random.default_rng(0).normal(size=(7, 3, 2, 1, 1))
    among = np.abs(away[:, None] - away).sum((0, 1)) / (7 * 6)
    np.testing.assert_allclose(barometers.fair_crps(away, antithetic=False), np.abs(away).mean(0) - among / 2)
