"""Climatology."""

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.scaling import harmonics
from hindsight.preprocess import climatology
from hindsight.settings import Preprocess

TIMES = np.datetime64("2000-01-01T00", "ns") + np.arange(0, 3 * 365 * 24, 6) * np.timedelta64(1, "h")


def test_planted_harmonics_are_found_whatever_the_block():
    planted = np.random.default_rng(0).standard_normal((1 + 4 + 6, 2, 3, 4))
    fields = xr.DataArray(
        np.tensordot(harmonics(TIMES, 2, 1), planted, 1), dims=("time", "channel", "y", "x"), coords={"time": TIMES}
    )
    for block in (100, 5000):
        np.testing.assert_allclose(climatology.fit(fields, 2, 1, block) @ np.eye(4), planted, atol=2e-6)


def test_a_training_period_shorter_than_a_year_is_refused(domain, source, tmp_path):
    short = domain.model_validate(domain.model_dump() | {"train": {"start": "2000-01-01", "end": "2000-06-30"}})
    fields = source[["z"]].rename(z="fields").expand_dims(channel=["z500"])
    store.write(fields, tmp_path / "fields.zarr")
    with pytest.raises(UserError, match="181|182"):
        climatology.run(short, Preprocess(), fields=tmp_path / "fields.zarr", climatology=tmp_path / "c.nc")
