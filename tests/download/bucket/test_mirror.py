"""The local copy of a store, and the chunks that arrive in it."""

import shutil

import numpy as np
import pytest
import xarray as xr

from hindsight.download.bucket import metadata
from hindsight.download.bucket.mirror import Mirror, lost_chunks
from hindsight.download.transfer.fetch import Fetcher
from hindsight.settings.download import Bucket
from hindsight.storage import Storage
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
    storage, fetcher = Storage(str(store), {}, 5.0), Fetcher("store", Bucket(retries=0, patience_seconds=0.5))
    mirror = Mirror(folder, metadata.read(storage, fetcher, NAMES), NAMES, request or {"a": 1})
    return mirror, lambda *selections: mirror.fetch(list(selections), storage, fetcher, lambda size: None)


def test_chunks_that_arrive_are_decoded_as_xarray_would(store, tmp_path):
    mirror, fetch = mirrored(store, tmp_path / "mirror")
    rows = {"time": np.array([5, 1, 1, 6]), "latitude": np.array([0, 3])}
    selections = {name: mirror.selection(name, rows) for name in ("geopotential", "packed")}
    found = fetch(*selections.values())
    assert found.objects == 4 and not found.missing
    with xr.open_zarr(store, consolidated=False) as plain:
        for name, selection in selections.items():
            expected = plain[name].isel(time=[1, 5, 6], latitude=[0, 3])
            variable = mirror.variable(name, selection)
            np.testing.assert_array_equal(variable.values, expected.values)
            assert variable.dtype == expected.dtype and variable.attrs == expected.attrs
        time = mirror.selection("time")
        fetch(time)
        np.testing.assert_array_equal(mirror.variable("time", time, decode_times=True).values, plain["time"].values)


def test_chunks_are_not_fetched_again_for_the_same_request(store, tmp_path):
    mirror, fetch = mirrored(store, tmp_path / "mirror")
    fetch(mirror.selection("packed", {"time": np.array([0])}))
    again, fetch = mirrored(store, tmp_path / "mirror")
    assert fetch(again.selection("packed")).objects == 1
    other, fetch = mirrored(store, tmp_path / "mirror", {"a": 2})
    assert fetch(other.selection("packed")).objects == 2


def test_a_chunk_that_arrived_before_a_kill_is_used_and_not_fetched(store, tmp_path):
    mirror, fetch = mirrored(store, tmp_path / "mirror")
    selection = mirror.selection("packed")
    key = selection.remaining()[0]
    (mirror.store / key).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(store / key, mirror.store / key)
    assert fetch(selection).objects == 1 and not selection.remaining()


def test_a_lost_chunk_is_nan_also_in_a_variable_of_integers(store, tmp_path):
    mirror, fetch = mirrored(store, tmp_path / "mirror")
    selection = mirror.selection("packed")
    (store / selection.remaining()[1]).unlink()
    fetch(selection)
    assert lost_chunks(selection) == selection.remaining() and len(lost_chunks(selection)) == 1
    found = mirror.variable("packed", selection).values
    assert np.isnan(found[4:]).all() and not np.isnan(found[:4]).any()


def test_a_static_variable_without_any_chunk_is_its_fill_value(store, tmp_path):
    mirror, fetch = mirrored(store, tmp_path / "mirror")
    for name, lost in (("packed", 0), ("geopotential", 2)):
        selection = mirror.selection(name)
        for key in selection.remaining():
            (store / key).unlink()
        fetch(selection)
        assert len(lost_chunks(selection)) == lost


@pytest.mark.parametrize("lost", [1, 2])
def test_a_missing_chunk_is_missing_data_or_the_fill_value_as_the_settings_say(store, tmp_path, lost):
    mirror, fetch = mirrored(store, tmp_path / "mirror")
    keys = mirror.selection("packed").remaining()[:lost]
    for key in keys:
        (store / key).unlink()
    for missing_chunk, lost_keys in (("missing", keys), ("fill", [])):
        selection = mirror.selection("packed", missing_chunk=missing_chunk)
        fetch(selection)
        found = mirror.variable("packed", selection).values
        assert lost_chunks(selection) == lost_keys and selection.incomplete() == keys
        if missing_chunk == "fill" and selection.array.fill_value == 0:  # as Zarr 3 has it: 0 in the file is 270
            assert (found[: 4 * lost] == 270).all()
        else:
            assert np.isnan(found[: 4 * lost]).all()
        assert not np.isnan(found[4 * lost :]).any()


@pytest.mark.parametrize("missing_chunk", ["missing", "fill"])
def test_where_the_fill_value_is_nan_a_missing_chunk_is_always_missing_data(store, tmp_path, missing_chunk):
    mirror, fetch = mirrored(store, tmp_path / "mirror")
    selection = mirror.selection("geopotential", missing_chunk=missing_chunk)
    keys = selection.remaining()
    (store / keys[0]).unlink()
    fetch(selection)
    assert lost_chunks(selection) == keys[:1]
