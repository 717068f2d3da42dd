"""Which chunks a selection needs, held against brute force, and the selection put together from them."""

import shutil

import numpy as np
import pytest
import zarr
from numcodecs import Blosc
from zarr.codecs import BloscCodec

from hindsight.download.bucket.array_selection import Cutting
from hindsight.download.transfer.retry import Trouble

SHAPE, CHUNKS, SHARDS = (23, 7, 10), (5, 3, 4), (10, 3, 8)
ROWS = (np.array([0, 4, 5, 11, 12, 13, 22]), np.array([2, 5]), np.arange(3, 9))


def array(folder, version, shards=None, compressors="auto", seed=0, dtype="float32"):
    """An array whose metadata lies in `there`, its chunks in `remote`."""
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
            (folder / "there/x").mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "remote/x" / document, folder / "there/x" / document)
    return made, zarr.open_array(folder / "there/x", mode="r")


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
    path = folder / "there" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "remote" / key, path)
    return path


def test_the_chunks_needed_are_those_that_hold_a_row_along_every_dimension(tmp_path, kind):
    version, shards, compressors = kind
    made, there = array(tmp_path, version, shards, compressors)
    cutting = Cutting(there, "x", ROWS, tmp_path / "cut")
    grid = shards or CHUNKS
    brute = {tuple(np.array(point) // grid) for point in np.stack(np.meshgrid(*ROWS), -1).reshape(-1, 3)}
    keys = {f"x/{made.metadata.encode_chunk_key(tuple(map(int, chunk)))}" for chunk in brute}
    assert set(cutting.pieces) == set(cutting.missing()) == keys
    assert all((tmp_path / "remote" / key).is_file() for key in keys)


def test_a_selection_put_together_from_its_chunks_is_the_selection(tmp_path, kind):
    made, there = array(tmp_path, *kind)
    cutting = Cutting(there, "x", ROWS, tmp_path / "cut")
    for key in cutting.missing():
        chunk = arrive(tmp_path, key)
        cutting.cut(key, chunk)
        assert not chunk.exists()
    np.testing.assert_array_equal(cutting.whole().compute(), made.oindex[ROWS])
    assert cutting.there().compute().all() and not cutting.missing()
    assert cutting.whole().chunks == cutting.sizes


def test_where_a_chunk_is_not_there_the_fill_value_stands_and_is_known(tmp_path):
    made, there = array(tmp_path, 2)
    cutting = Cutting(there, "x", ROWS, tmp_path / "cut")
    lost = "x/2.0.1"
    for key in cutting.missing():
        if key != lost:
            cutting.cut(key, arrive(tmp_path, key))
    assert cutting.missing() == [lost]
    expected, gone = made.oindex[ROWS], np.zeros([len(rows) for rows in ROWS], bool)
    gone[3:6, :1, 1:5] = True  # rows 11, 12, 13; 2; 4 to 7
    np.testing.assert_array_equal(cutting.there().compute(), ~gone)
    np.testing.assert_array_equal(cutting.whole().compute(), np.where(gone, 7, expected))


@pytest.mark.parametrize("absent", ["missing", "fill", "unless_others"])
def test_what_a_shard_lacks_is_known(tmp_path, absent):
    made, there = array(tmp_path, 3, SHARDS)
    values = made[:]
    values[5:10, :3, 4:8] = 7  # the fill value: the chunk is left out of its shard
    made[:] = values
    cutting = Cutting(there, "x", ROWS, tmp_path / "cut", absent)
    for key in cutting.missing():
        cutting.cut(key, arrive(tmp_path, key))
    assert cutting.lacking() == ["x/c/0/0/0"] and not cutting.missing()
    known, wanted = np.ones(SHAPE, bool), np.ix_(*ROWS)
    known[5:10, :3, 4:8] = absent != "missing"
    np.testing.assert_array_equal(cutting.there().compute(), known[wanted])
    np.testing.assert_array_equal(cutting.whole().compute(), values[wanted])
    (tmp_path / "remote/x/c/0/0/0").unlink()
    made[:] = np.where(values == 7, 8, values)
    cutting.cut("x/c/0/0/0", arrive(tmp_path, "x/c/0/0/0"))  # mended since
    assert cutting.lacking() == [] and cutting.there().compute().all()


@pytest.mark.parametrize("spoil", ["half", "longer", "empty", "flipped"])
def test_a_chunk_that_is_not_what_it_should_be_is_removed(tmp_path, kind, spoil):
    version, shards, compressors = kind
    if spoil == "flipped" and compressors is None:
        pytest.skip("nobody can tell: any bytes are numbers")
    _, there = array(tmp_path, version, shards, compressors)
    cutting = Cutting(there, "x", ROWS, tmp_path / "cut")
    key = cutting.missing()[0]
    chunk = arrive(tmp_path, key)
    bytes_ = chunk.read_bytes()
    flipped = bytes(byte ^ 0xFF for byte in bytes_)
    spoilt = {"half": bytes_[: len(bytes_) // 2], "longer": bytes_ + b"more", "empty": b"", "flipped": flipped}
    chunk.write_bytes(spoilt[spoil])
    with pytest.raises(Trouble, match="does not decode") as trouble:
        cutting.cut(key, chunk)
    assert trouble.value.means == "busy" and not chunk.exists() and key in cutting.missing()
    cutting.cut(key, arrive(tmp_path, key))


def test_a_chunk_that_another_job_takes_away_is_not_read_as_the_fill_value(tmp_path, monkeypatch):
    """Two that fetch the same: one has cut the chunk and removes it just before the other reads it."""
    made, there = array(tmp_path, 2)
    first, second = (Cutting(there, "x", ROWS, tmp_path / "cut") for _ in range(2))
    key = first.missing()[0]
    chunk = arrive(tmp_path, key)
    monkeypatch.setattr(second, "_measure", lambda path: first.cut(key, path))
    with pytest.raises(Trouble):
        second.cut(key, chunk)
    piece = first.pieces[key]
    np.testing.assert_array_equal(np.load(first.place(key)), made.oindex[piece.rows])


def test_a_selection_of_an_axis_without_chunks_apart_is_one_chunk(tmp_path):
    made = zarr.create_array(tmp_path / "x", shape=(5,), chunks=(5,), dtype="int64", zarr_format=2)
    cutting = Cutting(made, "x", (np.array([1, 3]),), tmp_path / "cut")
    assert list(cutting.pieces) == ["x/0"] and cutting.sizes == ((2,),)
