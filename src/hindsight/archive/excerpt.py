"""The fields that a page shows: read from the archive shard by shard, reduced and packed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from hindsight.archive import metadata
from hindsight.archive.packing import pack, round_step
from hindsight.archive.reduction import Reduction
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.progress import Progress
from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.units import readable_units
from hindsight.settings.verify import Comparison

BLOCK = 64  # frames that are packed together
RANGE = 20_000  # steps of a channel's range at most, a third of what can be packed
RELATIVE = ("member", "reference")  # packed as differences from the mean, which are smaller
SLACK = 1.1  # projected over allowed size above which a coarser page is tried


@dataclass
class PageFields:
    """The archive and the fields that it is compared with.

    Attributes:
        layout: content of `layout.json`.
        archive: the store.
        reference: fields by time and channel; none if there is nothing to compare with.
        label: of these fields.
        spreads: mean spread by channel, in the first shard, and the finest step that its range allows.
    """

    layout: dict
    archive: Path
    reference: xr.DataArray | None
    label: str
    spreads: dict[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def open(cls, layout: dict, archive: Path, fields: Path, comparison: Comparison) -> "PageFields":
        """Open an archive, and the fields of its period if there are any.

        Raises:
            UserError: if the fields are on another grid.
        """
        dataset, against = store.read(fields), comparison.against
        label = {"truth": "truth", "none": ""}.get(against, dataset.attrs.get("source_title") or against)
        opened, grid = cls(layout, archive, dataset["fields"] if label else None, label), Grid.of(dataset)
        if not grid.matches(opened.grid):
            raise UserError(f"{archive} is on {opened.grid}, and {fields} on {grid}; run snakemake again")
        return opened

    @property
    def channels(self) -> list[str]:
        """Channels, in the order of the domain."""
        return self.layout["settings"]["domain"]["channels"]

    @property
    def kinds(self) -> dict[str, str]:
        """The fields of a channel, and what they are called."""
        labels = {"mean": "ensemble mean", "spread": "ensemble spread", "member": "member 0"}
        return labels | ({"reference": self.label} if self.label else {})

    @cached_property
    def grid(self) -> Grid:
        """Of the archive."""
        return metadata.grid(self.archive)

    @cached_property
    def times(self) -> np.ndarray:
        """Of the archive's frames."""
        return metadata.decode_times(zarr.open_array(self.archive / "time", mode="r"))

    @property
    def frames(self) -> int:
        """Number of frames of the archive."""
        return len(self.times)

    def parts(self, reduction: Reduction) -> Iterator[slice]:
        """The kept frames of each shard."""
        length, frames = self.layout["settings"]["product"]["shard_frames"], self.frames
        slices = (reduction.kept(first, min(length, frames - first)) for first in range(0, frames, length))
        return (kept for kept in slices if kept.start < kept.stop)

    def values(self, channel: str, kind: str, kept: slice) -> np.ndarray:
        """Some frames of a field, (T, H, W); NaN where the reference has none."""
        if kind == "reference":
            return self.grid.masked(self.reference.sel(channel=channel).reindex(time=self.times[kept]).values)
        if kind == "member":
            return zarr.open_array(self.archive / channel, mode="r")[0, kept]
        return zarr.open_array(self.archive / kind / channel, mode="r")[kept]

    def packed(self, reduction: Reduction, allowed: int) -> "Packed | None":
        """All fields, packed; None as soon as their projected size exceeds `allowed` bytes by the factor `SLACK`."""
        packed, parts = Packed(self, reduction), list(self.parts(reduction))
        total, watch = sum(_count(kept) for kept in parts), Progress("archive.explore", len(parts), "shards")
        for done, kept in enumerate(parts):
            packed.add(kept, last=kept is parts[-1])
            watch(done + 1)
            if packed.frames and packed.bytes * total / packed.frames > SLACK * allowed:
                return None
        return packed

    def step(self, channel: str, fine: float) -> float:
        """The step to whose multiples a channel is rounded, in its units, `fine` as a share of its mean spread."""
        if channel not in self.spreads:
            first = next(self.parts(Reduction()))
            spread, mean = (self.values(channel, kind, first) for kind in ("spread", "mean"))
            self.spreads[channel] = (
                float(np.nan_to_num(spread).mean()),
                float(np.nanmax(mean) - np.nanmin(mean)) / RANGE or 1e-6,
            )
        spread, finest = self.spreads[channel]
        return round_step(max(fine * spread, finest))


def _count(kept: slice) -> int:
    return -(-(kept.stop - kept.start) // kept.step)


class Packed:
    """The packed fields of a page, as far as they were added."""

    def __init__(self, page_fields: PageFields, reduction: Reduction) -> None:
        """Begin with no frames."""
        self.page_fields, self.reduction, self.frames, self.bytes = page_fields, reduction, 0, 0
        self.blocks = {(channel, kind): [] for channel in page_fields.channels for kind in page_fields.kinds}
        self.ranges = {key: (np.inf, -np.inf) for key in self.blocks}
        self._waiting = {key: [] for key in self.blocks}

    def add(self, kept: slice, last: bool) -> None:
        """Add some frames of every field; they are packed when there are enough of them, or by the last call."""
        for key, waiting in self._waiting.items():
            means = self.reduction.means(self.page_fields.values(*key, kept), self.page_fields.grid)
            waiting.append(means.reshape(len(means), -1))
            self.ranges[key] = _widened(self.ranges[key], means)
        count = sum(map(len, waiting))
        if count >= BLOCK or last:
            self._pack()
            self.frames += count

    def _pack(self) -> None:
        for (channel, kind), waiting in self._waiting.items():
            values, step = np.concatenate(waiting), self.page_fields.step(channel, self.reduction.fine)
            if kind == "mean":
                mean = values
            elif kind in RELATIVE:  # what the page adds is the mean as it was rounded in the block of the same frames
                rounded = self.blocks[channel, "mean"][-1]["step"]
                values = values - np.rint(mean / rounded) * rounded
            self.blocks[channel, kind].append(pack(values, step))
            self.bytes += len(self.blocks[channel, kind][-1]["data"])
            waiting.clear()

    def channels(self) -> list[dict[str, object]]:
        """Every channel with its units, ranges and fields."""
        return [self._channel(name) for name in self.page_fields.channels]

    def _channel(self, name: str) -> dict[str, object]:
        kinds = self.page_fields.kinds
        low, high = zip(*(self.ranges[name, kind] for kind in kinds if kind != "spread"))
        return {
            "name": name,
            "long": CHANNELS[name].long_name,
            "units": readable_units(CHANNELS[name].units),
            "step": max(block["step"] for kind in kinds for block in self.blocks[name, kind]),
            "range": [min(low), max(high)],
            "spread": max(0.0, self.ranges[name, "spread"][1]),
            "fields": {kind: self.blocks[name, kind] for kind in kinds},
        }


def _widened(span: tuple[float, float], values: np.ndarray) -> tuple[float, float]:
    found = values[np.isfinite(values)]
    return (min(span[0], found.min()), max(span[1], found.max())) if found.size else span
