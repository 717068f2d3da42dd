"""Find lasting changes of how many observations a network has, from daily counts, in memory that does not grow.

For each kind of observation the median count of the days before a day is compared with that of the days from it on. A
gap that is shorter than half of these days changes no median. Of consecutive days at which they differ, the one with
the largest difference of the means is the day of the change.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.settings.archive import NetworkChange

DAY = np.timedelta64(1, "D")
COUNTED_BY = ["platform", "channel"]  # columns of feedback
CHANCE = 5.0  # standard deviations of independent counts that a change must exceed


@dataclass
class Series:
    """Counts of one kind on the latest days, and the largest difference in the present run of days that differ."""

    counts: deque[int]
    largest: tuple[float, np.datetime64, float, float] | None = field(default=None)  # difference, day, before, after


class ChangeSearch:
    """Receives the counts of every day, in order of time, and keeps the lasting changes.

    Args:
        settings: the least share by which a count must change, and for how many days.
    """

    def __init__(self, settings: NetworkChange) -> None:
        self.settings, self.days = settings, 0
        self.series: dict[tuple[str, str], Series] = {}
        self.changes: list[dict] = []

    def add(self, day: np.datetime64, counts: dict[tuple[str, str], int]) -> None:
        """Count a day's observations, by platform and channel; those that are not named count as zero."""
        span = 2 * self.settings.days
        for kind in counts.keys() - self.series.keys():
            self.series[kind] = Series(deque([0] * min(self.days, span), span))
        self.days += 1
        for kind, series in self.series.items():
            series.counts.append(counts.get(kind, 0))
            if len(series.counts) == span:
                self._judge(kind, series, day - (self.settings.days - 1) * DAY)

    def results(self) -> list[dict]:
        """The changes: `time`, `platform`, `channel`, and counts a day `before` and `after`, in order of time."""
        for kind, series in self.series.items():
            self._keep(kind, series)
        return sorted(self.changes, key=lambda one: (one["time"], one["platform"], one["channel"]))

    def _judge(self, kind: tuple[str, str], series: Series, day: np.datetime64) -> None:
        earlier, later = np.array(series.counts, float).reshape(2, -1)
        difference = float(later.mean() - earlier.mean())
        if series.largest and (series.largest[0] > 0) != (difference > 0):
            self._keep(kind, series)
        if not is_change(earlier, later, self.settings.share):
            self._keep(kind, series)
        elif series.largest is None or abs(difference) > abs(series.largest[0]):
            series.largest = difference, day, float(earlier.mean()), float(later.mean())

    def _keep(self, kind: tuple[str, str], series: Series) -> None:
        if series.largest:
            _, day, before, after = series.largest
            names = dict(zip(COUNTED_BY, kind))
            self.changes.append({"time": f"{day}", **names, "before": round(before, 1), "after": round(after, 1)})
        series.largest = None


def is_change(earlier: np.ndarray, later: np.ndarray, share: float) -> bool:
    """Whether the counts of two periods differ by more than a share of the larger, and by more than chance."""
    before, after = np.median(earlier), np.median(later)
    chance = CHANCE * np.sqrt(earlier.sum() + later.sum())
    return bool(abs(after - before) > share * max(before, after) and abs(later.sum() - earlier.sum()) > chance)


def daily(tables: Iterable[tuple[np.ndarray, Path]]) -> Iterator[tuple[np.datetime64, dict[tuple[str, str], int]]]:
    """Days and the number of observations that were used, by platform and channel, one table in memory at a time.

    Args:
        tables: for each shard the times of its frames and the file of its feedback, in order of time.
    """
    pending: dict[np.datetime64, dict[tuple[str, str], int]] = {}
    for times, path in tables:
        days = np.unique(times.astype("datetime64[D]"))
        for done in [day for day in pending if day < days[0]]:
            yield done, pending.pop(done)
        for day in days:
            pending.setdefault(day, {})
        for (day, *kind), number in _counts(path).items():
            counts = pending.setdefault(np.datetime64(day, "D"), {})
            counts[tuple(kind)] = counts.get(tuple(kind), 0) + number
    yield from sorted(pending.items())


def _counts(path: Path) -> dict[tuple, int]:
    try:
        table = pd.read_parquet(path, columns=["time", "code", *COUNTED_BY])
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the feedback {path} ({error}); delete it and run snakemake again") from None
    used = table[table["code"] == 0]
    day = used["time"].dt.floor("D").rename("day")
    return used.groupby([day, *(used[name].astype(str) for name in COUNTED_BY)]).size().to_dict()
