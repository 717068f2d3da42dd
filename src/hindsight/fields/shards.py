"""How a period is cut into shards. Numpy alone: the Snakefile asks this before any job."""

import bisect
from dataclasses import dataclass

import numpy as np

from hindsight.errors import UserError
from hindsight.fields.cuts import Cut
from hindsight.settings.domain import Domain
from hindsight.settings.product import Product


@dataclass(frozen=True)
class Shard:
    """A stretch of frames that one job makes: its name, its first frame's time and its number of frames."""

    name: str
    start: np.datetime64
    frames: int

    def times(self, step_hours: int) -> np.ndarray:
        """Times of the frames."""
        return Cut(self.start, self.frames, step_hours).times

    def with_halo(self, before: int, after: int, domain: Domain) -> Cut:
        """The frames that the shard's job sees: a halo on both sides, which ends where the test period does."""
        step = np.timedelta64(domain.step_hours, "h")
        past = (self.start - np.datetime64(domain.test.start, "h")) // step
        future = (np.datetime64(domain.test.end, "h") - self.start) // step + 1 - self.frames
        before, after = min(before, int(past)), min(after, int(future))
        return Cut(self.start - before * step, before + self.frames + after, domain.step_hours)


def cut(domain: Domain, product: Product) -> list[Shard]:
    """Cut the test period into shards, counted from the product's epoch so that a longer period keeps the same cuts.

    Frames are taken to fall on whole steps from the start of the test period.
    """
    step = np.timedelta64(domain.step_hours, "h")
    start = np.datetime64(domain.test.start, "h")
    epoch = start if product.epoch is None else np.datetime64(product.epoch, "h")
    epoch += (start - epoch) % step  # frames fall on steps from the start of the period
    first = int((start - epoch) // step)
    last = first + int((np.datetime64(domain.test.end, "h") - start) // step) + 1
    cuts = sorted({first, last, *(k for k in range(first, last) if k % product.shard_frames == 0)})
    starts = [(epoch + a * step, b - a) for a, b in zip(cuts, cuts[1:])]
    return [Shard(str(t.astype("datetime64[h]")).replace("-", ""), t, n) for t, n in starts]


def meeting(known: list[Shard], seen: Cut) -> list[Shard]:
    """The shards, in order, that hold frames of a cut."""
    starts, step = [shard.start for shard in known], np.timedelta64(seen.step_hours, "h")
    first = max(bisect.bisect_right(starts, seen.start) - 1, 0)
    return known[first : bisect.bisect_left(starts, seen.start + seen.frames * step)]


def named(name: str, domain: Domain, product: Product) -> Shard:
    """The shard of the test period with a given name.

    Raises:
        UserError: if there is none.
    """
    known = {shard.name: shard for shard in cut(domain, product)}
    if name not in known:
        raise UserError(f"there is no shard {name!r}; the shards of the test period are {', '.join(known)}")
    return known[name]
