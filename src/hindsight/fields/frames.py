"""Read the frames of a period from their store, chunk by chunk, so that they need not all be in memory."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import numpy as np
import xarray as xr
import zarr

from hindsight.fields import calendar, store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.settings.domain import Period

ReadFrames = Callable[[int, int], np.ndarray]  # (first, last) -> frames from `first` to before `last`, (n, D)


class Frames:
    """The normalised departures of a period's frames; recently read chunks are cached.

    Whole chunks are read, also from a store with Zarr shards. Chunks outside the period are never read.

    Args:
        fields: the store.
        period: of the frames.
        scaling: normalises them.
        memory_mb: size of the cache; one chunk is held even if it is larger.

    Attributes:
        times: of the frames, (T,).
        segment: number of each frame's segment, see `calendar.segments`; (T,).
        grid: of the fields.
        shape: of a frame, (C, H, W).
        chunks_read: number of chunks read so far.
    """

    def __init__(self, fields: Path, period: Period, scaling: Scaling, memory_mb: float = 0.0) -> None:
        where = store.folder(fields)
        whole = store.read(fields)
        chosen = calendar.in_period(whole, period, str(where))
        self.times, self.grid, self.scaling = chosen["time"].values, Grid.of(whole), scaling
        self.segment = calendar.segments(self.times, calendar.available(chosen), breaks(whole))
        self.first = int(np.searchsorted(whole["time"].values, self.times[0]))
        self._array = zarr.open_group(where, mode="r")["fields"]
        self._chunk, self.shape = self._array.chunks[0], self._array.shape[1:]
        self._lock = Lock()
        self._memory, self._cache, self.chunks_read = memory_mb * 1e6, OrderedDict(), 0

    def __call__(self, first: int, last: int) -> np.ndarray:
        """Frames from `first` to before `last`, (n, D), float32; NaN where not available."""
        start, end = first + self.first, last + self.first
        chunks = range(start // self._chunk, (end - 1) // self._chunk + 1)
        cut = lambda c: slice(max(start - c * self._chunk, 0), end - c * self._chunk)
        with self._lock:  # windows are read ahead in a thread
            values = np.concatenate([self._chunk_of(c)[cut(c)] for c in chunks])
        return self.scaling.normalise(values, self.times[first:last]).reshape(len(values), -1)

    def blocks(self, overlap: int = 0) -> list[tuple[int, int, int]]:
        """The period in blocks of one chunk each, without those in which no frame is available.

        Returns:
            For each block the frame to read from (up to `overlap` frames before the block), the first frame of the
            block and the frame after its last.
        """
        edges = [0, *range(self._chunk - self.first % self._chunk, len(self.times), self._chunk), len(self.times)]
        pairs = zip(edges, edges[1:])
        return [(max(a - overlap, 0), a, b) for a, b in pairs if (self.segment[a:b] >= 0).any()]

    def _chunk_of(self, number: int) -> np.ndarray:
        """A chunk as it is stored; only the frames asked for are normalised."""
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        found = self._array[number * self._chunk : (number + 1) * self._chunk]
        while self._cache and (len(self._cache) + 1) * found.nbytes > self._memory:
            self._cache.popitem(last=False)
        self._cache[number], self.chunks_read = found, self.chunks_read + 1
        return found


def breaks(dataset: xr.Dataset) -> np.ndarray:
    """Times of a store's frames that do not continue the weather of the frame before."""
    return np.array(dataset.attrs.get("segment_starts", []), "datetime64[ns]")
