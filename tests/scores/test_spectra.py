"""Spectra."""

import numpy as np

from hindsight.scores import spectra


def test_a_wave_has_all_its_power_at_its_number():
    x = 2 * np.pi * np.arange(32) / 32
    power = spectra.zonal(np.cos(5 * x)[None] * np.ones((3, 1)), periodic=True)
    assert np.isclose(power[5], 0.5) and np.isclose(power.sum(), 0.5)


def test_power_sums_to_the_mean_square():
    for width in (31, 32):
        x = np.random.default_rng(0).standard_normal((4, 6, width))
        assert np.isclose(spectra.zonal(x, periodic=True).sum(), (x**2).mean())


def test_a_box_keeps_the_power_of_noise():
    x = np.random.default_rng(0).standard_normal((2000, 24))
    assert np.isclose(spectra.zonal(x[None], periodic=False).sum(), 1, rtol=0.06)


def test_power_is_weighed_by_the_area_of_its_latitude():
    """On the sphere the sum is the area mean of the square; a wave at the pole alone counts for next to nothing."""
    latitude = np.arange(-88.0, 89, 8)
    area = np.cos(np.deg2rad(latitude))
    x = np.random.default_rng(0).standard_normal((4, len(latitude), 32)) * (1 + latitude[:, None] ** 2 / 1000)
    expected = ((x**2).mean(2) * area).sum(1).mean() / area.sum()
    assert np.isclose(spectra.zonal(x, True, area).sum(), expected)
    assert spectra.zonal(x, True).sum() > 1.5 * expected
    polar = np.zeros((len(latitude), 32))
    polar[-1] = np.cos(3 * 2 * np.pi * np.arange(32) / 32)
    assert np.isclose(spectra.zonal(polar, True, area)[3], 0.5 * area[-1] / area.sum())
