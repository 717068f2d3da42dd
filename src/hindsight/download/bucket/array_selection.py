"""The chunks of a Zarr array that a selection needs, and the selection assembled from them.

Each chunk is decoded once, when it arrives, which also shows whether it is complete. The values that the selection
needs (one level of thirteen, a region, every sixth hour) are saved as a plain array, and the chunk is deleted, so a
part takes only the disk space of its own values. In Zarr v3 with sharding the object that is fetched is a Zarr shard.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import dask.array
import numpy as np
import zarr

from hindsight.download.missing_chunks import present_in_shard
from hindsight.fields import store
from hindsight.transfer_errors import TransferError

MissingChunk = Literal["missing", "fill", "unless_others"]
BLOSC_HEADER = 16  # bytes


@dataclass(frozen=True)
class ChunkRows:
    """The rows that a selection needs of one chunk, along every dimension, counted in the whole array."""

    key: str
    block: tuple[int, ...]
    rows: tuple[np.ndarray, ...]


class ArraySelection:
    """A selection of an array, chunk by chunk.

    Args:
        array: opened from a copy of its metadata, beside which its chunks arrive.
        name: of the array in the store.
        rows: to select along every dimension, in rising order.
        folder: where the selected values of each chunk are saved.
        missing_chunk: the meaning of a chunk that the store does not have: missing data, the fill value, or the fill
            value unless other chunks exist. Where the fill value is NaN, or there is none, it is always missing data.
    """

    def __init__(
        self,
        array: zarr.Array,
        name: str,
        rows: tuple[np.ndarray, ...],
        folder: Path,
        missing_chunk: MissingChunk = "unless_others",
    ) -> None:
        fill = array.fill_value
        self.array, self.folder = array, folder
        self.missing_chunk = "missing" if fill is None or fill != fill else missing_chunk
        self.grid = array.shards or array.chunks
        runs = [_runs(each, size) for each, size in zip(rows, self.grid)]
        self.sizes = tuple(tuple(len(run) for run in along) for along in runs)
        self.chunks = {chunk_rows.key: chunk_rows for chunk_rows in self._chunks(name, runs)}

    def _chunks(self, name: str, runs: list[list[np.ndarray]]) -> list[ChunkRows]:
        blocks = product(*(range(len(along)) for along in runs))
        found = []
        for block in blocks:
            rows = tuple(along[number] for along, number in zip(runs, block))
            chunk = tuple(int(run[0]) // size for run, size in zip(rows, self.grid))
            found.append(ChunkRows(f"{name}/{self.array.metadata.encode_chunk_key(chunk)}", block, rows))
        return found

    def file(self, key: str) -> Path:
        """The file of the values selected from a chunk."""
        return self.folder / f"{key}.npy"

    def remaining(self) -> list[str]:
        """Chunks from which nothing has been extracted yet."""
        return [key for key in self.chunks if not self.file(key).is_file()]

    def extract(self, key: str, chunk: Path) -> None:
        """Save the selected values of a chunk that has arrived, and delete the chunk.

        Raises:
            TransferError: if the chunk cannot be decoded; it is deleted then, too.
        """
        try:
            self._check_length(chunk)
            present = self._present_values(chunk, self.chunks[key])
            values = self.array.oindex[tuple(map(_as_slice, self.chunks[key].rows))]
            chunk.stat()  # raises if another job removed it meanwhile: zarr would then have read the fill value
        except Exception as error:  # every codec raises its own
            chunk.unlink(missing_ok=True)
            raise TransferError("busy", f"it does not decode: {error}") from error
        self._presence_file(key).unlink(missing_ok=True)
        if not present.all():
            store.replace(self._presence_file(key), lambda partial: _save(partial, present))
        store.replace(self.file(key), lambda partial: _save(partial, values))
        chunk.unlink(missing_ok=True)

    def incomplete(self) -> list[str]:
        """Chunks that are missing, and Zarr shards in which chunks are missing."""
        return [key for key in self.chunks if not self.file(key).is_file() or self._presence_file(key).is_file()]

    def _presence_file(self, key: str) -> Path:
        """Where some chunks of a Zarr shard are missing, the file that says which selected values exist."""
        return self.folder / f"{key}.present.npy"

    def _present_values(self, chunk: Path, chunk_rows: ChunkRows) -> np.ndarray:
        """Which selected values come from chunks that the Zarr shard holds."""
        if self.array.shards is None:
            return np.ones([1] * len(chunk_rows.rows), bool)
        inner = [rows % shard // size for rows, shard, size in zip(chunk_rows.rows, self.grid, self.array.chunks)]
        return present_in_shard(chunk, self.array)[np.ix_(*inner)]

    def _check_length(self, chunk: Path) -> None:
        """Refuse a file of the wrong length; the Blosc decoder would read beyond its end."""
        length, sharded = chunk.stat().st_size, self.array.shards is not None
        if length == 0:
            raise ValueError("it is empty")
        if self.array.compressors and "Blosc" in type(self.array.compressors[-1]).__name__ and not sharded:
            with chunk.open("rb") as file:
                expected = int.from_bytes(file.read(BLOSC_HEADER)[12:], "little")
            if length != expected:
                raise ValueError(f"{length} bytes where its header says {expected}")

    def values(self) -> dask.array.Array:
        """The selection, lazy; the fill value where a chunk is missing."""
        return self._assemble(self._values, self.array.dtype)

    def present(self) -> dask.array.Array:
        """Whether each value of the selection comes from a chunk that exists, lazy."""
        return self._assemble(self._is_present, np.dtype(bool))

    def _assemble(self, block: object, dtype: np.dtype) -> dask.array.Array:
        by_block = {chunk_rows.block: chunk_rows for chunk_rows in self.chunks.values()}
        meta = np.empty((0,) * len(self.sizes), dtype)
        read = lambda block_id: block(by_block[block_id])
        return dask.array.map_blocks(read, chunks=self.sizes, dtype=dtype, meta=meta)

    def _values(self, chunk_rows: ChunkRows) -> np.ndarray:
        path = self.file(chunk_rows.key)
        if path.is_file():
            return np.load(path, mmap_mode="r")
        return np.full([len(rows) for rows in chunk_rows.rows], self.array.fill_value, self.array.dtype)

    def _is_present(self, chunk_rows: ChunkRows) -> np.ndarray:
        if self.missing_chunk == "missing" and self._presence_file(chunk_rows.key).is_file():
            return np.load(self._presence_file(chunk_rows.key))
        return np.full([len(rows) for rows in chunk_rows.rows], self.file(chunk_rows.key).is_file())


def _runs(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Split rows by the chunk that holds them."""
    return np.split(rows, np.flatnonzero(np.diff(rows // size)) + 1)


def _as_slice(rows: np.ndarray) -> slice | np.ndarray:
    """A slice if the rows are consecutive, which is read faster."""
    return slice(int(rows[0]), int(rows[-1]) + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows


def _save(path: Path, values: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, values)
