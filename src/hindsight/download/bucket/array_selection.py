"""Which chunks of a Zarr array a selection needs, and the array again from what was cut out of each of them.

A chunk that has arrived is decoded once, which is also how one finds out that it is whole, and what the selection
wants of it is laid down as a plain array: one level of thirteen, a region, every sixth hour. The chunk itself can go
then, so a part takes as much disk as it has values, whatever the store's chunks hold besides. In Zarr v3 with shards
the object that is fetched is a shard.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import dask.array
import numpy as np
import zarr

from hindsight.download.missing_chunks import within
from hindsight.download.transfer.retry import Trouble
from hindsight.fields import store

Absent = Literal["missing", "fill", "unless_others"]
BLOSC_HEADER = 16  # bytes


@dataclass(frozen=True)
class Piece:
    """What is wanted of one chunk: rows along every dimension, counted in the whole array."""

    key: str
    block: tuple[int, ...]
    rows: tuple[np.ndarray, ...]


class Cutting:
    """A selection of an array, chunk by chunk.

    Args:
        array: opened from a copy of its metadata; its chunks arrive beside that.
        name: of the array in the store.
        rows: wanted along every dimension, in rising order.
        folder: where what is cut out is laid down.
        absent: what a chunk is that is not there: missing data, the fill value, or the fill value unless others are
            there. Where the fill value is NaN, or there is none, it is missing data whatever is said here.
    """

    def __init__(
        self,
        array: zarr.Array,
        name: str,
        rows: tuple[np.ndarray, ...],
        folder: Path,
        absent: Absent = "unless_others",
    ) -> None:
        fill = array.fill_value
        self.array, self.folder = array, folder
        self.absent = "missing" if fill is None or fill != fill else absent
        self.grid = array.shards or array.chunks
        runs = [_runs(wanted, size) for wanted, size in zip(rows, self.grid)]
        self.sizes = tuple(tuple(len(run) for run in along) for along in runs)
        self.pieces = {piece.key: piece for piece in self._pieces(name, runs)}

    def _pieces(self, name: str, runs: list[list[np.ndarray]]) -> list[Piece]:
        blocks = product(*(range(len(along)) for along in runs))
        found = []
        for block in blocks:
            rows = tuple(along[number] for along, number in zip(runs, block))
            chunk = tuple(int(run[0]) // size for run, size in zip(rows, self.grid))
            found.append(Piece(f"{name}/{self.array.metadata.encode_chunk_key(chunk)}", block, rows))
        return found

    def place(self, key: str) -> Path:
        """Where what is cut out of a chunk lies."""
        return self.folder / f"{key}.npy"

    def missing(self) -> list[str]:
        """Chunks that nothing has been cut out of yet."""
        return [key for key in self.pieces if not self.place(key).is_file()]

    def cut(self, key: str, chunk: Path) -> None:
        """Cut out of a chunk that has arrived what is wanted, and remove it.

        Raises:
            Trouble: if it does not decode, or not to what it should be; it is removed then, too.
        """
        try:
            self._measure(chunk)
            present = self._present(chunk, self.pieces[key])
            values = self.array.oindex[tuple(map(_plain, self.pieces[key].rows))]
            chunk.stat()  # were it gone, because another job has cut the same, zarr would have read the fill value
        except Exception as error:  # every codec raises its own
            chunk.unlink(missing_ok=True)
            raise Trouble("busy", f"it does not decode: {error}") from error
        self._gaps(key).unlink(missing_ok=True)
        if not present.all():
            store.replace(self._gaps(key), lambda partial: _save(partial, present))
        store.replace(self.place(key), lambda partial: _save(partial, values))
        chunk.unlink(missing_ok=True)

    def lacking(self) -> list[str]:
        """Chunks that are not there, and shards that lack some of theirs."""
        return [key for key in self.pieces if not self.place(key).is_file() or self._gaps(key).is_file()]

    def _gaps(self, key: str) -> Path:
        """Where it is noted which values that are wanted of a shard come from chunks that it has, if it lacks any."""
        return self.folder / f"{key}.there.npy"

    def _present(self, chunk: Path, piece: Piece) -> np.ndarray:
        """Which values that are wanted come from chunks that there are in a shard."""
        if self.array.shards is None:
            return np.ones([1] * len(piece.rows), bool)
        inner = [rows % whole // size for rows, whole, size in zip(piece.rows, self.grid, self.array.chunks)]
        return within(chunk, self.array)[np.ix_(*inner)]

    def _measure(self, chunk: Path) -> None:
        """Refuse a file of the wrong length where the decoder would not: Blosc reads on beyond the end."""
        length, sharded = chunk.stat().st_size, self.array.shards is not None
        if length == 0:
            raise ValueError("it is empty")
        if self.array.compressors and "Blosc" in type(self.array.compressors[-1]).__name__ and not sharded:
            with chunk.open("rb") as file:
                said = int.from_bytes(file.read(BLOSC_HEADER)[12:], "little")
            if length != said:
                raise ValueError(f"{length} bytes where its header says {said}")

    def whole(self) -> dask.array.Array:
        """The selection, lazily; the fill value where a chunk is not there."""
        return self._laid_out(self._values, self.array.dtype)

    def there(self) -> dask.array.Array:
        """Where the selection comes from a chunk that was there."""
        return self._laid_out(self._is_there, np.dtype(bool))

    def _laid_out(self, block: object, dtype: np.dtype) -> dask.array.Array:
        by_block = {piece.block: piece for piece in self.pieces.values()}
        meta = np.empty((0,) * len(self.sizes), dtype)
        read = lambda block_id: block(by_block[block_id])
        return dask.array.map_blocks(read, chunks=self.sizes, dtype=dtype, meta=meta)

    def _values(self, piece: Piece) -> np.ndarray:
        path = self.place(piece.key)
        if path.is_file():
            return np.load(path, mmap_mode="r")
        return np.full([len(rows) for rows in piece.rows], self.array.fill_value, self.array.dtype)

    def _is_there(self, piece: Piece) -> np.ndarray:
        if self.absent == "missing" and self._gaps(piece.key).is_file():
            return np.load(self._gaps(piece.key))
        return np.full([len(rows) for rows in piece.rows], self.place(piece.key).is_file())


def _runs(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Rows that lie in the same chunk, together."""
    return np.split(rows, np.flatnonzero(np.diff(rows // size)) + 1)


def _plain(rows: np.ndarray) -> slice | np.ndarray:
    """A slice, which is read faster, where rows follow each other."""
    return slice(int(rows[0]), int(rows[-1]) + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows


def _save(path: Path, values: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, values)
