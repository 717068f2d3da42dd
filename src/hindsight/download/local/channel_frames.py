"""What the frames of one channel are made from: rows of files, the best first, or amounts that are added up."""

import numpy as np
import pandas as pd

from hindsight.download import assembly
from hindsight.download.local.match import Matched, Series
from hindsight.errors import UserError
from hindsight.settings.lexicon import Channel


class Frames:
    """What the frames of one channel are made from.

    Args:
        channel: not derived.
        matched: what it may be made from.
        times: of the frames.

    Attributes:
        terms: for each weight the choices for each frame, the best first: rows of `table`, -1 where there is none; for
            sums over time one list of rows and signs a frame.
        table: a row a frame of a file: the number of its series, its row there, whether it is preliminary.
    """

    def __init__(self, channel: Channel, matched: Matched, times: np.ndarray) -> None:
        self.channel, self.times = channel, times
        self.series: list[Series] = [one for _, part in matched.terms[channel.name] for one in part]
        self.table = _table(self.series, times[0] - np.timedelta64(channel.hours or 0, "h"), times[-1])
        self._check()
        self.terms, first = [], 0
        for weight, part in matched.terms[channel.name]:
            here = self.table[self.table["series"].between(first, first + len(part) - 1)]
            self.terms.append((weight, self._sums(here) if channel.hours else _layers(here, times)))
            first += len(part)

    def _check(self) -> None:
        """Refuse frames that the files cannot have: beyond their first or last one, or between theirs."""
        have = np.unique(np.concatenate([one.valid for one in self.series]))
        inside = have[(have >= self.times[0]) & (have <= self.times[-1])]
        if np.isin(self.times, have).any() or not inside.size and have[0] < self.times[0] and have[-1] > self.times[-1]:
            return
        raise UserError(
            f"channel {self.channel.name} has no frame at {_text(self.times[0])}, nor at any other time up to "
            f"{_text(self.times[-1])} that is asked for; the files have frames from {_text(have[0])} to "
            f"{_text(have[-1])}{f', here at {_text(inside[0])}' if inside.size else ''}: change the domain's periods "
            "(download.periods), or add files"
        )

    def _sums(self, table: pd.DataFrame) -> list[assembly.Sum]:
        return assembly.amounts(table, self.times, self.channel.hours)

    @property
    def used(self) -> pd.DataFrame:
        """The rows of the table that frames are made of."""
        rows: set[int] = set()
        for _, chosen in self.terms:
            rows |= {row for one in chosen for row, _ in one} if self.channel.hours else set(np.unique(chosen)) - {-1}
        return self.table.loc[sorted(rows)]

    @property
    def there(self) -> np.ndarray:
        """Which frames are made of anything, (T,)."""
        chosen = self.terms[0][1]
        return np.array([bool(one) for one in chosen]) if self.channel.hours else chosen[0] >= 0

    @property
    def provisional(self) -> np.ndarray:
        """Which frames are made of anything preliminary, (T,)."""
        late = set(self.table.index[self.table["expver"] == "5"])
        found = np.zeros(len(self.times), bool)
        for _, chosen in self.terms:
            if self.channel.hours:
                found |= [any(row in late for row, _ in one) for one in chosen]
            else:
                found |= np.isin(chosen[0], list(late))
        return found


def _table(series: list[Series], since: np.datetime64, until: np.datetime64) -> pd.DataFrame:
    """A row a frame of a file, in the columns that `choice` knows."""
    found = []
    for number, one in enumerate(series):
        chosen = one.chosen((one.valid >= since) & (one.valid <= until))
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
                    "expver": np.where(chosen.late, "5", "1"),
                    "stepType": "instant" if chosen.begin is None else "accum",
                    "dataType": "an",
                    "file": chosen.rank,  # names, then files, in their order
                    "offset": number,
                    "field": chosen.rows,
                }
            )
        )
    return pd.concat(found, ignore_index=True)


def _layers(table: pd.DataFrame, times: np.ndarray) -> np.ndarray:
    """For each frame its choices, the best first: final ones, then by name, then by file; -1 where there is none."""
    ranked = table.sort_values(["expver", "rank", "series", "row"], kind="stable")
    ranked = ranked[ranked["valid"].isin(times)]
    depth = ranked.groupby("valid").cumcount().to_numpy()
    layers = np.full((int(depth.max(initial=0)) + 1, len(times)), -1)
    layers[depth, np.searchsorted(times, ranked["valid"].to_numpy())] = ranked.index
    return layers


def _text(time: np.datetime64) -> str:
    return str(np.datetime64(time, "m"))
