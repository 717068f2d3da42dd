"""How many bytes analyses and their archive take, found by packing a sample as both do."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr
from zarr.storage import MemoryStore

from hindsight.fields import analyses
from hindsight.fields.chunks import PACKED, tiles
from hindsight.fields.grid import Grid
from hindsight.fields.rounding import bits, round_to
from hindsight.settings import Encoding

SUMMARIES = 2  # objects of a channel besides those of its blocks of members: mean and spread
FOLDERS = 2  # that an object of the archive has to itself
INDEX = 16  # bytes by which a shard knows a chunk


@dataclass(frozen=True)
class Sizes:
    """Bytes a frame: of an analysis, a member; of the archive's members, each; of its mean and spread together.

    `head` is what a file of an analysis has besides its values; `apart` is by how much the two halves of the sample
    differ, as a share; `seconds` is what writing a frame of a member takes.
    """

    head: float
    analysis: float
    member: float
    summary: float
    apart: float
    seconds: float


def sizes(fields: np.ndarray, channels: list[str], grid: Grid, settings: Encoding) -> Sizes:
    """Pack a sample.

    Args:
        fields: physical (E, T, C, H, W), two members and two frames at least.
        channels: by name.
        grid: of the fields.
        settings: how the archive packs.
    """
    members, frames = fields.shape[:2]
    half = frames // 2
    first, second = (_file(part, channels, grid) for part in (fields[:, :half], fields[:, half : 2 * half]))
    began = time.perf_counter()
    whole = _file(fields, channels, grid)
    seconds = (time.perf_counter() - began) / (members * frames)
    each = (whole - first) / (members * (frames - half))
    head, apart = max(whole - each * members * frames, 0.0), abs(first - second) / max(first, second)
    return Sizes(head, each, *_archived(fields, settings), apart, seconds)


def _file(fields: np.ndarray, channels: list[str], grid: Grid) -> int:
    """Bytes of a file of an analysis."""
    times = np.datetime64("2000-01-01", "ns") + np.arange(fields.shape[1]) * np.timedelta64(1, "h")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.nc"
        analyses.write(fields, list(range(len(fields))), times, channels, grid, {}, path)
        return path.stat().st_size


def _archived(fields: np.ndarray, settings: Encoding) -> tuple[float, float]:
    """Bytes a frame of the archive: of a member, and of mean and spread together."""
    member = summary = 0.0
    for channel in range(fields.shape[2]):
        values = fields[:, :, channel].astype(float)
        kept = bits(values, settings.spread_share)
        member += sum(_packed(one, kept, settings) for one in values) / len(values)
        summary += _packed(values.mean(0), kept, settings) + _packed(values.std(0, ddof=1), kept, settings)
    return member, summary


def _packed(values: np.ndarray, kept: int, settings: Encoding) -> float:
    """Bytes a frame of fields (T, H, W), rounded to `kept` mantissa bits and packed in chunks."""
    chunk = min(settings.chunk_frames, len(values))
    values = values[: len(values) // chunk * chunk]  # a chunk that is filled in part takes what a whole one does
    points, _ = tiles(values.shape[1:], settings.chunk_points)
    rounded = round_to(values.astype("float32"), kept)
    objects: dict = {}
    array = zarr.create_array(
        MemoryStore(objects), shape=values.shape, dtype="float32", chunks=(chunk, *points), compressors=PACKED
    )
    array[:] = rounded
    packed = [len(value) + INDEX for key, value in objects.items() if key.startswith("c/")]
    return sum(packed) / len(values)
