"""Shards: consecutive frames of the test period, analysed by one job for each block of members.

Imports nothing heavy but NumPy, because the Snakefile uses it.
"""

import bisect
from dataclasses import dataclass

import numpy as np

from hindsight.errors import UserError
from hindsight.fields import intervals
from hindsight.fields.intervals import Interval
from hindsight.settings.domain import Domain
from hindsight.settings.product import Product


@dataclass(frozen=True)
class Shard:
    """Consecutive frames that are analysed and archived together: name, time of the first, and number of frames."""

    name: str
    start: np.datetime64
    frames: int

    def times(self, step_hours: float) -> np.ndarray:
        """Times of the frames."""
        return Interval(self.start, self.frames, step_hours).times

    def with_halo(self, before: int, after: int, domain: Domain) -> Interval:
        """The shard with halos of `before` and `after` frames, as far as the test period reaches."""
        step = intervals.time_step(domain.step_hours)
        past = (self.start - np.datetime64(domain.test.start, "m")) // step
        future = (np.datetime64(domain.test.end, "m") - self.start) // step + 1 - self.frames
        before, after = min(before, int(past)), min(after, int(future))
        return Interval(self.start - before * step, before + self.frames + after, domain.step_hours)


def cut(domain: Domain, product: Product) -> list[Shard]:
    """Cut the test period into shards, counted from the product's epoch so that a longer period keeps its shards.

    Frames are whole steps from the start of the test period.
    """
    step = intervals.time_step(domain.step_hours)
    start = np.datetime64(domain.test.start, "m")
    epoch = start if product.epoch is None else np.datetime64(product.epoch, "m")
    epoch += (start - epoch) % step
    first = int((start - epoch) // step)
    last = first + int((np.datetime64(domain.test.end, "m") - start) // step) + 1
    edges = sorted({first, last, *(k for k in range(first, last) if k % product.shard_frames == 0)})
    starts = [(epoch + a * step, b - a) for a, b in zip(edges, edges[1:])]
    return [Shard(Interval(t, n, domain.step_hours).name.rsplit("_", 1)[0], t, n) for t, n in starts]


def overlapping(shards: list[Shard], interval: Interval) -> list[Shard]:
    """The shards, in order, that hold frames of an interval, which begins in the test period."""
    starts, step = [shard.start for shard in shards], intervals.time_step(interval.step_hours)
    first = max(bisect.bisect_right(starts, interval.start) - 1, 0)
    return shards[first : bisect.bisect_left(starts, interval.start + interval.frames * step)]


def find(name: str, domain: Domain, product: Product) -> Shard:
    """The shard of the test period with a given name.

    Raises:
        UserError: if there is none.
    """
    shards = {shard.name: shard for shard in cut(domain, product)}
    if name not in shards:
        raise UserError(f"there is no shard {name!r}; the shards of the test period are {', '.join(shards)}")
    return shards[name]
