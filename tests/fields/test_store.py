"""Stores that are there whole or not at all."""

import json

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import store


def dataset(value=1.0):
    return xr.Dataset({"a": ("x", np.full(5, value))}, attrs={"note": "kept"})


def test_what_is_written_is_read_by_folder_or_by_metadata_file(tmp_path):
    store.write(dataset(), tmp_path / "a.zarr/zarr.json")
    for path in (tmp_path / "a.zarr", tmp_path / "a.zarr/zarr.json"):
        xr.testing.assert_equal(store.read(path), dataset())
    assert store.read(tmp_path / "a.zarr").attrs["note"] == "kept"


def test_the_metadata_file_changes_when_only_the_values_do(tmp_path):
    """Snakemake compares small files by content: a store whose zarr.json stayed the same would not rerun anything."""
    texts = []
    for value in (1.0, 2.0, 1.0):
        store.write(dataset(value), tmp_path / "a.zarr")
        texts.append((tmp_path / "a.zarr/zarr.json").read_text())
    assert texts[0] != texts[1] and texts[0] == texts[2]
    assert json.loads(texts[0])["attributes"]["digest"]


def test_a_write_that_fails_leaves_the_old_store(tmp_path):
    store.write(dataset(), tmp_path / "a.zarr")
    with pytest.raises(Exception):  # noqa: B017 any backend's own
        store.write(xr.Dataset({"bad": ("x", np.array([object()]))}), tmp_path / "a.zarr")
    xr.testing.assert_equal(store.read(tmp_path / "a.zarr"), dataset())


def test_a_store_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="run snakemake"):
        store.read(tmp_path / "none.zarr")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    store.replace(path, lambda partial: partial.write_text("first"))

    def fail(partial):
        partial.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.replace(path, fail)
    assert path.read_text() == "first"
