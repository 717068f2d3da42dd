"""Where a Zarr store lacks chunks. A reader gets the fill value there and no word: a lost stretch looks like zeros."""

import os
from math import prod
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, Endian, ShardingCodec, ShardingCodecIndexLocation

from hindsight.errors import UserError

NOWHERE = np.iinfo(np.uint64).max  # offset and length of a chunk that a shard does not hold (Zarr's ZEP 2)


def absent(store: Path, name: str) -> np.ndarray:
    """Where along its first dimension an array lacks any of its chunks.

    Folders are listed, and of a shard the index is read; no chunk is opened.

    Args:
        store: folder of a Zarr store, version 2 or 3; chunks nested or not, sharded or not.
        name: of an array of one dimension or more.

    Returns:
        A bool for each row of the first dimension, (T,).

    Raises:
        UserError: if a shard is cut off.
    """
    array = zarr.open_group(store, mode="r")[name]
    return ~_rows(there(Path(store) / name, array), array)


def there(folder: Path, array: zarr.Array) -> np.ndarray:
    """Which chunks of an array are in its folder, in the shape of its grid of chunks; of shards, the chunks in them."""
    files = np.zeros(_grid(array.shape, array.shards or array.chunks), bool)
    for block in _listed(folder, files.shape, *_keys(array)):
        files[block] = True
    if array.shards is None:
        return files
    inside = np.zeros(_grid(array.shape, array.chunks), bool)
    for block in zip(*files.nonzero()):
        shard = within(folder / array.metadata.encode_chunk_key(tuple(map(int, block))), array)
        begin = [number * size for number, size in zip(block, shard.shape)]
        view = inside[tuple(slice(first, first + size) for first, size in zip(begin, shard.shape))]
        view[...] = shard[tuple(map(slice, view.shape))]  # what lies beyond the array's edge is in no shard
    return inside


def within(shard: Path, array: zarr.Array) -> np.ndarray:
    """Which chunks a shard of an array holds, by its index, in the shape of its grid of chunks.

    Raises:
        UserError: if the file is shorter than its index.
    """
    codec = next(codec for codec in array.metadata.codecs if isinstance(codec, ShardingCodec))
    grid = _grid(array.shards, array.chunks)
    size = 16 * prod(grid) + sum(4 for one in codec.index_codecs if isinstance(one, Crc32cCodec))
    if (length := shard.stat().st_size) < size:
        raise UserError(f"{shard} is cut off: it has {length} bytes, and its index alone takes {size}; get it again")
    with shard.open("rb") as file:
        if codec.index_location is ShardingCodecIndexLocation.end:
            file.seek(-size, os.SEEK_END)
        index = np.frombuffer(file.read(16 * prod(grid)), _number(codec))
    return (index.reshape(*grid, 2) != NOWHERE).any(-1)


def _number(codec: ShardingCodec) -> str:
    big = any(isinstance(one, BytesCodec) and one.endian is Endian.big for one in codec.index_codecs)
    return ">u8" if big else "<u8"


def _grid(shape: tuple[int, ...], chunks: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-length // size) for length, size in zip(shape, chunks))


def _rows(chunks: np.ndarray, array: zarr.Array) -> np.ndarray:
    """Rows of the first dimension all of whose chunks are there."""
    return chunks.reshape(len(chunks), -1).all(1).repeat(array.chunks[0])[: array.shape[0]]


def _keys(array: zarr.Array) -> tuple[str, str]:
    """What the keys of chunks begin with, and what stands between their numbers."""
    two = array.metadata.encode_chunk_key((0, 0))
    return two[:-3], two[-2]


def _listed(folder: Path, grid: tuple[int, ...], prefix: str, between: str) -> list[tuple[int, ...]]:
    """The blocks of a grid whose chunks are there; every folder is listed once."""
    if between == "/":
        return _nested(folder / prefix, grid)
    names = (entry.name for entry in _entries(folder))
    keys = (name.removeprefix(prefix).split(between) for name in names if name.startswith(prefix))
    found = (tuple(map(int, key)) for key in keys if all(map(_decimal, key)))
    return [block for block in found if len(block) == len(grid) and all(map(int.__lt__, block, grid))]


def _nested(folder: Path, grid: tuple[int, ...]) -> list[tuple[int, ...]]:
    numbers = [int(e.name) for e in _entries(folder) if _decimal(e.name) and e.is_dir() == (len(grid) > 1)]
    numbers = [number for number in numbers if number < grid[0]]
    if len(grid) == 1:
        return [(number,) for number in numbers]
    if prod(grid[1:]) == 1:  # one question instead of a list for every dimension
        rest, only = "/".join("0" * (len(grid) - 1)), (0,) * (len(grid) - 1)
        return [(number, *only) for number in numbers if os.path.isfile(f"{folder}/{number}/{rest}")]
    return [(number, *block) for number in numbers for block in _nested(folder / str(number), grid[1:])]


def _entries(folder: Path) -> list[os.DirEntry]:
    """What is in a folder; nothing where there is none."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _decimal(text: str) -> bool:
    return text.isascii() and text.isdigit()
