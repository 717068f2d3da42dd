"""Missing chunks of a Zarr store, against the zeros that a reader returns for them."""

import numpy as np
import pytest
import zarr
from zarr.codecs import ShardingCodec

from hindsight.download.missing_chunks import missing_rows
from hindsight.errors import UserError

LAYOUTS = {  # version of Zarr, and how chunks are named
    f"v{version} {name} {between}": (version, {"name": name, "separator": between})
    for version, name in ((2, "v2"), (3, "v2"), (3, "default"))
    for between in "./"
}
SHAPES = {
    (23,): (4,),
    (23, 1, 6): (3, 1, 6),  # one chunk a time: the folders below it are not listed one by one
    (36, 5, 7): (2, 5, 4),
    (11, 3, 4, 5): (1, 1, 2, 5),
}


def made(folder, shape, chunks, layout, generator):
    """An array, positive where its chunks exist; chunks of zeros are left out."""
    version, keys = LAYOUTS[layout]
    array = zarr.create_group(folder, zarr_format=version).create_array(
        "v", shape=shape, chunks=chunks, dtype="f4", fill_value=0, compressors=None, chunk_key_encoding=keys,
        config={"write_empty_chunks": False},
    )  # fmt: skip
    lost = generator.random([-(-length // size) for length, size in zip(shape, chunks)]) < 0.1
    rows = np.ix_(*(np.arange(length) // size for length, size in zip(shape, chunks)))
    array[:] = np.where(lost[rows], 0, 1 + generator.random(shape))
    return array


def files(folder):
    return sorted(p for p in (folder / "v").rglob("*") if p.is_file() and p.name[-1].isdigit())


def by_values(array):
    """Brute force: values are zero where a chunk is missing."""
    return (array[:].reshape(array.shape[0], -1) == 0).any(1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_chunks_that_were_left_out_or_deleted_are_found(tmp_path, layout, shape):
    generator = np.random.default_rng(len(shape))
    array = made(tmp_path, shape, SHAPES[shape], layout, generator)
    np.testing.assert_array_equal(missing_rows(tmp_path, "v"), by_values(array))
    there = files(tmp_path)
    for file in generator.choice(there, -(-len(there) // 8), replace=False):
        file.unlink()
    (tmp_path / "v/0.0.0.partial").touch()  # what a killed writer leaves is no chunk
    found = missing_rows(tmp_path, "v")
    assert 0 < found.sum() < len(found)
    np.testing.assert_array_equal(found, by_values(array))


@pytest.mark.parametrize("where", ["start", "end"])
@pytest.mark.parametrize("index", [["little"], ["little", "crc32c"], ["big", "crc32c"]], ids="-".join)
@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if "v3" in layout])
def test_chunks_missing_in_shards_are_found_by_the_index(tmp_path, layout, index, where):
    generator = np.random.default_rng(3)
    codecs = [{"name": "bytes", "configuration": {"endian": index[0]}}, *({"name": name} for name in index[1:])]
    shards = ShardingCodec(chunk_shape=(2, 3, 3), index_codecs=codecs, index_location=where)
    zarr.create_group(tmp_path)
    array = zarr.create(
        store=tmp_path, path="v", shape=(45, 5, 7), chunks=(6, 6, 3), dtype="f4", fill_value=0, codecs=[shards],
        zarr_format=3, chunk_key_encoding=LAYOUTS[layout][1], config={"write_empty_chunks": False},
    )  # fmt: skip
    assert (array.shards, array.chunks) == ((6, 6, 3), (2, 3, 3))
    lost = generator.random((23, 2, 3)) < 0.05
    rows = np.ix_(*(np.arange(length) // size for length, size in zip(array.shape, array.chunks)))
    array[:] = np.where(lost[rows], 0, 1.0)
    files(tmp_path)[4].unlink()
    found = missing_rows(tmp_path, "v")
    assert 6 < found.sum() < 40
    np.testing.assert_array_equal(found, by_values(array))


def test_a_shard_that_is_cut_off_is_refused(tmp_path):
    group = zarr.create_group(tmp_path)
    group.create_array("v", shape=(8, 4), chunks=(1, 2), shards=(4, 4), dtype="f4")[:] = 1
    last = files(tmp_path)[-1]
    last.write_bytes(last.read_bytes()[:100])
    with pytest.raises(UserError, match="is cut off: it has 100 bytes, and its index alone takes 132; fetch it again"):
        missing_rows(tmp_path, "v")


def test_in_an_array_without_chunks_all_are_missing(tmp_path):
    for version in (2, 3):
        group = zarr.create_group(tmp_path / str(version), zarr_format=version)
        group.create_array("v", shape=(5, 4), chunks=(2, 2), dtype="f4")
        assert missing_rows(tmp_path / str(version), "v").tolist() == [True] * 5
