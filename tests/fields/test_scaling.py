"""Normalisation and climatology."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling, extremes, harmonics
from hindsight.fields.transforms import Transforms
from hindsight.settings.preprocess import CensoredLogarithm

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


WEIGHTS = Grid(np.array([-60.0, 0.0, 60.0]), np.arange(4) * 90.0).weights


def test_weighed_by_area_and_back_is_the_same(scaling):
    fields = 1000 + 50 * np.random.default_rng(1).standard_normal((5, 9, 2, 3, 4))
    weighed = scaling.weighted_by_area(WEIGHTS)
    back = weighed.restore(weighed.normalise(fields, TIMES[:9]), TIMES[:9])
    np.testing.assert_allclose(back, fields, rtol=1e-6)
    assert (weighed.annual, weighed.daily) == (2, 0) and scaling.measure == 1.0  # another, and the first as it was


def test_by_area_plain_means_are_means_over_the_sphere(scaling):
    """Of three belts: by Archimedes' hat box the outer two have a quarter of the sphere each, the inner one half."""
    fields = np.random.default_rng(1).standard_normal((9, 2, 3, 4)) * [[[40.0]], [[3.0]]] + 7
    found = (scaling.weighted_by_area(WEIGHTS).normalise(fields, TIMES[:9]) ** 2).mean((0, 2, 3))
    belts = np.array([0.25, 0.5, 0.25])  # the sine is 1, 1/2, -1/2 and -1 at their edges
    departures = (fields - scaling.climatology(TIMES[:9])) ** 2
    expected = (departures.mean((0, 3)) * belts).sum(1) / np.array([2.0, 30.0]) ** 2
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_unit_is_the_physical_value_of_a_normalised_one(scaling):
    for one, shape in ((scaling, (2, 1, 1)), (scaling.weighted_by_area(WEIGHTS), (2, 3, 4))):
        assert one.unit.shape == shape
        raised = one.restore(np.ones((1, 2, 3, 4)), TIMES[:1]) - one.climatology(TIMES[:1])
        np.testing.assert_allclose(raised[0], np.broadcast_to(one.unit, (2, 3, 4)), rtol=1e-5)


def test_extremes_are_those_of_the_training_period_or_unknown(tmp_path):
    values = {"spread": ("channel", [1.0, 2.0]), "lowest": ("channel", [-3.0, 4.0]), "highest": ("channel", [5.0, 6.0])}
    xr.Dataset(values).to_netcdf(tmp_path / "statistics.nc")
    np.testing.assert_array_equal(extremes(tmp_path / "statistics.nc"), [[-3, 4], [5, 6]])
    xr.Dataset({"spread": values["spread"]}).to_netcdf(tmp_path / "old.nc")
    assert extremes(tmp_path / "old.nc") is None


def test_a_transformed_channel_is_normalised_as_transformed_and_restored_as_it_was(scaling):
    chosen = Transforms.build({"rain": CensoredLogarithm(threshold=0.1)}, ["msl", "rain"])
    rain = dataclasses.replace(scaling, transforms=chosen)
    fields = np.random.default_rng(1).gamma(0.3, 3.0, (9, 2, 3, 4))
    normal = rain.normalise(fields, TIMES[:9])
    by_hand = np.where(fields[:, 1] < 0.1, 0, np.log(np.maximum(fields[:, 1], 0.1) / 0.1) + 1)
    np.testing.assert_allclose(normal[:, 1] * 30 + scaling.climatology(TIMES[:9])[:, 1], by_hand, atol=1e-5)
    np.testing.assert_array_equal(normal[:, 0], scaling.normalise(fields, TIMES[:9])[:, 0])
    back = rain.restore(normal, TIMES[:9])
    np.testing.assert_allclose(back[:, 1], np.where(fields[:, 1] < 0.1, 0, fields[:, 1]), rtol=1e-4, atol=1e-6)
    assert (rain.climatology(TIMES[:9])[:, 1] >= 0).all()


def test_members_of_a_transformed_channel_have_a_point_mass_at_zero(scaling):
    chosen = Transforms.build({"rain": CensoredLogarithm(threshold=0.1)}, ["msl", "rain"])
    members = np.random.default_rng(2).standard_normal((50, 9, 2, 3, 4)).astype("f4")
    plain = dataclasses.replace(scaling, spread=np.array([2.0, 3.0]))
    rain = dataclasses.replace(plain, transforms=chosen).restore(members, TIMES[:9])[:, :, 1]
    dry = members[:, :, 1] * 3 + scaling.climatology(TIMES[:9])[:, 1] < 1
    assert ((rain == 0) == dry).all() and rain[~dry].min() >= np.float32(0.1) * (1 - 1e-5) and 0.3 < dry.mean() < 0.7
