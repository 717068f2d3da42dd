"""Find suspect values in the archive, by the same tests that the manifest applies to a source."""

from pathlib import Path

import numpy as np
import zarr

from hindsight.errors import UserError
from hindsight.fields import findings, scan, shards
from hindsight.fields.scan import Summary
from hindsight.settings import Archive, Domain, Ensemble
from hindsight.settings.lexicon import CHANNELS

LISTED = 12  # suspect values that an error message lists; `check.json` has all
WINDOW = 8192  # frames, at least, that are judged together; in windows, so that memory does not grow with the years


class SuspectSearch:
    """Scans the objects of an archive for suspect values, in order of time.

    Args:
        archive: the store.
        domain: channels and time step of the archive.
        product: its members and shards.
    """

    def __init__(self, archive: Path, domain: Domain, product: Ensemble) -> None:
        self.archive = archive
        times = [shard.times(domain.step_hours) for shard in shards.cut(domain, product)]
        self.times = np.concatenate(times)
        self.seams = [frames[0] for frames in times]  # where a member may be discontinuous
        self.grid = tuple(zarr.open_array(archive / axis, mode="r")[:] for axis in ("latitude", "longitude"))
        self.scans: dict[tuple[str, int], list[Summary]] = {}
        self.windows: dict[tuple[str, int], Summary] = {}  # whole ones; the last is judged with the rest of the frames
        self.found: dict[tuple[str, int], list[dict]] = {}

    def add(self, key: str, members: slice, first: int, values: np.ndarray) -> None:
        """Scan an object of an array, (E, T, H, W), or (T, H, W) of mean and spread, that begins with frame `first`."""
        fields = values.swapaxes(0, 1) if values.ndim == 4 else values[:, None]
        *group, name = key.split("/")
        is_vector = CHANNELS[name].standard_name in findings.VECTOR and group != ["spread"]
        times, span = self.times[first : first + len(fields)], float(np.ptp(self.grid[1]))
        summary = scan.summarise(fields, times, self.grid[0] if is_vector else None, span)
        which = key, members.start or 0
        parts = self.scans.setdefault(which, [])
        parts.append(summary)
        while len(parts) > 1 and len(parts[-2].times) <= len(
            parts[-1].times
        ):  # merged like binary numbers, so that few are kept
            parts[-2:] = [scan.concatenate(parts[-2:])]
        if sum(len(one.times) for one in parts) >= WINDOW:
            if which in self.windows:
                self._judge(*which, self.windows[which])
            self.windows[which] = scan.concatenate(self.scans.pop(which))

    def results(self) -> list[dict]:
        """The suspect values, as `findings.describe` returns them, each with its `variable`."""
        for which in {**self.windows, **self.scans}:
            rest = [*([self.windows.pop(which)] if which in self.windows else []), *self.scans.pop(which, [])]
            self._judge(*which, scan.concatenate(rest))
        return [one for described in self.found.values() for one in described]

    def _judge(self, key: str, first_member: int, summary: Summary) -> None:
        array, count = zarr.open_array(self.archive / key, mode="r"), summary.lowest.shape[1]

        def fields(time: np.datetime64) -> np.ndarray:
            frame = int(np.searchsorted(self.times, time))
            return array[first_member : first_member + count, frame] if array.ndim == 4 else array[frame][None]

        levels = [f"member {first_member + number}" for number in range(count)] if array.ndim == 4 else [""]
        name = "" if key.startswith("spread/") else CHANNELS[key.split("/")[-1]].standard_name
        described = findings.describe(scan.detect(summary, self.seams), summary, fields, levels, self.grid, name)
        self.found.setdefault((key, first_member), []).extend({"variable": key} | one for one in described)


def refuse(suspects: list[dict], settings: Archive, archive: Path) -> None:
    """Stop at fatal suspect values whose times are not in `archive.accepted`.

    Raises:
        UserError: with variable, member, time and place of each.
    """
    wrong = [one for one in suspects if one["fatal"] and not settings.is_accepted(one["first"], one["last"])]
    if wrong:
        lines = [findings.sentence(one["variable"], one) for one in wrong[:LISTED]]
        more = f"\n  and {len(wrong) - LISTED} more" if len(wrong) > LISTED else ""
        raise UserError(
            f"the archive {archive} has suspect values:\n  " + "\n  ".join(lines) + more + "\n"
            "Check the analyses and observations of these times. If the values are wrong, make the analyses again; if "
            "they are right, list the times in archive.accepted"
        )
