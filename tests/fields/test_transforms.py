"""Transforms of amounts that are often zero: their inverse, the distribution that they give, errors of both kinds."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import norm

from hindsight.fields import transforms
from hindsight.fields.transforms import NONE, Transforms
from hindsight.settings import Preprocess
from hindsight.settings.preprocess import CensoredLogarithm

LOG = CensoredLogarithm(threshold=0.1)
PHYSICAL = CensoredLogarithm(threshold=0.1, errors="physical")
RAIN = np.array([0.0, 0.05, 0.0999, 0.1, 0.2, 1.0, 30.0, np.nan])


def test_what_is_not_dry_comes_back_and_the_dry_is_zero():
    back = transforms.inverse(transforms.forward(RAIN, LOG), LOG)
    np.testing.assert_allclose(back, np.where(RAIN < 0.1, 0, RAIN), rtol=1e-14)
    assert (transforms.forward(RAIN[:3], LOG) == 0).all() and transforms.forward(RAIN, LOG)[3] == 1


def test_the_inverse_of_normal_numbers_has_a_point_mass_and_the_tail_of_a_lognormal():
    """P(dry) = Phi((1 - m) / s), and of the wet the quantiles of threshold exp(N(m, s) - 1)."""
    mean, spread, drawn = 0.4, 1.7, np.random.default_rng(1).standard_normal(400_000)
    rain = transforms.inverse(mean + spread * drawn, LOG)
    assert (rain == 0).mean() == pytest.approx(norm.cdf((1 - mean) / spread), abs=3e-3)
    assert rain[rain > 0].min() >= 0.1
    for share in (0.8, 0.95, 0.999):
        expected = 0.1 * np.exp(mean + spread * norm.ppf(share) - 1)
        assert np.quantile(rain, share) == pytest.approx(expected, rel=0.03)


def test_the_transform_rises_and_its_slope_is_its_derivative():
    wet = np.geomspace(0.11, 100, 50)
    change = (transforms.forward(wet * (1 + 1e-6), LOG) - transforms.forward(wet * (1 - 1e-6), LOG)) / (2e-6 * wet)
    np.testing.assert_allclose(transforms.slope(wet, LOG), change, rtol=1e-6)
    assert (np.diff(transforms.forward(np.sort(RAIN[:-1]), LOG)) >= 0).all()
    assert (transforms.slope(RAIN[:3], LOG) == 10).all()


def test_only_channels_with_a_transform_change():
    chosen = Transforms.build({"rain": LOG}, ["msl", "rain"])
    fields = np.random.default_rng(2).random((3, 2, 4, 5)) * 2
    found = chosen.forward(fields)
    np.testing.assert_array_equal(found[:, 0], fields[:, 0])
    np.testing.assert_array_equal(found[:, 1], transforms.forward(fields[:, 1], LOG))
    np.testing.assert_allclose(chosen.inverse(found)[:, 0], fields[:, 0])
    none = Transforms.build({"rain": LOG}, ["msl"])
    assert not none and none.forward(fields) is fields and none.attributes == {}


def test_files_and_priors_keep_them():
    chosen = Transforms.build({"rain": PHYSICAL}, ["msl", "rain"])
    assert Transforms.of_file(chosen.attributes) == chosen and chosen.named(["msl", "rain"]) == {"rain": PHYSICAL}
    assert Transforms.of_file({}) == Transforms()


NAMES = np.array(["msl", "rain", "rain"], object)


def test_errors_of_the_logarithm_stay_and_physical_ones_become_its_errors():
    values, errors = np.array([3.0, 2.0, 0.0]), np.array([0.5, 0.2, 0.2])
    value, error = transforms.of_observations(NAMES, values, errors, {"rain": LOG})
    np.testing.assert_allclose(value, [3.0, np.log(20) + 1, 0.0])
    np.testing.assert_array_equal(error, errors)
    _, error = transforms.of_observations(NAMES, values, errors, {"rain": PHYSICAL})
    np.testing.assert_allclose(error, [0.5, 0.1, 2.0])
    np.testing.assert_allclose(transforms.physical_errors(NAMES, values, error, {"rain": LOG}), errors)
    np.testing.assert_array_equal(transforms.physical_errors(NAMES, values, errors, {"rain": PHYSICAL}), errors)
    same = transforms.of_observations(NAMES, values, errors, NONE)
    assert (same[0] == values).all() and (same[1] == errors).all()


def test_perturbed_amounts_are_never_negative():
    values = np.array([[3.0, 2.0, 0.0]] * 2)
    noise = np.array([[-5.0, 0.5, 0.5], [5.0, -3.0, 1.5]])
    found = transforms.perturbed(NAMES, values, noise, {"rain": LOG})
    np.testing.assert_allclose(found, [[-2, 2 * np.exp(0.5), 0], [8, 2 * np.exp(-3) if 2 * np.exp(-3) > 0.1 else 0,
                                                                     0.1 * np.exp(0.5)]])  # fmt: skip
    found = transforms.perturbed(NAMES, values, noise, {"rain": PHYSICAL})
    np.testing.assert_allclose(found, [[-2, 2.5, 0.5], [8, 0, 1.5]])
    np.testing.assert_array_equal(transforms.perturbed(NAMES, values, noise, NONE), values + noise)


def test_other_channels_are_refused():
    with pytest.raises(ValidationError, match="z500: a censored logarithm is for amounts that are often zero"):
        Preprocess(transforms={"z500": {}})
    assert Preprocess(transforms={"rain": {}, "tp6": {"threshold": 1e-4}}).transforms["rain"].errors == "transformed"


def test_no_member_exceeds_the_highest_value_and_values_below_it_are_the_same():
    """A logarithm six standard deviations above its mean is a rate that no cloud has."""
    limited = CensoredLogarithm(threshold=0.1, highest=100.0)
    normal = np.array([-3.0, 0.5, 1.0, 4.0, 7.0, 12.0, np.nan])
    found, plain = transforms.inverse(normal, limited), transforms.inverse(normal, LOG)
    np.testing.assert_array_equal(found, np.minimum(plain, 100.0))
    assert plain[5] > 5000 and found[5] == 100.0 and np.isnan(found[6])
    rates = np.array([0.0, 0.05, 1.0, 100.0, 250.0, np.nan])
    np.testing.assert_array_equal(transforms.forward(rates, limited), transforms.forward(np.minimum(rates, 100.0), LOG))
    with pytest.raises(ValidationError, match=r"highest \(0.1\) must exceed threshold \(0.1\)"):
        CensoredLogarithm(threshold=0.1, highest=0.1)
