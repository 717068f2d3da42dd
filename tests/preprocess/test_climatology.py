"""Climatology."""

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields.scaling import harmonics
from hindsight.preprocess import climatology, moments
from hindsight.settings import Domain, Preprocess
from tests.preprocess.worlds import fields_of, preprocessed, stored

TIMES = np.datetime64("2000-01-01T00", "ns") + np.arange(0, 3 * 365 * 24, 6) * np.timedelta64(1, "h")
THREE_YEARS = {"start": "2000-01-01", "end": "2002-12-30T18:00"}
POINTS = {"channel": ["z500", "t850"], "latitude": [0.0, 1.0, 2.0], "longitude": [0.0, 1.0, 2.0, 3.0]}


def test_planted_harmonics_are_found(domain, tmp_path):
    planted = np.random.default_rng(0).standard_normal((1 + 4 + 6, 2, 3, 4))
    values = np.tensordot(harmonics(TIMES, 2, 1), planted, 1).astype(np.float32)
    fields = xr.Dataset({"fields": (("time", *POINTS), values)}, coords={"time": TIMES, **POINTS})
    training = domain.model_copy(update={"train": domain.train.model_validate(THREE_YEARS), "step_hours": 6})
    settings = Preprocess(annual_harmonics=2, daily_harmonics=1)
    stored(fields, tmp_path / "fields.zarr", 100)
    moments.run(training, settings, piece=tmp_path / "fields.zarr", moments=tmp_path / "moments.nc")
    climatology.run(training, settings, moments=[tmp_path / "moments.nc"], climatology=tmp_path / "climatology.nc")
    found = xr.load_dataset(tmp_path / "climatology.nc")
    np.testing.assert_allclose(found["coefficients"], planted, atol=2e-6)
    assert found.attrs == {"annual_harmonics": 2, "daily_harmonics": 1}
    assert found["coefficients"].dims == ("harmonic", *POINTS)
    for name, values in POINTS.items():
        assert found[name].values.tolist() == values


def test_a_training_period_shorter_than_a_year_is_refused(domain, source, tmp_path):
    short = Domain.model_validate(domain.model_dump() | {"train": {"start": "2000-01-01", "end": "2000-06-29"}})
    with pytest.raises(UserError, match="181 days of available frames.*annual_harmonics = 1 needs at least a year"):
        preprocessed(fields_of(source, domain), short, tmp_path)


def test_masked_frames_do_not_make_a_year(domain, source, tmp_path):
    fields = fields_of(source, domain)
    fields["available"] = "time", np.abs(np.arange(fields.sizes["time"]) - 100) > 8
    with pytest.raises(UserError, match="349 days of available frames.*needs at least a year"):
        preprocessed(fields, domain, tmp_path)
    fields["available"] = "time", np.arange(fields.sizes["time"]) != 100  # a day does not matter
    preprocessed(fields, domain, tmp_path)


def test_more_harmonics_of_the_day_than_frames_are_refused(domain, source, tmp_path):
    settings = Preprocess(annual_harmonics=0, daily_harmonics=1)
    stored(fields_of(source, domain), tmp_path / "fields.zarr")
    moments.run(domain, settings, piece=tmp_path / "fields.zarr", moments=tmp_path / "moments.nc")
    with pytest.raises(UserError, match="needs more than 2 frames a day, and there is one every 24 h; lower it"):
        climatology.run(domain, settings, moments=[tmp_path / "moments.nc"], climatology=tmp_path / "climatology.nc")
    assert not (tmp_path / "climatology.nc").exists()
