"""Statistics of the training split."""

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields.scaling import Scaling
from tests.preprocess.worlds import fields_of, preprocessed

TIMES = np.datetime64("2000-01-01T12", "ns") + np.arange(366) * np.timedelta64(1, "D")
GLOBE = {"channel": ["z500", "t850"], "latitude": [-45.0, 0.0, 45.0], "longitude": [0.0, 90.0, 180.0, 270.0]}


def series():
    """A climatology whose one harmonic is far larger than the noise about it."""
    scaling = Scaling(np.array([5.0, 100.0, 0.0]).reshape(3, 1, 1, 1) * np.ones((3, 2, 3, 4)), np.ones(2), 1, 0)
    noise = np.random.default_rng(0).standard_normal((366, 2, 3, 4)) * np.array([3.0, 0.5])[:, None, None]
    values = (scaling.climatology(TIMES) + noise).astype(np.float32)
    return xr.Dataset({"fields": (("time", *GLOBE), values)}, coords={"time": TIMES, **GLOBE})


def test_spread_is_the_departure_from_the_climatology_and_not_from_the_mean(domain, tmp_path):
    """As the scaling that reads both files would have it: normalised departures have variance 1."""
    fields = series()
    files = preprocessed(fields, domain, tmp_path)
    found, scaling = xr.load_dataset(files[2]), Scaling.read(*files[1:])
    left = fields["fields"].values.astype(float) - scaling.climatology(TIMES)
    np.testing.assert_allclose(found["spread"], np.sqrt((left**2).mean((0, 2, 3))), rtol=1e-9)
    np.testing.assert_allclose(found["spread"], [3.0, 0.5], rtol=0.03)
    np.testing.assert_allclose(scaling.normalise(fields["fields"].values, TIMES).var((0, 2, 3)), 1, rtol=1e-5)


def test_the_file_describes_its_variables(domain, tmp_path):
    fields = series()
    globe = domain.model_copy(update={"latitude_edges": "pole", "longitude_edges": "periodic"})
    files = preprocessed(fields, globe, tmp_path)
    found, scaling = xr.load_dataset(files[2]), Scaling.read(*files[1:])
    left = fields["fields"].values.astype(float) - scaling.climatology(TIMES)
    np.testing.assert_allclose(found["variance"], (left**2).mean(0), rtol=1e-9)
    np.testing.assert_array_equal(found["lowest"], fields["fields"].min(["time", "latitude", "longitude"]))
    np.testing.assert_array_equal(found["highest"], fields["fields"].max(["time", "latitude", "longitude"]))
    assert found.attrs["frames"] == 366 and found["spread"].dims == ("channel",)
    spectrum = found["covariance_spectrum"]
    assert spectrum.dims == ("part", "channel", "other_channel", "wavenumber")
    assert spectrum["part"].values.tolist() == ["real", "imaginary"] and spectrum["wavenumber"].values.tolist() == [
        0,
        1,
        2,
    ]
    one = spectrum.sel(channel="z500", other_channel="t850").values
    waves, area = np.fft.fft(left) / 4, np.diff(np.sin(np.deg2rad([-67.5, -22.5, 22.5, 67.5])))
    expected = np.average((waves[:, 0] * waves[:, 1].conj()).mean(0), axis=0, weights=area)[:3]
    np.testing.assert_allclose(one[0] + 1j * one[1], expected, rtol=1e-8)
    assert all("units" in found[name].attrs["comment"] for name in found.data_vars)


def test_a_region_has_no_spectrum(domain, tmp_path):
    assert "covariance_spectrum" not in xr.load_dataset(preprocessed(series(), domain, tmp_path)[2])


@pytest.mark.parametrize("value", [0.0, 273.15, 1e5])
def test_a_constant_channel_is_refused(source, domain, tmp_path, value):
    """A constant of every place, too: rounding leaves a variance of nearly nothing."""
    fields = fields_of(source, domain)
    fields["fields"][:, 1] = value + np.arange(48, dtype=np.float32).reshape(6, 8) * (value > 0)
    with pytest.raises(UserError, match=r"channel\(s\) t850 are constant in the training period; drop them"):
        preprocessed(fields, domain, tmp_path)
