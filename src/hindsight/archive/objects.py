"""The objects of a Zarr store as bytes: encoded in memory, compared with what is on disk, replaced whole."""

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
    """Every file, by its key, of a store that is made in memory."""
    held: dict[str, Buffer] = {}
    make(MemoryStore(held))
    return {key: held[key].to_bytes() for key in sorted(held)}


def encode(values: np.ndarray, like: zarr.Array) -> bytes:
    """The bytes of one object of an array; values that do not fill it are followed by the fill value.

    Args:
        values: no longer along any dimension than an object of the array.
        like: the array whose codecs, chunks and shards they are written with.
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
    """Make a file hold some bytes: left alone if it does, else replaced whole; whether it was written."""
    sweep(path)
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return False
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        own = partial(path)
        with own.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # the marker must not outlive what it marks
        own.replace(path)
    return True


def put_json(path: Path, content: dict) -> None:
    """Make a file hold a dictionary, whole or not at all."""
    put(path, json.dumps(content, indent=1, sort_keys=True).encode())


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Say in a sentence what cannot be written; a full disk is the command line's business.

    Raises:
        UserError: naming the place and the system's reason.
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
    """Checksum of some bytes."""
    return hashlib.sha256(content).hexdigest()


def sha256(path: Path) -> str:
    """Checksum of a file, read a piece at a time."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
