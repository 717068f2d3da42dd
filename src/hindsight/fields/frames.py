"""Read the frames of a period from their store, chunk by chunk, so that they never have to be in memory whole."""

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

Read = Callable[[int, int], np.ndarray]  # frames from a first to before a last, (n, D)


class Frames:
    """The normalised departures of a period; the chunks they were read in are kept while there is room.

    A store may be sharded: what is read is its inner chunk, whole. Frames outside the period are never handed out, and
    chunks outside it never read.

    Args:
        fields: the store.
        period: of the frames.
        seen: how they are normalised.
        memory_mb: for the chunks that are kept; the one in hand comes on top.

    Attributes:
        times: of the frames, (T,).
        stretch: which stretch of unbroken weather each belongs to, see `calendar.stretches`; (T,).
        grid: of the fields.
        shape: of a frame, (C, H, W).
        chunks_read: how many, so far.
    """

    def __init__(self, fields: Path, period: Period, seen: Scaling, memory_mb: float = 0.0) -> None:
        where = store.folder(fields)
        whole = store.read(fields)
        chosen = calendar.in_period(whole, period, str(where))
        self.times, self.grid, self.seen = chosen["time"].values, Grid.of(whole), seen
        self.stretch = calendar.stretches(self.times, calendar.known(chosen), joints(whole))
        self.first = int(np.searchsorted(whole["time"].values, self.times[0]))
        self._array = zarr.open_group(where, mode="r")["fields"]
        self._chunk, self.shape = self._array.chunks[0], self._array.shape[1:]
        self._lock = Lock()
        self._memory, self._kept, self.chunks_read = memory_mb * 1e6, OrderedDict(), 0

    def __call__(self, first: int, last: int) -> np.ndarray:
        """Frames from `first` to before `last`, (n, D), float32; those that are not known are NaN."""
        start, end = first + self.first, last + self.first
        chunks = range(start // self._chunk, (end - 1) // self._chunk + 1)
        cut = lambda c: slice(max(start - c * self._chunk, 0), end - c * self._chunk)
        with self._lock:  # windows are read ahead in a thread
            values = np.concatenate([self._chunk_of(c)[cut(c)] for c in chunks])
        return self.seen.normalise(values, self.times[first:last]).reshape(len(values), -1)

    def blocks(self, overlap: int = 0) -> list[tuple[int, int, int]]:
        """The period cut where its chunks end, those that hold nothing known left out.

        Returns:
            Of each block, the frame to read from (`overlap` frames earlier, where there are any), and its own first and
            last frame, the latter not included.
        """
        edges = [0, *range(self._chunk - self.first % self._chunk, len(self.times), self._chunk), len(self.times)]
        pairs = zip(edges, edges[1:])
        return [(max(a - overlap, 0), a, b) for a, b in pairs if (self.stretch[a:b] >= 0).any()]

    def _chunk_of(self, number: int) -> np.ndarray:
        """A chunk as it is stored; a window is normalised when it is read, for a chunk is many windows long."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        found = self._array[number * self._chunk : (number + 1) * self._chunk]
        while self._kept and (len(self._kept) + 1) * found.nbytes > self._memory:
            self._kept.popitem(last=False)
        self._kept[number], self.chunks_read = found, self.chunks_read + 1
        return found


def joints(dataset: xr.Dataset) -> np.ndarray:
    """Times at which a store's weather does not go on from the frame before."""
    return np.array(dataset.attrs.get("stretch_starts", []), "datetime64[ns]")
