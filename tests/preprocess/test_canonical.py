"""From a source's own names to the pipeline's, and everything that can be wrong with a source."""

import numpy as np
import pytest

from hindsight.errors import UserError
from hindsight.preprocess.canonical import canonical


def test_names_units_and_order_are_canonical(source, domain):
    found = canonical(source, domain, "x")["fields"]
    assert found.dims == ("time", "channel", "latitude", "longitude") and found.dtype == np.float32
    assert (np.diff(found["latitude"]) > 0).all()
    np.testing.assert_allclose(found.sel(channel="t850").values, source["t"].values[:, ::-1] + 273.15, rtol=1e-6)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda s: s.drop_vars("t"), "no variable for channel t850"),
        (lambda s: s.assign(t=s.t.assign_attrs(units="furlong")), "units 'furlong'"),
        (lambda s: s.isel(time=[0, 1, 3, *range(4, 425)]), "a gap after 2000-01-02"),
        (lambda s: s.isel(time=[0, 1, 1, *range(2, 425)]), "a repeated time after 2000-01-02"),
        (lambda s: s.assign(z=s.z.where(s.time != s.time[5])), "'z' has NaN in 1 frame.*2000-01-06"),
        (lambda s: s.assign_coords(lat=[50, 48, 46, 44, 42, 39.0]), "latitude is not regular"),
        (lambda s: s.assign(t=s.t + 300), "outside what channel t850 can be"),
        (lambda s: s.isel(time=slice(0, 300)), "no frame from 2001-01-01"),
        (lambda s: s.rename(lat="rows"), "no coordinate latitude"),
    ],
)
def test_what_is_wrong_with_a_source_is_said_in_words(source, domain, spoil, says):
    with pytest.raises(UserError, match=says):
        canonical(spoil(source), domain, "x")


def test_a_level_is_picked_where_there_are_levels(source, domain):
    levels = source.expand_dims(isobaricInhPa=[850, 500]).copy()
    levels["z"] = levels["z"] + 10 * (levels["isobaricInhPa"] == 500)
    found = canonical(levels, domain, "x")["fields"].sel(channel="z500")
    np.testing.assert_allclose(found.values, source["z"].values[:, ::-1] + 10, rtol=1e-6)
    with pytest.raises(UserError, match="no level 500 hPa"):
        canonical(levels.sel(isobaricInhPa=[850]), domain, "x")


def test_a_region_is_cut_out_also_across_greenwich(source, domain):
    turned = source.assign_coords(lon=source["lon"] % 360)
    turned = turned.sortby("lon")
    whole, again = (canonical(s, domain, "x")["fields"] for s in (source, turned))
    np.testing.assert_array_equal(whole.values, again.values)
    part = canonical(source, domain.model_copy(update={"west": -4.0, "east": 4.0}), "x")
    assert part["longitude"].min() >= -4 and part["longitude"].max() <= 4
    for accident in ({"south": 80.0}, {"south": 47.0, "north": 49.0}, {"west": 6.0}):
        with pytest.raises(UserError, match="fewer than 2 points"):
            canonical(source, domain.model_copy(update=accident), "x")


def test_a_source_of_one_latitude_passes_and_a_source_of_one_point_does_not(source, domain):
    line = source.isel(lat=[2])
    found = canonical(line, domain, "x")["fields"]
    np.testing.assert_allclose(found.sel(channel="z500")[:, 0], source["z"][:, 2], rtol=1e-6)
    assert canonical(source.isel(lon=[2]), domain, "x")["fields"].shape[2:] == (6, 1)
    for spoilt, region in ((line.isel(lon=[0]), {}), (line, {"south": 60.0}), (line, {"west": 6.0})):
        with pytest.raises(UserError, match="fewer than 2 points"):
            canonical(spoilt, domain.model_copy(update=region), "x")


def test_a_test_period_that_does_not_start_with_a_frame_is_refused(source, domain):
    wrong = domain.model_validate(domain.model_dump() | {"test": {"start": "2001-02-01", "end": "2001-02-28"}})
    with pytest.raises(UserError, match="2001-02-01T12:00, and domain.test.start is 2001-02-01T00:00"):
        canonical(source, wrong, "x")
