"""Stores that are there whole or not at all."""

import json
from contextlib import suppress

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import store
from tests.test_partials import killed_at_rename, rename_fails


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


def put(made, path):
    store.write(made, path)


WRITERS = {"write": put, "write_parts": lambda made, path: in_parts(made, path)}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("number", [1, 2])
def test_a_rename_that_fails_leaves_the_old_store(tmp_path, monkeypatch, writer, number):
    writer(whole(0), tmp_path / "a.zarr")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="Input/output"):
        rename_fails(patch, number)
        writer(whole(1), tmp_path / "a.zarr")
    xr.testing.assert_equal(store.read(tmp_path / "a.zarr").load(), whole(0))
    writer(whole(1), tmp_path / "a.zarr")
    xr.testing.assert_equal(store.read(tmp_path / "a.zarr").load(), whole(1))
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_killed_anywhere_a_writer_leaves_the_old_store_or_the_new_one(tmp_path, monkeypatch, writer, number):
    writer(whole(0), tmp_path / "a.zarr")
    with monkeypatch.context() as patch, suppress(OSError):
        killed_at_rename(patch, number)
        writer(whole(1), tmp_path / "a.zarr")
    assert store.exists(tmp_path / "a.zarr/zarr.json")
    xr.testing.assert_equal(store.read(tmp_path / "a.zarr").load(), whole(int(number == 3)))
    writer(whole(2), tmp_path / "a.zarr")
    xr.testing.assert_equal(store.read(tmp_path / "a.zarr").load(), whole(2))
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_a_missing_store_is_refused_with_the_remedy(tmp_path):
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


TIMES = np.datetime64("2000-01-01", "ns") + np.arange(10) * np.timedelta64(6, "h")


def whole(seed=0):
    generator = np.random.default_rng(seed)
    return xr.Dataset(
        {
            "a": (("time", "x"), generator.standard_normal((10, 3)), {"units": "K"}),
            "b": (("time", "y"), generator.standard_normal((10, 2)).astype("float32")),
            "still": ("x", [1.0, 2.0, 3.0]),
        },
        coords={"time": TIMES, "x": [0.0, 10.0, 20.0]},
        attrs={"note": "kept"},
    )


def unknown(block):
    raise AssertionError("a lazy variable of the template was computed")


def in_parts(made, path, stretches=((0, 4), (4, 8), (8, 10))):
    lazy = made[["a", "b"]].chunk({"time": 4, "x": -1, "y": -1})
    template = made.assign({n: (v.dims, v.data.map_blocks(unknown, dtype=v.dtype), v.attrs) for n, v in lazy.items()})
    store.write_parts(template, (made[["a", "b"]].isel(time=slice(*stretch)) for stretch in stretches), path)


def digest(path):
    return json.loads((path / "zarr.json").read_text())["attributes"]["digest"]


@pytest.mark.parametrize("stretches", [((0, 4), (4, 8), (8, 10)), ((8, 10), (0, 4), (4, 8)), ((0, 8), (8, 10))])
def test_a_store_written_in_parts_in_any_order_is_the_one_written_at_once(tmp_path, stretches):
    in_parts(whole(), tmp_path / "parts.zarr", stretches)
    store.write(whole().chunk({"time": 4, "x": -1, "y": -1}), tmp_path / "once.zarr")
    parts, once = (store.read(tmp_path / f"{name}.zarr").load() for name in ("parts", "once"))
    xr.testing.assert_equal(parts, once)
    assert parts.attrs["note"] == "kept" and parts["a"].attrs["units"] == "K"
    assert digest(tmp_path / "parts.zarr") == store.digest(tmp_path / "parts.zarr")
    assert not list(tmp_path.glob("*.partial"))


def test_a_store_written_in_parts_carries_a_digest_of_its_values(tmp_path):
    digests = []
    for seed in (0, 1, 0):
        in_parts(whole(seed), tmp_path / "a.zarr/zarr.json")
        digests.append(digest(tmp_path / "a.zarr"))
    assert digests[0] == digests[2] != digests[1]


def test_parts_that_stop_coming_leave_the_old_store_or_none(tmp_path):
    made = whole()
    template = made[["a", "b"]].chunk({"time": 4})

    def broken():
        yield made[["a", "b"]].isel(time=slice(0, 4))
        raise RuntimeError("the source broke down")

    with pytest.raises(RuntimeError, match="broke down"):
        store.write_parts(template, broken(), tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()
    in_parts(made, tmp_path / "a.zarr")
    with pytest.raises(RuntimeError, match="broke down"):
        store.write_parts(template, broken(), tmp_path / "a.zarr")
    xr.testing.assert_equal(store.read(tmp_path / "a.zarr").load(), made)
    in_parts(whole(1), tmp_path / "a.zarr")  # what was left half done is no hindrance
    xr.testing.assert_equal(store.read(tmp_path / "a.zarr").load(), whole(1))


def test_too_little_free_space_is_refused_with_the_amounts(tmp_path):
    store.require_free_space(tmp_path / "new/a.zarr/zarr.json", 0.0)
    with pytest.raises(
        UserError, match=r"only \d+\.\d GB are free in .*new; download.minimum_free_gb requires 1000000000"
    ):
        store.require_free_space(tmp_path / "new/a.zarr/zarr.json", 1e9)
