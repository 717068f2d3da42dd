"""Which chunks a selection needs, held against brute force, and the selection put together from them."""

import shutil

import numpy as np
import pytest
import zarr
from numcodecs import Blosc
from zarr.codecs import BloscCodec

from hindsight.download.bucket.array_selection import ArraySelection
from hindsight.transfer_errors import TransferError

SHAPE, CHUNKS, SHARDS = (23, 7, 10), (5, 3, 4), (10, 3, 8)
ROWS = (np.array([0, 4, 5, 11, 12, 13, 22]), np.array([2, 5]), np.arange(3, 9))


def array(folder, version, shards=None, compressors="auto", seed=0, dtype="float32"):
    """An array whose metadata lies in `local`, its chunks in `remote`."""
    made = zarr.create_array(
        folder / "remote/x",
        shape=SHAPE,
        chunks=CHUNKS,
        shards=shards,
        dtype=dtype,
        zarr_format=version,
        compressors=compressors,
        fill_value=7,
    )
    made[:] = np.random.default_rng(seed).random(SHAPE) * 100
    for document in ("zarr.json", ".zarray", ".zattrs"):
        if (folder / "remote/x" / document).is_file():
            (folder / "local/x").mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "remote/x" / document, folder / "local/x" / document)
    return made, zarr.open_array(folder / "local/x", mode="r")


KINDS = {
    "v2": (2, None, "auto"),
    "v2 blosc": (2, None, Blosc(cname="lz4")),
    "v2 plain": (2, None, None),
    "v3": (3, None, "auto"),
    "v3 blosc": (3, None, BloscCodec()),
    "v3 sharded": (3, SHARDS, "auto"),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def arrive(folder, key):
    path = folder / "local" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "remote" / key, path)
    return path


def test_the_chunks_needed_are_those_that_hold_a_row_along_every_dimension(tmp_path, kind):
    version, shards, compressors = kind
    made, local = array(tmp_path, version, shards, compressors)
    selection = ArraySelection(local, "x", ROWS, tmp_path / "cut")
    grid = shards or CHUNKS
    brute = {tuple(np.array(point) // grid) for point in np.stack(np.meshgrid(*ROWS), -1).reshape(-1, 3)}
    keys = {f"x/{made.metadata.encode_chunk_key(tuple(map(int, chunk)))}" for chunk in brute}
    assert set(selection.chunks) == set(selection.remaining()) == keys
    assert all((tmp_path / "remote" / key).is_file() for key in keys)


def test_a_selection_put_together_from_its_chunks_is_the_selection(tmp_path, kind):
    made, local = array(tmp_path, *kind)
    selection = ArraySelection(local, "x", ROWS, tmp_path / "cut")
    for key in selection.remaining():
        chunk = arrive(tmp_path, key)
        selection.extract(key, chunk)
        assert not chunk.exists()
    np.testing.assert_array_equal(selection.values().compute(), made.oindex[ROWS])
    assert selection.present().compute().all() and not selection.remaining()
    assert selection.values().chunks == selection.sizes


def test_a_missing_chunk_is_the_fill_value_and_marked_as_missing(tmp_path):
    made, local = array(tmp_path, 2)
    selection = ArraySelection(local, "x", ROWS, tmp_path / "cut")
    lost = "x/2.0.1"
    for key in selection.remaining():
        if key != lost:
            selection.extract(key, arrive(tmp_path, key))
    assert selection.remaining() == [lost]
    expected, gone = made.oindex[ROWS], np.zeros([len(rows) for rows in ROWS], bool)
    gone[3:6, :1, 1:5] = True  # rows 11, 12, 13; 2; 4 to 7
    np.testing.assert_array_equal(selection.present().compute(), ~gone)
    np.testing.assert_array_equal(selection.values().compute(), np.where(gone, 7, expected))


@pytest.mark.parametrize("missing_chunk", ["missing", "fill", "unless_others"])
def test_chunks_missing_in_a_shard_are_marked(tmp_path, missing_chunk):
    made, local = array(tmp_path, 3, SHARDS)
    values = made[:]
    values[5:10, :3, 4:8] = 7  # the fill value: the chunk is left out of its shard
    made[:] = values
    selection = ArraySelection(local, "x", ROWS, tmp_path / "cut", missing_chunk)
    for key in selection.remaining():
        selection.extract(key, arrive(tmp_path, key))
    assert selection.incomplete() == ["x/c/0/0/0"] and not selection.remaining()
    known, wanted = np.ones(SHAPE, bool), np.ix_(*ROWS)
    known[5:10, :3, 4:8] = missing_chunk != "missing"
    np.testing.assert_array_equal(selection.present().compute(), known[wanted])
    np.testing.assert_array_equal(selection.values().compute(), values[wanted])
    (tmp_path / "remote/x/c/0/0/0").unlink()
    made[:] = np.where(values == 7, 8, values)
    selection.extract("x/c/0/0/0", arrive(tmp_path, "x/c/0/0/0"))  # mended since
    assert selection.incomplete() == [] and selection.present().compute().all()


@pytest.mark.parametrize("spoil", ["half", "longer", "empty", "flipped"])
def test_a_damaged_chunk_is_removed(tmp_path, kind, spoil):
    version, shards, compressors = kind
    if spoil == "flipped" and compressors is None:
        pytest.skip("nobody can tell: any bytes are numbers")
    _, local = array(tmp_path, version, shards, compressors)
    selection = ArraySelection(local, "x", ROWS, tmp_path / "cut")
    key = selection.remaining()[0]
    chunk = arrive(tmp_path, key)
    bytes_ = chunk.read_bytes()
    flipped = bytes(byte ^ 0xFF for byte in bytes_)
    spoilt = {"half": bytes_[: len(bytes_) // 2], "longer": bytes_ + b"more", "empty": b"", "flipped": flipped}
    chunk.write_bytes(spoilt[spoil])
    with pytest.raises(TransferError, match="does not decode") as error:
        selection.extract(key, chunk)
    assert error.value.kind == "busy" and not chunk.exists() and key in selection.remaining()
    selection.extract(key, arrive(tmp_path, key))


def test_a_chunk_removed_by_another_job_is_not_read_as_the_fill_value(tmp_path, monkeypatch):
    """Two jobs fetch the same: one extracts the chunk and deletes it just before the other reads it."""
    made, local = array(tmp_path, 2)
    first, second = (ArraySelection(local, "x", ROWS, tmp_path / "cut") for _ in range(2))
    key = first.remaining()[0]
    chunk = arrive(tmp_path, key)
    monkeypatch.setattr(second, "_check_length", lambda path: first.extract(key, path))
    with pytest.raises(TransferError):
        second.extract(key, chunk)
    chunk_rows = first.chunks[key]
    np.testing.assert_array_equal(np.load(first.file(key)), made.oindex[chunk_rows.rows])


def test_a_selection_of_an_unchunked_axis_is_one_chunk(tmp_path):
    made = zarr.create_array(tmp_path / "x", shape=(5,), chunks=(5,), dtype="int64", zarr_format=2)
    selection = ArraySelection(made, "x", (np.array([1, 3]),), tmp_path / "cut")
    assert list(selection.chunks) == ["x/0"] and selection.sizes == ((2,),)
