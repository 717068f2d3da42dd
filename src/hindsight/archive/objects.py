"""Objects of a Zarr store as bytes: encoded in memory, compared with the file on disk, and replaced as a whole."""

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import zarr
from zarr.abc.buffer import Buffer
from zarr.storage import MemoryStore

from hindsight.errors import UserError
from hindsight.partials import partial, sweep


def in_memory(make: Callable[[MemoryStore], object]) -> dict[str, bytes]:
    """Make a store in memory and return its files by key."""
    buffers: dict[str, Buffer] = {}
    make(MemoryStore(buffers))
    return {key: buffers[key].to_bytes() for key in sorted(buffers)}


def encode(values: np.ndarray, like: zarr.Array) -> bytes:
    """Encode one object of an array; if the values do not fill it, the rest is fill value.

    Args:
        values: at most as long along every dimension as an object of the array.
        like: the array whose codecs, chunks and Zarr shards are used.
    """

    def make(store: MemoryStore) -> None:
        array = zarr.create_array(
            store,
            shape=values.shape,
            dtype=like.dtype,
            chunks=like.chunks,
            shards=like.shards,
            fill_value=like.fill_value,
            compressors=like.compressors,
            zarr_format=3,
        )
        array[:] = values

    return in_memory(make)["/".join(["c", *["0"] * values.ndim])]


def put(path: Path, content: bytes) -> bool:
    """Write bytes to a file by an atomic replacement, unless it has them already; returns whether it was written."""
    sweep(path)
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return False
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = partial(path)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or the marker might survive a crash that its objects do not
        temporary.replace(path)
    return True


def put_json(path: Path, content: dict) -> None:
    """Write a dictionary to a JSON file by an atomic replacement."""
    put(path, json.dumps(content, indent=1, sort_keys=True).encode())


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Turn errors of writing into a `UserError`, except a full disk, which the command line explains.

    Raises:
        UserError: with the path and the reason that the system gives.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            f"cannot write {path} ({error.strerror or error}); make the folder writable for you, or name another run"
        ) from None


def sha256_of(content: bytes) -> str:
    """SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
