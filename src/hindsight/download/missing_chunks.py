"""Find the chunks that are missing in a Zarr store.

Readers of Zarr return the fill value for a missing chunk without an error, so lost data may look like zeros.
"""

import os
from math import prod
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, Endian, ShardingCodec, ShardingCodecIndexLocation

from hindsight.errors import UserError

NO_CHUNK = np.iinfo(np.uint64).max  # offset and length of a chunk that is not in the shard (ZEP 2)


def missing_rows(store: Path, name: str) -> np.ndarray:
    """Which rows of an array's first dimension lack a chunk.

    Folders are listed, and the index of Zarr shards is read; no chunk is opened.

    Args:
        store: folder of a Zarr store, version 2 or 3; chunks nested or not, sharded or not.
        name: of an array of one dimension or more.

    Returns:
        A bool for each row of the first dimension, (T,).

    Raises:
        UserError: if a Zarr shard is truncated.
    """
    array = zarr.open_group(store, mode="r")[name]
    return ~_complete_rows(present(Path(store) / name, array), array)


def present(folder: Path, array: zarr.Array) -> np.ndarray:
    """Which chunks of an array are in its folder, or in its Zarr shards, in the shape of the grid of chunks."""
    files = np.zeros(_grid(array.shape, array.shards or array.chunks), bool)
    for block in _blocks_on_disk(folder, files.shape, *_keys(array)):
        files[block] = True
    if array.shards is None:
        return files
    inside = np.zeros(_grid(array.shape, array.chunks), bool)
    for block in zip(*files.nonzero()):
        shard = present_in_shard(folder / array.metadata.encode_chunk_key(tuple(map(int, block))), array)
        begin = [number * size for number, size in zip(block, shard.shape)]
        view = inside[tuple(slice(first, first + size) for first, size in zip(begin, shard.shape))]
        view[...] = shard[tuple(map(slice, view.shape))]  # the last shards reach beyond the array
    return inside


def present_in_shard(shard: Path, array: zarr.Array) -> np.ndarray:
    """Which chunks of an array a Zarr shard holds, by its index, in the shape of the grid of chunks.

    Raises:
        UserError: if the file is shorter than its index.
    """
    codec = next(codec for codec in array.metadata.codecs if isinstance(codec, ShardingCodec))
    grid = _grid(array.shards, array.chunks)
    size = 16 * prod(grid) + sum(4 for one in codec.index_codecs if isinstance(one, Crc32cCodec))
    if (length := shard.stat().st_size) < size:
        raise UserError(f"{shard} is cut off: it has {length} bytes, and its index alone takes {size}; fetch it again")
    with shard.open("rb") as file:
        if codec.index_location is ShardingCodecIndexLocation.end:
            file.seek(-size, os.SEEK_END)
        index = np.frombuffer(file.read(16 * prod(grid)), _index_type(codec))
    return (index.reshape(*grid, 2) != NO_CHUNK).any(-1)


def _index_type(codec: ShardingCodec) -> str:
    big = any(isinstance(one, BytesCodec) and one.endian is Endian.big for one in codec.index_codecs)
    return ">u8" if big else "<u8"


def _grid(shape: tuple[int, ...], chunks: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-length // size) for length, size in zip(shape, chunks))


def _complete_rows(chunks: np.ndarray, array: zarr.Array) -> np.ndarray:
    """Rows of the first dimension of which no chunk is missing."""
    return chunks.reshape(len(chunks), -1).all(1).repeat(array.chunks[0])[: array.shape[0]]


def _keys(array: zarr.Array) -> tuple[str, str]:
    """The prefix of the chunks' keys, and the separator of their numbers."""
    key = array.metadata.encode_chunk_key((0, 0))
    return key[:-3], key[-2]


def _blocks_on_disk(folder: Path, grid: tuple[int, ...], prefix: str, between: str) -> list[tuple[int, ...]]:
    """The blocks of a grid whose chunks exist; every folder is listed once."""
    if between == "/":
        return _nested(folder / prefix, grid)
    names = (entry.name for entry in _entries(folder))
    keys = (name.removeprefix(prefix).split(between) for name in names if name.startswith(prefix))
    found = (tuple(map(int, key)) for key in keys if all(map(_is_number, key)))
    return [block for block in found if len(block) == len(grid) and all(map(int.__lt__, block, grid))]


def _nested(folder: Path, grid: tuple[int, ...]) -> list[tuple[int, ...]]:
    numbers = [int(e.name) for e in _entries(folder) if _is_number(e.name) and e.is_dir() == (len(grid) > 1)]
    numbers = [number for number in numbers if number < grid[0]]
    if len(grid) == 1:
        return [(number,) for number in numbers]
    if prod(grid[1:]) == 1:  # one test of a file instead of a list for every dimension
        rest, only = "/".join("0" * (len(grid) - 1)), (0,) * (len(grid) - 1)
        return [(number, *only) for number in numbers if os.path.isfile(f"{folder}/{number}/{rest}")]
    return [(number, *block) for number in numbers for block in _nested(folder / str(number), grid[1:])]


def _entries(folder: Path) -> list[os.DirEntry]:
    """The entries of a folder; none if the folder does not exist."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
