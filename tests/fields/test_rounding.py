"""Rounding to a few mantissa bits."""

import numpy as np
import pytest

from hindsight.fields import rounding


@pytest.mark.parametrize("bits", [1, 7, 15, 22])
def test_rounding_is_to_the_nearest_with_so_many_bits(bits):
    x = np.random.default_rng(0).uniform(1000, 100000, 2000).astype("float32")
    found = rounding.round_to(x, bits)
    ulp = 2.0 ** (np.floor(np.log2(x)) - bits)
    assert (np.abs(found - x) <= ulp / 2 * (1 + 1e-6)).all()
    assert (found.view(np.uint32) & np.uint32((1 << (23 - bits)) - 1) == 0).all()
    np.testing.assert_array_equal(rounding.round_to(x, 23), x)


def test_halfway_goes_to_even_so_that_rounding_has_no_drift():
    x = np.array([1 + 2**-22, 1 + 3 * 2**-22], "float32")  # each halfway between neighbours of 21 bits
    np.testing.assert_array_equal(rounding.round_to(x, 21), np.array([1, 1 + 2**-20], "float32"))


@pytest.mark.parametrize(("level", "spread"), [(54000.0, 80.0), (101000.0, 60.0), (0.0, 5.0), (280.0, 0.5)])
def test_bits_keep_the_error_just_below_the_share_of_the_spread(level, spread):
    values = (level + spread * np.random.default_rng(1).standard_normal((8, 20, 6, 6))).astype("float32")
    kept = rounding.bits(values, 0.01)
    worst = np.abs(rounding.round_to(values, kept) - values).max() / np.sqrt(values.astype(float).var(0, ddof=1).mean())
    assert worst <= 0.01
    fewer = np.abs(rounding.round_to(values, kept - 1) - values).max()
    assert fewer > 0.9 * 0.01 * spread * (1 if level else 0.5)


def test_an_ensemble_without_spread_keeps_all_bits():
    assert rounding.bits(np.full((4, 2, 3, 3), 7.0), 0.01) == 23
    assert rounding.bits(np.zeros((4, 2, 3, 3)), 0.01) == 23


def test_losses_of_parts_are_the_loss_of_the_whole():
    values = (300 + np.random.default_rng(2).standard_normal((4, 12, 5, 5))).astype("float32")
    rounded = rounding.round_to(values, 10)
    parts = [rounding.error_sums(values[:, a:b], rounded[:, a:b]) for a, b in ((0, 5), (5, 12))]
    found, spread = rounding.share_of_spread(parts), np.sqrt(values.astype(float).var(0, ddof=1).mean())
    error = rounded.astype(float) - values
    assert found["rms"] == pytest.approx(np.sqrt((error**2).mean()) / spread)
    assert found["worst"] == pytest.approx(np.abs(error).max() / spread)
    assert rounding.share_of_spread([rounding.error_sums(np.ones((2, 1, 1, 1)), np.ones((2, 1, 1, 1)))])["rms"] == 0
