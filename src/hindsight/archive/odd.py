"""Values of the archive that are there and look wrong: what the manifest looks for in a source."""

from pathlib import Path

import numpy as np
import zarr

from hindsight.errors import UserError
from hindsight.fields import findings, scan, shards
from hindsight.fields.scan import Seen
from hindsight.settings import Archive, Domain, Ensemble
from hindsight.settings.lexicon import CHANNELS

SHOWN = 12  # findings that an error lists; `check.json` has all


class Looked:
    """What a scan has seen of the objects of an archive, in order of time.

    Args:
        archive: the store.
        domain: its channels and steps.
        product: members and shards.
    """

    def __init__(self, archive: Path, domain: Domain, product: Ensemble) -> None:
        self.archive = archive
        times = [shard.times(domain.step_hours) for shard in shards.cut(domain, product)]
        self.times = np.concatenate(times)
        self.seams = [own[0] for own in times]  # a member's weather need not go on from one shard to the next
        self.grid = tuple(zarr.open_array(archive / axis, mode="r")[:] for axis in ("latitude", "longitude"))
        self.seen: dict[tuple[str, int], list[Seen]] = {}

    def add(self, key: str, members: slice, first: int, values: np.ndarray) -> None:
        """Look at an object of an array: (E, T, H, W), or (T, H, W) of mean and spread, from a frame on."""
        fields = values.swapaxes(0, 1) if values.ndim == 4 else values[:, None]
        *group, name = key.split("/")
        turns = CHANNELS[name].standard_name in findings.VECTOR and group != ["spread"]
        times, span = self.times[first : first + len(fields)], float(np.ptp(self.grid[1]))
        seen = scan.look(fields, times, self.grid[0] if turns else None, span)
        self.seen.setdefault((key, members.start or 0), []).append(seen)

    def odd(self) -> list[dict]:
        """What looks wrong; see `findings.described`, and the `variable` it is in."""
        return [one for key, first in self.seen for one in self._of(key, first)]

    def _of(self, key: str, first: int) -> list[dict]:
        seen, array = scan.joined(self.seen[key, first]), zarr.open_array(self.archive / key, mode="r")
        count = seen.lowest.shape[1]

        def fields(time: np.datetime64) -> np.ndarray:
            frame = int(np.searchsorted(self.times, time))
            return array[first : first + count, frame] if array.ndim == 4 else array[frame][None]

        levels = [f"member {first + number}" for number in range(count)] if array.ndim == 4 else [""]
        name = "" if key.startswith("spread/") else CHANNELS[key.split("/")[-1]].standard_name
        found = findings.described(scan.judged(seen, self.seams), seen, fields, levels, self.grid, name)
        return [{"variable": key} | one for one in found]


def refuse(odd: list[dict], settings: Archive, archive: Path) -> None:
    """Refuse what looks wrong at times that nobody has said to be right.

    Raises:
        UserError: with variable, member, time and place.
    """
    wrong = [one for one in odd if one["loud"] and not settings.taken(one["first"], one["last"])]
    if wrong:
        lines = [findings.sentence(one["variable"], one) for one in wrong[:SHOWN]]
        more = f"\n  and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise UserError(
            f"the archive {archive} has values that look wrong:\n  " + "\n  ".join(lines) + more + "\n"
            "Look at the analyses and observations of these times, and make them again; if the values are right, name "
            "the times in archive.accepted"
        )
