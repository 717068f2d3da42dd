"""How a period is cut into shards. Numpy alone: the Snakefile asks this before any job."""

from dataclasses import dataclass

import numpy as np

from hindsight.errors import UserError
from hindsight.settings.domain import Domain
from hindsight.settings.product import Product


@dataclass(frozen=True)
class Shard:
    """A stretch of frames that one job makes: its name, its first frame's time and its number of frames."""

    name: str
    start: np.datetime64
    frames: int

    def times(self, step_hours: int, halo: int = 0) -> np.ndarray:
        """Times of the frames, with a halo on both sides."""
        steps = np.arange(-halo, self.frames + halo) * np.timedelta64(step_hours, "h")
        return (self.start + steps).astype("datetime64[ns]")


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


def named(name: str, domain: Domain, product: Product) -> Shard:
    """The shard of the test period with a given name.

    Raises:
        UserError: if there is none.
    """
    known = {shard.name: shard for shard in cut(domain, product)}
    if name not in known:
        raise UserError(f"there is no shard {name!r}; the shards of the test period are {', '.join(known)}")
    return known[name]
