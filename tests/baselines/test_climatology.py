"""The climatological ensemble."""

import numpy as np
import pandas as pd
import pytest

from hindsight.baselines import climatology
from hindsight.errors import UserError
from hindsight.fields import analyses
from hindsight.settings import Baselines, Product
from tests.preprocess.worlds import fields_of, stored

TRAINING = pd.date_range("2000-01-01T12", "2003-12-31T12", freq="D").values
TIMES = pd.date_range("2009-01-01T12", periods=5, freq="D").values


def test_members_come_from_the_season_and_none_twice():
    chosen = climatology.draw(TRAINING, TIMES, 16, 15, seed=0)
    assert chosen.shape == (16, 5)
    for t, time in enumerate(TIMES):
        day = pd.DatetimeIndex(TRAINING[chosen[:, t]]).dayofyear
        away = np.minimum(np.abs(day - pd.Timestamp(time).dayofyear), 366 - np.abs(day - pd.Timestamp(time).dayofyear))
        assert away.max() <= 16 and len(set(chosen[:, t])) == 16


def test_a_frame_has_the_same_members_in_every_job():
    np.testing.assert_array_equal(
        climatology.draw(TRAINING, TIMES, 16, 15, 0)[:, 2:], climatology.draw(TRAINING, TIMES[2:], 16, 15, 0)
    )


def test_too_short_a_training_period_is_refused():
    with pytest.raises(UserError, match="available frames within 1 days of 01 January"):
        climatology.draw(TRAINING, TIMES, 16, 1, 0)


def test_members_are_drawn_from_known_frames_alone_and_are_what_the_store_holds(source, domain, tmp_path):
    fields = fields_of(source, domain)
    known = np.arange(fields.sizes["time"]) % 3 != 0
    fields = fields.assign(available=("time", known))
    fields["fields"][~known] = np.nan
    stored(fields, tmp_path / "fields.zarr")
    options = dict.fromkeys(("climatology", "statistics", "observations"), tmp_path)
    product, settings = Product(members=6, shard_frames=5), Baselines(climatology={"days": 15})
    options |= {"fields": tmp_path / "fields.zarr", "shard": "20010206T12_5", "analysis": tmp_path / "analysis.nc"}
    climatology.run(domain, product, settings, **options)
    found = analyses.read([tmp_path / "analysis.nc"])["analysis"].values
    assert found.shape == (6, 5, 2, 6, 8) and np.isfinite(found).all()
    training = fields["fields"].values[:366][known[:366]]
    assert all((training == member).all((1, 2, 3)).any() for members in found for member in members)
