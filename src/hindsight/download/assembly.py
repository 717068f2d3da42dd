"""Which rows of a table each frame is assembled from. The rows are GRIB messages or frames of files.

A frame is a sum of rows, each with a sign: the row that is valid at its time, or the amounts that fill the hours
before it, or the amount since the start of a forecast minus an earlier amount of the same forecast. The sum is empty
where no rows make the frame.
"""

from collections import defaultdict

import numpy as np
import pandas as pd

Sum = list[tuple[int, int]]  # rows of a table, each with its sign: 1 added, -1 subtracted


def instants(table: pd.DataFrame, times: np.ndarray) -> list[Sum]:
    """For each time the message that is valid then: an analysis before a forecast, the shorter before the longer.

    What is preliminary comes last among equals, and a monthly mean, which may bear the month's first time, last of all.
    """
    chosen = _ranked(table[table["begin"] == table["valid"]]).drop_duplicates("valid")
    rows = dict(zip(chosen["valid"], chosen.index, strict=True))
    return [[(rows[time], 1)] if time in rows else [] for time in map(pd.Timestamp, times)]


def amounts(table: pd.DataFrame, times: np.ndarray, hours: int) -> list[Sum]:
    """For each time the messages that add up to the amount over so many hours before it.

    The window is made of equal pieces, as few as will do; each is one message, or the difference of two.
    """
    pieces = _Pieces(_ranked(_periods(table)))
    return [_tiled(pieces, pd.Timestamp(time), hours) for time in times]


def provisional(table: pd.DataFrame) -> pd.Series:
    """Which messages are preliminary: ERA5T's, of experiment version 5."""
    return table["expver"].astype(str).str.lstrip("0") == "5"


class _Pieces:
    """Amounts that messages tell, over any time that they tell it of."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.whole: dict[tuple, int] = {}
        self.since: dict[pd.Timestamp, dict[pd.Timestamp, int]] = defaultdict(dict)  # by end and start of forecast
        for row, base, begin, valid in zip(table.index, table["base"], table["begin"], table["valid"], strict=True):
            self.whole.setdefault((begin, valid), row)
            if begin == base:
                self.since[valid].setdefault(base, row)

    def between(self, begin: pd.Timestamp, end: pd.Timestamp) -> Sum:
        """One message, or the difference of two of the latest forecast that has both."""
        if (begin, end) in self.whole:
            return [(self.whole[begin, end], 1)]
        earlier, later = self.since.get(begin, {}), self.since.get(end, {})
        if not (both := earlier.keys() & later.keys()):
            return []
        return [(later[max(both)], 1), (earlier[max(both)], -1)]


def _tiled(pieces: _Pieces, end: pd.Timestamp, hours: int) -> Sum:
    minutes = hours * 60
    for count in (n for n in range(1, minutes + 1) if minutes % n == 0):
        length, found = pd.Timedelta(minutes=minutes // count), []
        for last in (end - k * length for k in range(count)):
            if not (piece := pieces.between(last - length, last)):
                break
            found += piece
        else:
            return found
    return []


def _periods(table: pd.DataFrame) -> pd.DataFrame:
    """Amounts; what old GRIB 1 says of no period is since the start of the forecast."""
    amount = table[table["stepType"].isin(["accum", "instant"])]
    untold = amount["begin"] == amount["valid"]
    amount = amount.assign(begin=amount["begin"].where(~untold, amount["base"]))
    return amount[amount["begin"] < amount["valid"]]


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    rank = {
        "mean": ~table["stepType"].isin(["instant", "accum"]),
        "forecast": table["dataType"] != "an",
        "lead": table["valid"] - table["base"],
        "late": provisional(table),
    }
    return table.assign(**rank).sort_values([*rank, "file", "offset", "field"], kind="stable")
