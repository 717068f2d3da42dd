"""Bytes of the analyses and of their archive for each frame, found by packing a sample in the same way."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr
from zarr.storage import MemoryStore

from hindsight.fields import analyses
from hindsight.fields.chunks import COMPRESSOR, tiles
from hindsight.fields.grid import Grid
from hindsight.fields.rounding import bits, round_to
from hindsight.settings import Encoding

SUMMARIES = 2  # objects of a channel in addition to those of its blocks of members: mean and spread
FOLDERS_PER_OBJECT = 2  # that Zarr makes for an object of the archive
INDEX = 16  # bytes of a chunk in the index of its Zarr shard


@dataclass(frozen=True)
class Sizes:
    """Bytes for each frame, and the time to write it.

    Attributes:
        head: bytes of an analysis file without its values.
        analysis: bytes of a frame of a member in an analysis file.
        member: bytes of a frame of a member in the archive.
        summary: bytes of a frame of mean and spread in the archive.
        difference: between the two halves of the sample, as a share.
        seconds: to write a frame of a member.
    """

    head: float
    analysis: float
    member: float
    summary: float
    difference: float
    seconds: float


def sizes(fields: np.ndarray, channels: list[str], grid: Grid, settings: Encoding) -> Sizes:
    """Pack a sample of fields and measure its bytes.

    Args:
        fields: physical (E, T, C, H, W), at least two members and two frames.
        channels: their names.
        grid: of the fields.
        settings: how the archive packs.
    """
    members, frames = fields.shape[:2]
    half = frames // 2
    first, second = (_file_bytes(part, channels, grid) for part in (fields[:, :half], fields[:, half : 2 * half]))
    began = time.perf_counter()
    total = _file_bytes(fields, channels, grid)
    seconds = (time.perf_counter() - began) / (members * frames)
    per_frame = (total - first) / (members * (frames - half))
    head, difference = max(total - per_frame * members * frames, 0.0), abs(first - second) / max(first, second)
    return Sizes(head, per_frame, *_archive_bytes(fields, settings), difference, seconds)


def _file_bytes(fields: np.ndarray, channels: list[str], grid: Grid) -> int:
    """Bytes of an analysis file."""
    times = np.datetime64("2000-01-01", "ns") + np.arange(fields.shape[1]) * np.timedelta64(1, "h")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.nc"
        analyses.write(fields, list(range(len(fields))), times, channels, grid, {}, path)
        return path.stat().st_size


def _archive_bytes(fields: np.ndarray, settings: Encoding) -> tuple[float, float]:
    """Bytes of a frame in the archive: of a member, and of mean and spread together."""
    member = summary = 0.0
    for channel in range(fields.shape[2]):
        values = fields[:, :, channel].astype(float)
        kept = bits(values, settings.spread_share)
        member += sum(_packed_bytes(one, kept, settings) for one in values) / len(values)
        summary += _packed_bytes(values.mean(0), kept, settings) + _packed_bytes(values.std(0, ddof=1), kept, settings)
    return member, summary


def _packed_bytes(values: np.ndarray, kept: int, settings: Encoding) -> float:
    """Bytes of a frame of fields (T, H, W), rounded to `kept` mantissa bits and packed in chunks."""
    chunk = min(settings.chunk_frames, len(values))
    values = values[: len(values) // chunk * chunk]  # partly filled chunks would take as much as full ones
    points, _ = tiles(values.shape[1:], settings.chunk_points)
    rounded = round_to(values.astype("float32"), kept)
    objects: dict = {}
    array = zarr.create_array(
        MemoryStore(objects), shape=values.shape, dtype="float32", chunks=(chunk, *points), compressors=COMPRESSOR
    )
    array[:] = rounded
    chunks = [len(value) + INDEX for key, value in objects.items() if key.startswith("c/")]
    return sum(chunks) / len(values)
