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
    """For each time the row that is valid then: an analysis before a forecast, a short lead before a long one.

    Among equals, preliminary rows come after final ones. A monthly mean, which may bear the month's first time, comes
    last.
    """
    chosen = _ranked(table[table["begin"] == table["valid"]]).drop_duplicates("valid")
    rows = dict(zip(chosen["valid"], chosen.index, strict=True))
    return [[(rows[time], 1)] if time in rows else [] for time in map(pd.Timestamp, times)]


def amounts(table: pd.DataFrame, times: np.ndarray, hours: int) -> list[Sum]:
    """For each time the rows that add up to the amount over the `hours` before it.

    The hours are divided into equal periods, as few as possible. The amount of a period is one row, or the difference
    of two.
    """
    by_period = _Amounts(_ranked(_with_begin(table)))
    return [_fill_window(by_period, pd.Timestamp(time), hours) for time in times]


def preliminary(table: pd.DataFrame) -> pd.Series:
    """Which rows are preliminary: those of ERA5T, of experiment version 5."""
    return table["expver"].astype(str).str.lstrip("0") == "5"


class _Amounts:
    """The amounts that rows give, by period."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.single: dict[tuple, int] = {}
        self.since_base: dict[pd.Timestamp, dict[pd.Timestamp, int]] = defaultdict(dict)  # by end and start of forecast
        for row, base, begin, valid in zip(table.index, table["base"], table["begin"], table["valid"], strict=True):
            self.single.setdefault((begin, valid), row)
            if begin == base:
                self.since_base[valid].setdefault(base, row)

    def between(self, begin: pd.Timestamp, end: pd.Timestamp) -> Sum:
        """One row, or the difference of two rows of the latest forecast that has both."""
        if (begin, end) in self.single:
            return [(self.single[begin, end], 1)]
        earlier, later = self.since_base.get(begin, {}), self.since_base.get(end, {})
        if not (both := earlier.keys() & later.keys()):
            return []
        return [(later[max(both)], 1), (earlier[max(both)], -1)]


def _fill_window(by_period: _Amounts, end: pd.Timestamp, hours: int) -> Sum:
    minutes = hours * 60
    for count in (n for n in range(1, minutes + 1) if minutes % n == 0):
        length, found = pd.Timedelta(minutes=minutes // count), []
        for last in (end - k * length for k in range(count)):
            if not (amount := by_period.between(last - length, last)):
                break
            found += amount
        else:
            return found
    return []


def _with_begin(table: pd.DataFrame) -> pd.DataFrame:
    """Amounts with the beginning of their period; if old GRIB 1 states no period, it is the start of the forecast."""
    amount = table[table["stepType"].isin(["accum", "instant"])]
    unstated = amount["begin"] == amount["valid"]
    amount = amount.assign(begin=amount["begin"].where(~unstated, amount["base"]))
    return amount[amount["begin"] < amount["valid"]]


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    rank = {
        "mean": ~table["stepType"].isin(["instant", "accum"]),
        "forecast": table["dataType"] != "an",
        "lead": table["valid"] - table["base"],
        "preliminary": preliminary(table),
    }
    return table.assign(**rank).sort_values([*rank, "file", "offset", "field"], kind="stable")
