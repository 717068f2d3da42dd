"""Objects as bytes."""

import errno

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec

from hindsight.archive import objects
from hindsight.errors import UserError


def test_bytes_encoded_in_memory_equal_those_of_zarr_also_for_partial_shards(tmp_path):
    """Blocks, frames and tiles that do not fill the last object."""
    values = np.random.default_rng(0).standard_normal((6, 25, 21, 24)).astype("float32")
    array = zarr.create_array(
        tmp_path / "x", shape=values.shape, chunks=(1, 5, 11, 12), shards=(4, 10, 22, 24), dtype="float32",
        fill_value=np.nan, compressors=BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"))  # fmt: skip
    array[:] = values
    for block in (0, 1):
        for shard in (0, 1, 2):
            part = values[4 * block : 4 * block + 4, 10 * shard : 10 * shard + 10]
            assert objects.encode(part, array) == (tmp_path / f"x/c/{block}/{shard}/0/0").read_bytes()


def test_equal_bytes_are_not_rewritten_and_others_are_replaced(tmp_path):
    path = tmp_path / "a/b"
    assert objects.put(path, b"one")
    before = path.stat()
    assert not objects.put(path, b"one")
    assert path.stat().st_ino == before.st_ino and path.stat().st_mtime_ns == before.st_mtime_ns
    assert objects.put(path, b"two") and path.read_bytes() == b"two"
    assert path.stat().st_ino != before.st_ino and [p.name for p in path.parent.iterdir()] == ["b"]


def test_an_error_of_writing_is_a_clear_error_and_a_full_disk_is_left_to_the_command_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write .* make the folder writable"):
        objects.put(tmp_path / "file/b", b"")
    with pytest.raises(OSError, match="full"), objects.writing("x"):
        raise OSError(errno.ENOSPC, "full")
    with pytest.raises(UserError, match="Read-only"), objects.writing("x"):
        raise OSError(errno.EROFS, "Read-only file system")


def test_checksums(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, example 1
    assert objects.sha256(tmp_path / "a") == objects.sha256_of(b"abc") == known
