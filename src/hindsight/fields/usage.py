"""Usage of observations: whether each row of an observation table is used, and if not, the reason.

There are no other reasons than those of `CODES`. Codes from 12 on are for rows that are not valid observations. A row
to which several reasons apply gets the first of them, in the order in which `codes` checks them.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hindsight.fields.axes import NEAR_LEVELS
from hindsight.fields.grid import NEAR, Grid
from hindsight.settings.lexicon import CHANNELS, COMPUTED, ON_LEVELS, inputs, physical_range

USED, WITHHELD, FLAGGED = "used", "withheld", "quality flag"
UNPHYSICAL, OUTSIDE, DUPLICATE = "unphysical value", "outside the domain", "duplicate"
UNKNOWN_CHANNEL, OFF_TIME = "unknown channel or level", "not at a frame's time"
HEIGHT, BACKGROUND = "height far from the model's", "far from the climatology"
NEIGHBOURS, DENIED, THINNED = "far from its neighbours", "station denied", "thinned"
MISSING_VALUE, MISSING_TIME = "missing value", "missing time"
INVALID_POSITION, INVALID_ERROR = "invalid position", "error not positive"
CODES = {
    USED: 0,
    WITHHELD: 1,
    FLAGGED: 2,
    UNPHYSICAL: 3,
    OUTSIDE: 4,
    DUPLICATE: 5,
    UNKNOWN_CHANNEL: 6,
    HEIGHT: 7,
    BACKGROUND: 8,
    NEIGHBOURS: 9,
    DENIED: 10,
    THINNED: 11,
    OFF_TIME: 12,
    MISSING_VALUE: 13,
    MISSING_TIME: 14,
    INVALID_POSITION: 15,
    INVALID_ERROR: 16,
}
BY_CODE = {code: reason for reason, code in CODES.items()}
OF_REPORTS = [code for code in BY_CODE if code > CODES[FLAGGED]]  # qualities that are a reason of their own
FILL_VALUES = (
    -9999.0,
    -999.0,
    -99.0,
    -32768.0,
    -32767.0,
    9999.0,
    99999.0,
    9.96921e36,
)  # of missing values
# rows equal in all of these (and in `level`, of a channel without one in its name, such as t) are duplicates; reports
# between two frames differ in weights
IDENTITY = ["time", "time_weights", "latitude", "longitude", "channel", "station"]


@dataclass(frozen=True)
class Codes:
    """For N rows the code of the first reason against their use (0: none), and all of them as bits; (N,) each."""

    first: np.ndarray
    bits: np.ndarray

    def with_reason(self, reason: str, applies: np.ndarray) -> "Codes":
        """The codes with one more reason, after the others, for the rows to which it applies (N,)."""
        applies, code = np.asarray(applies), CODES[reason]
        first = np.where((self.first == CODES[USED]) & applies, code, self.first)
        return Codes(first, self.bits | np.where(applies, 1 << code, 0))


def codes(
    table: pd.DataFrame,
    times: np.ndarray | None = None,
    channels: Collection[str] | None = None,
    grid: Grid | None = None,
) -> Codes:
    """The reasons why each row is not used, as codes.

    A quality that is one of `OF_REPORTS` is that reason, any other but 0 a quality flag.

    Args:
        table: with the columns of `observations.COLUMNS`, any values.
        times: of the frames; none: any time is accepted.
        channels: of the fields; none: any of the lexicon.
        grid: of the fields; none: any position on the globe.
    """
    found = Codes(np.zeros(len(table), int), np.zeros(len(table), int))
    checks: list[tuple[str, Callable[[], np.ndarray]]] = [
        (MISSING_TIME, lambda: table["time"].isna()),
        (OFF_TIME, lambda: np.zeros(len(table), bool) if times is None else ~table["time"].isin(times)),
        (UNKNOWN_CHANNEL, lambda: ~observable(table, channels)),
        (MISSING_VALUE, lambda: ~np.isfinite(table["value"]) | _is_fill_value(table)),
        (INVALID_ERROR, lambda: ~(np.isfinite(table["error"]) & (table["error"] > 0))),
        (INVALID_POSITION, lambda: ~(table["latitude"].between(-90, 90) & table["longitude"].between(-360, 540))),
        (OUTSIDE, lambda: np.zeros(len(table), bool) if grid is None else ~inside(table, grid)),
        (UNPHYSICAL, lambda: ~_physical(table)),
        (FLAGGED, lambda: ~table["quality"].isin([CODES[USED], *OF_REPORTS])),
        *((BY_CODE[code], lambda code=code: table["quality"] == code) for code in OF_REPORTS),
        (DUPLICATE, lambda: duplicates(table, found.first == CODES[USED])),
        (WITHHELD, lambda: table["withheld"]),
    ]
    for reason, applies in checks:
        found = found.with_reason(reason, applies())
    return found


def reasons(
    table: pd.DataFrame,
    times: np.ndarray | None = None,
    channels: Collection[str] | None = None,
    grid: Grid | None = None,
) -> np.ndarray:
    """The reason why each row is not used, or `USED`; (N,), keys of `CODES`. For the arguments see `codes`."""
    return np.array([BY_CODE[code] for code in codes(table, times, channels, grid).first], object)


def count(table: pd.DataFrame, reasons: np.ndarray) -> pd.DataFrame:
    """Number of rows by platform, channel and reason.

    Returns:
        Columns platform, channel, reason, code, rows; in the order of `CODES`.
    """
    rows = table[["platform", "channel"]].astype(str).assign(reason=reasons).value_counts(sort=False).rename("rows")
    rows = rows.reset_index().assign(code=lambda rows: rows["reason"].map(CODES))
    return rows.sort_values(["code", "platform", "channel"], ignore_index=True)[[*COLUMNS]]


COLUMNS = ["platform", "channel", "reason", "code", "rows"]


def sentence(counts: pd.DataFrame) -> str:
    """Counts as a sentence: the rows that are used, and those that are not, by reason."""
    total = counts.groupby("reason", sort=False)["rows"].sum()
    why = ", ".join(f"{rows} {reason}" for reason, rows in total.items() if reason != USED)
    return f"{total.get(USED, 0)} of {total.sum()} rows are used" + (f"; not used: {why}" if why else "")


def observable(table: pd.DataFrame, channels: Collection[str] | None) -> np.ndarray:
    """Whether each row's channel is one of the fields' or can be computed from them, on the row's level; (N,).

    A row of a channel on a level (`t850`) has that level or none. A variable without a level in its name (`t`) lies
    between the highest and the lowest level on which the fields have it. Station pressure that is computed needs the
    station's elevation.

    Args:
        table: with the columns `channel`, and `level` and `elevation` where rows have them.
        channels: of the fields; none: any of the lexicon.
    """
    known = CHANNELS if channels is None else channels
    name = table["channel"].astype(object).to_numpy()
    given = table["level"].to_numpy(float) if "level" in table else np.full(len(table), np.nan)
    found = np.zeros(len(table), bool)
    for observed in table["channel"].unique():
        at, needed = name == observed, inputs(str(observed), known)
        found[at] = bool(needed) & _on_level(str(observed), given[at], needed)
        if observed in COMPUTED and observed not in known:
            found[at] &= np.isfinite(table["elevation"].to_numpy(float)[at]) if "elevation" in table else False
    return found


def _on_level(observed: str, given: np.ndarray, needed: Sequence[str]) -> np.ndarray:
    """Whether levels (N,) are the observed channel's own, or lie among those of the channels that it depends on."""
    if observed in ON_LEVELS:
        levels = [level for name in needed if (level := CHANNELS[name].level)] or [np.nan]
        return (given >= min(levels) - NEAR_LEVELS) & (given <= max(levels) + NEAR_LEVELS)
    own = CHANNELS[observed].level if observed in CHANNELS else None
    return np.isnan(given) | np.isclose(given, np.nan if own is None else own, rtol=0, atol=NEAR_LEVELS)


def _is_fill_value(table: pd.DataFrame) -> np.ndarray:
    """Whether each value is a code of missing values that the channel cannot have as a value."""
    code = np.isclose(table["value"].to_numpy(float)[:, None], FILL_VALUES, rtol=1e-6, atol=0).any(1)
    return code & ~_physical(table)


def _physical(table: pd.DataFrame) -> np.ndarray:
    ranges = {name: physical_range(str(name)) for name in table["channel"].unique()}
    low, high = (
        table["channel"].map({name: one[side] for name, one in ranges.items()}).to_numpy(float) for side in (0, 1)
    )
    value = table["value"].to_numpy(float)
    return (value >= low) & (value <= high)


def inside(table: pd.DataFrame, grid: Grid) -> np.ndarray:
    """Whether each row lies on the grid, (N,)."""
    between = table["latitude"].between(grid.latitude[0] - NEAR, grid.latitude[-1] + NEAR).to_numpy()
    return between & (grid.periodic | (grid.wrap(table["longitude"].to_numpy()) <= grid.longitude[-1] + NEAR))


def duplicates(table: pd.DataFrame, candidates: np.ndarray) -> np.ndarray:
    """Whether each row duplicates an earlier one, among the rows (N,) that could be used otherwise."""
    found = np.zeros(len(table), bool)
    level = table["level"].where(table["channel"].isin(ON_LEVELS))  # a channel on a level has one already
    names = [name for name in (*IDENTITY, "level") if name in table]
    found[candidates] = table.assign(level=level)[candidates].duplicated(names).to_numpy()
    return found


def with_reason(table: pd.DataFrame, reason: str, applies: np.ndarray) -> pd.DataFrame:
    """A table with `quality` and `reasons`, with one more reason for the rows to which it applies (N,).

    It is the first reason, in `quality`, of the rows that had none.
    """
    before = Codes(table["quality"].to_numpy(), table["reasons"].to_numpy())
    after = before.with_reason(reason, applies)
    return table.assign(quality=after.first, reasons=after.bits)
