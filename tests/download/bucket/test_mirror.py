"""A store laid down without its chunks, and what is made of those that come."""

import shutil

import numpy as np
import pytest
import xarray as xr

from hindsight.download.bucket import metadata
from hindsight.download.bucket.mirror import Mirror, holes
from hindsight.download.transfer.fetch import Fetch
from hindsight.download.transfer.storage import Place
from hindsight.settings.download import Bucket
from tests.servers import stores

NAMES = ["time", "level", "latitude", "longitude", "geopotential", "packed"]


@pytest.fixture(params=[2, 3])
def store(tmp_path, request):
    """A store with a variable that is packed into integers."""
    made = stores.fields(
        stores.pd.date_range("1959-01-01", periods=8, freq="6h"), ("latitude", "longitude"), (8, 4), (500,)
    )
    made["packed"] = made["2m_temperature"]
    packing = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 270.0, "_FillValue": -32768}
    encoding = {"packed": packing | {"chunks": (4, 4, 8)}, "geopotential": {"chunks": (4, 1, 4, 8)}}
    made.to_zarr(tmp_path / "store", zarr_format=request.param, encoding=encoding, consolidated=False)
    return tmp_path / "store"


def mirrored(store, folder, request=None):
    place, fetch = Place(str(store), {}, 5.0), Fetch("store", Bucket(retries=0, patience_seconds=0.5))
    mirror = Mirror(folder, metadata.read(place, fetch, NAMES), NAMES, request or {"a": 1})
    return mirror, lambda *cuttings: mirror.bring(list(cuttings), place, fetch, lambda size: None)


def test_what_comes_is_decoded_as_xarray_would(store, tmp_path):
    mirror, bring = mirrored(store, tmp_path / "mirror")
    rows = {"time": np.array([5, 1, 1, 6]), "latitude": np.array([0, 3])}
    cuttings = {name: mirror.cutting(name, rows) for name in ("geopotential", "packed")}
    found = bring(*cuttings.values())
    assert found.objects == 4 and not found.missing
    with xr.open_zarr(store, consolidated=False) as plain:
        for name, cutting in cuttings.items():
            expected = plain[name].isel(time=[1, 5, 6], latitude=[0, 3])
            variable = mirror.variable(name, cutting)
            np.testing.assert_array_equal(variable.values, expected.values)
            assert variable.dtype == expected.dtype and variable.attrs == expected.attrs
        time = mirror.cutting("time")
        bring(time)
        np.testing.assert_array_equal(mirror.variable("time", time, decode_times=True).values, plain["time"].values)


def test_what_has_come_is_not_fetched_again_unless_something_else_is_wanted(store, tmp_path):
    mirror, bring = mirrored(store, tmp_path / "mirror")
    bring(mirror.cutting("packed", {"time": np.array([0])}))
    again, bring = mirrored(store, tmp_path / "mirror")
    assert bring(again.cutting("packed")).objects == 1
    other, bring = mirrored(store, tmp_path / "mirror", {"a": 2})
    assert bring(other.cutting("packed")).objects == 2


def test_a_chunk_that_arrived_whole_before_a_kill_is_cut_and_not_fetched(store, tmp_path):
    mirror, bring = mirrored(store, tmp_path / "mirror")
    cutting = mirror.cutting("packed")
    key = cutting.missing()[0]
    (mirror.store / key).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(store / key, mirror.store / key)
    assert bring(cutting).objects == 1 and not cutting.missing()


def test_a_lost_chunk_is_nan_also_in_a_variable_of_integers(store, tmp_path):
    mirror, bring = mirrored(store, tmp_path / "mirror")
    cutting = mirror.cutting("packed")
    (store / cutting.missing()[1]).unlink()
    bring(cutting)
    assert holes(cutting) == cutting.missing() and len(holes(cutting)) == 1
    found = mirror.variable("packed", cutting).values
    assert np.isnan(found[4:]).all() and not np.isnan(found[:4]).any()


def test_what_does_not_change_with_time_is_full_of_its_fill_value_where_no_chunk_is_there(store, tmp_path):
    mirror, bring = mirrored(store, tmp_path / "mirror")
    for name, lost in (("packed", 0), ("geopotential", 2)):
        cutting = mirror.cutting(name)
        for key in cutting.missing():
            (store / key).unlink()
        bring(cutting)
        assert len(holes(cutting)) == lost


@pytest.mark.parametrize("lost", [1, 2])
def test_an_absent_chunk_is_missing_data_or_the_fill_value_as_the_settings_say(store, tmp_path, lost):
    mirror, bring = mirrored(store, tmp_path / "mirror")
    keys = mirror.cutting("packed").missing()[:lost]
    for key in keys:
        (store / key).unlink()
    for absent, lacks in (("missing", keys), ("fill", [])):
        cutting = mirror.cutting("packed", absent=absent)
        bring(cutting)
        found = mirror.variable("packed", cutting).values
        assert holes(cutting) == lacks and cutting.lacking() == keys
        if absent == "fill" and cutting.array.fill_value == 0:  # as Zarr 3 has it: 0 in the file is 270
            assert (found[: 4 * lost] == 270).all()
        else:
            assert np.isnan(found[: 4 * lost]).all()
        assert not np.isnan(found[4 * lost :]).any()


@pytest.mark.parametrize("absent", ["missing", "fill"])
def test_where_the_fill_value_is_nan_an_absent_chunk_is_a_hole_whatever_the_settings_say(store, tmp_path, absent):
    mirror, bring = mirrored(store, tmp_path / "mirror")
    cutting = mirror.cutting("geopotential", absent=absent)
    keys = cutting.missing()
    (store / keys[0]).unlink()
    bring(cutting)
    assert holes(cutting) == keys[:1]
