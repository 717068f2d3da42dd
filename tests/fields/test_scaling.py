"""Normalisation and climatology."""

import numpy as np
import pytest

from hindsight.fields.scaling import Scaling, harmonics

TIMES = np.datetime64("2001-01-01T00", "ns") + np.arange(0, 4 * 365 * 24, 6) * np.timedelta64(1, "h")


@pytest.fixture
def scaling():
    generator = np.random.default_rng(0)
    return Scaling(generator.standard_normal((5, 2, 3, 4)), np.array([2.0, 30.0]), annual=2, daily=0)


def test_normalise_and_back_is_the_same(scaling):
    fields = 1000 + 50 * np.random.default_rng(1).standard_normal((len(TIMES[:9]), 2, 3, 4))
    back = scaling.restore(scaling.normalise(fields, TIMES[:9]), TIMES[:9])
    np.testing.assert_allclose(back, fields, rtol=1e-6)


def test_the_climatology_itself_is_zero(scaling):
    assert np.abs(scaling.normalise(scaling.climatology(TIMES[:50]), TIMES[:50])).max() < 1e-6


def test_harmonics_are_orthogonal_over_whole_years_and_days():
    design = harmonics(TIMES, annual=3, daily=1)
    assert design.shape[1] == 1 + 6 + 2 + 4
    product = design.T @ design / len(design)
    assert np.abs(product - np.diag(np.diag(product))).max() < 5e-3
