"""Windows of frames to learn from, read from the store as they are drawn."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import zarr

from hindsight.errors import UserError
from hindsight.fields import calendar, store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.prior import conditions
from hindsight.settings import Domain, Train

Read = Callable[[int, int], np.ndarray]  # frames from a first to before a last, (n, D)


def departures(
    domain: Domain, settings: Train, split: str, fields: Path, climatology: Path, statistics: Path
) -> tuple[np.ndarray, Grid, np.ndarray]:
    """Times (T,), grid and normalised departures (T, C, H, W) of a split, all of them in memory."""
    dataset = calendar.in_period(store.read(fields), domain.splits[split], str(store.folder(fields)))
    times, grid = dataset["time"].values, Grid.of(dataset)
    values = scaling(settings, grid, climatology, statistics).normalise(dataset["fields"].values, times)
    return times, grid, values


def scaling(settings: Train, grid: Grid, climatology: Path, statistics: Path) -> Scaling:
    """How the prior sees fields: by area where its modes are those of the sphere."""
    found, colour = Scaling.read(climatology, statistics), settings.colour
    return found.by_area(grid.weights) if colour.basis == "waves" and colour.form != "white" else found


class Frames:
    """The normalised departures of a split, read from its store chunk by chunk and kept while there is room.

    Args:
        fields: the store.
        period: of the split.
        seen: how the prior sees fields.
        memory_mb: for the chunks that are kept; the one in hand comes on top.
    """

    def __init__(self, fields: Path, period: object, seen: Scaling, memory_mb: float) -> None:
        where = store.folder(fields)
        whole = store.read(fields)
        self.times = calendar.in_period(whole, period, str(where))["time"].values
        self.grid, self.seen = Grid.of(whole), seen
        self.first = int(np.searchsorted(whole["time"].values, self.times[0])) if len(self.times) else 0
        self._array = zarr.open_group(where, mode="r")["fields"]
        self._all_times, self._chunk = whole["time"].values, self._array.chunks[0]
        self.joints = np.array(whole.attrs.get("stretch_starts", []), "datetime64[ns]")
        self._memory, self._kept = memory_mb * 1e6, OrderedDict()

    def __call__(self, first: int, last: int) -> np.ndarray:
        """Frames of the split from `first` to before `last`, (n, D), float32."""
        first, last = first + self.first, last + self.first
        chunks = range(first // self._chunk, (last - 1) // self._chunk + 1)
        cut = lambda c: slice(max(first - c * self._chunk, 0), last - c * self._chunk)
        return np.concatenate([self._chunk_of(c)[cut(c)] for c in chunks])

    def _chunk_of(self, number: int) -> np.ndarray:
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        part = slice(number * self._chunk, (number + 1) * self._chunk)
        values = self.seen.normalise(self._array[part], self._all_times[part])
        found = np.ascontiguousarray(values.reshape(len(values), -1), np.float32)
        while self._kept and (len(self._kept) + 1) * found.nbytes > self._memory:
            self._kept.popitem(last=False)
        self._kept[number] = found
        return found


class Windows:
    """All windows of a split, in an order that is a function of the seed alone.

    Args:
        times: of the split's frames.
        read: gives frames.
        window: frames in a window.
        split: its name, for errors.
        joints: times at which another stretch of weather begins; no window reaches across.

    Raises:
        UserError: if there is no window.
    """

    def __init__(
        self, times: np.ndarray, read: Read, window: int, split: str, joints: Sequence[np.datetime64] = ()
    ) -> None:
        if len(times) == 0:
            raise UserError(f"the {split} period has no frame; move or lengthen domain.{split.removesuffix('ing')}")
        if len(times) < window:
            raise UserError(
                f"the {split} period has {len(times)} frames, fewer than a window (train.window = {window}); "
                "lengthen the period or shorten the window"
            )
        self.read, self.window, self.conditions = read, window, conditions(times)
        stretch = np.searchsorted(np.sort(np.array(joints, "datetime64[ns]")), times, side="right")
        self.starts = np.flatnonzero(stretch[: len(times) - window + 1] == stretch[window - 1 :])
        if len(self.starts) == 0:
            raise UserError(f"every stretch of the {split} period is shorter than a window (train.window = {window})")
        self._epoch: tuple[tuple[int, int], np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, numbers: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Some windows, by number: fields (B, T, D) and conditions (B, T, K)."""
        starts = [int(self.starts[n]) for n in numbers]
        fields = np.stack([self.read(start, start + self.window) for start in starts])
        told = torch.stack([self.conditions[start : start + self.window] for start in starts])
        return torch.from_numpy(fields), told

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Some windows at random."""
        return self.at(torch.randint(len(self), (count,), generator=generator).tolist())

    def order(self, seed: int, first: int, count: int) -> list[int]:
        """Windows number `first` … of the endless order: every epoch has each window once, shuffled anew."""
        return [self._shuffled(seed, n // len(self))[n % len(self)] for n in range(first, first + count)]

    def _shuffled(self, seed: int, epoch: int) -> np.ndarray:
        if self._epoch is None or self._epoch[0] != (seed, epoch):
            generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, epoch, 2**63]))
            self._epoch = (seed, epoch), generator.permutation(len(self))
        return self._epoch[1]
