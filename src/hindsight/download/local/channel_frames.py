"""The rows of files that make the frames of one channel: the best row of each frame first, or amounts to be summed."""

import numpy as np
import pandas as pd

from hindsight.download import assembly
from hindsight.download.dates import to_minute
from hindsight.download.local.match import Match, Series
from hindsight.errors import UserError
from hindsight.settings.lexicon import Channel


class ChannelFrames:
    """The rows of files that make the frames of one channel.

    Args:
        channel: not derived.
        matched: the series that may make it.
        times: of the frames.

    Attributes:
        terms: for each weight the choices for each frame, the best first: rows of `table`, -1 where there is none; for
            sums over time a list of rows and signs for each frame.
        table: a row for each frame of a file: the number of its series, its row there, whether it is preliminary.
    """

    def __init__(self, channel: Channel, matched: Match, times: np.ndarray) -> None:
        self.channel, self.times = channel, times
        self.series: list[Series] = [one for _, series in matched.terms[channel.name] for one in series]
        self.table = _table(self.series, times[0] - np.timedelta64(channel.hours or 0, "h"), times[-1])
        self._check()
        self.terms, first = [], 0
        for weight, series in matched.terms[channel.name]:
            here = self.table[self.table["series"].between(first, first + len(series) - 1)]
            self.terms.append((weight, self._sums(here) if channel.hours else _choices(here, times)))
            first += len(series)

    def _check(self) -> None:
        """Refuse frames that the files cannot have: outside their first and last frame, or between their time steps."""
        have = np.unique(np.concatenate([one.valid for one in self.series]))
        inside = have[(have >= self.times[0]) & (have <= self.times[-1])]
        if np.isin(self.times, have).any() or not inside.size and have[0] < self.times[0] and have[-1] > self.times[-1]:
            return
        raise UserError(
            f"channel {self.channel.name} has no frame at {to_minute(self.times[0])}, nor at any other requested time "
            f"up to {to_minute(self.times[-1])}; the files have frames from {to_minute(have[0])} to "
            f"{to_minute(have[-1])}{f', here at {to_minute(inside[0])}' if inside.size else ''}: change the domain's "
            "periods (download.periods), or add files"
        )

    def _sums(self, table: pd.DataFrame) -> list[assembly.Sum]:
        return assembly.amounts(table, self.times, self.channel.hours)

    @property
    def used_rows(self) -> pd.DataFrame:
        """The rows of the table that make frames."""
        rows: set[int] = set()
        for _, chosen in self.terms:
            rows |= {row for one in chosen for row, _ in one} if self.channel.hours else set(np.unique(chosen)) - {-1}
        return self.table.loc[sorted(rows)]

    @property
    def available(self) -> np.ndarray:
        """Which frames are made of at least one row, (T,)."""
        chosen = self.terms[0][1]
        return np.array([bool(one) for one in chosen]) if self.channel.hours else chosen[0] >= 0

    @property
    def preliminary(self) -> np.ndarray:
        """Which frames are made of preliminary rows, (T,)."""
        preliminary_rows = set(self.table.index[self.table["expver"] == "5"])
        found = np.zeros(len(self.times), bool)
        for _, chosen in self.terms:
            if self.channel.hours:
                found |= [any(row in preliminary_rows for row, _ in one) for one in chosen]
            else:
                found |= np.isin(chosen[0], list(preliminary_rows))
        return found


def _table(series: list[Series], since: np.datetime64, until: np.datetime64) -> pd.DataFrame:
    """A row for each frame of a file, in the columns that `assembly` needs."""
    found = []
    for number, one in enumerate(series):
        chosen = one.subset((one.valid >= since) & (one.valid <= until))
        begin = chosen.valid if chosen.begin is None else chosen.begin
        found.append(
            pd.DataFrame(
                {
                    "series": number,
                    "row": chosen.rows,
                    "valid": chosen.valid,
                    "begin": begin,
                    "base": begin,
                    "rank": chosen.rank,
                    "expver": np.where(chosen.preliminary, "5", "1"),
                    "stepType": "instant" if chosen.begin is None else "accum",
                    "dataType": "an",
                    "file": chosen.rank,  # so that `assembly` sorts by name, then by file
                    "offset": number,
                    "field": chosen.rows,
                }
            )
        )
    return pd.concat(found, ignore_index=True)


def _choices(table: pd.DataFrame, times: np.ndarray) -> np.ndarray:
    """For each frame its rows, the best first: final before preliminary, then by name, then by file; -1 for none."""
    ranked = table.sort_values(["expver", "rank", "series", "row"], kind="stable")
    ranked = ranked[ranked["valid"].isin(times)]
    depth = ranked.groupby("valid").cumcount().to_numpy()
    choices = np.full((int(depth.max(initial=0)) + 1, len(times)), -1)
    choices[depth, np.searchsorted(times, ranked["valid"].to_numpy())] = ranked.index
    return choices
