"""Usage of observations: whether each row of an observation table is used, and if not, the reason.

There are no other reasons than those of `CODES`. Codes from 12 on are for rows that are not valid observations. A row
to which several reasons apply gets the first of them, in the order in which `reasons` checks them.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from hindsight.fields.grid import NEAR, Grid
from hindsight.settings.lexicon import CHANNELS

USED, WITHHELD, FLAGGED = "used", "withheld", "quality flag"
UNPHYSICAL, OUTSIDE, DUPLICATE = "unphysical value", "outside the domain", "duplicate"
UNKNOWN_CHANNEL, OFF_TIME = "unknown channel or level", "not at a frame's time"
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
    OFF_TIME: 12,
    MISSING_VALUE: 13,
    MISSING_TIME: 14,
    INVALID_POSITION: 15,
    INVALID_ERROR: 16,
}
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
IDENTITY = ["time", "latitude", "longitude", "channel", "station"]  # rows equal in all of these are duplicates


def reasons(
    table: pd.DataFrame,
    times: np.ndarray | None = None,
    channels: Sequence[str] | None = None,
    grid: Grid | None = None,
) -> np.ndarray:
    """The reason why each row is not used, or `USED`; (N,), keys of `CODES`.

    Args:
        table: with the columns of `observations.COLUMNS`, any values.
        times: of the frames; none: any time is accepted.
        channels: of the fields; none: any of the lexicon.
        grid: of the fields; none: any position on the globe.
    """
    found = np.full(len(table), USED, object)
    checks: list[tuple[str, Callable[[], np.ndarray]]] = [
        (MISSING_TIME, lambda: table["time"].isna()),
        (OFF_TIME, lambda: False if times is None else ~table["time"].isin(times)),
        (UNKNOWN_CHANNEL, lambda: ~_has_channel(table, channels)),
        (MISSING_VALUE, lambda: ~np.isfinite(table["value"]) | _is_fill_value(table)),
        (INVALID_ERROR, lambda: ~(np.isfinite(table["error"]) & (table["error"] > 0))),
        (INVALID_POSITION, lambda: ~(table["latitude"].between(-90, 90) & table["longitude"].between(-360, 540))),
        (OUTSIDE, lambda: False if grid is None else ~_inside(table, grid)),
        (UNPHYSICAL, lambda: ~_physical(table)),
        (FLAGGED, lambda: table["quality"] != 0),
        (DUPLICATE, lambda: _repeated(table, found == USED)),
        (WITHHELD, lambda: table["withheld"]),
    ]
    for reason, fails in checks:
        found[np.asarray(fails()) & (found == USED)] = reason
    return found


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


def _has_channel(table: pd.DataFrame, channels: Sequence[str] | None) -> np.ndarray:
    """Whether the fields have each row's channel, on the row's level where it gives one."""
    level = table["channel"].map({name: channel.level for name, channel in CHANNELS.items()}).to_numpy(float)
    given = table["level"].to_numpy(float)
    at = np.isnan(given) | np.isclose(given, level, rtol=0, atol=NEAR)
    return table["channel"].isin(CHANNELS if channels is None else channels).to_numpy() & at


def _is_fill_value(table: pd.DataFrame) -> np.ndarray:
    """Whether each value is a code of missing values that the channel cannot have as a value."""
    code = np.isclose(table["value"].to_numpy(float)[:, None], FILL_VALUES, rtol=1e-6, atol=0).any(1)
    return code & ~_physical(table)


def _physical(table: pd.DataFrame) -> np.ndarray:
    low, high = (
        table["channel"].map({name: getattr(channel, side) for name, channel in CHANNELS.items()}).to_numpy(float)
        for side in ("lowest", "highest")
    )
    value = table["value"].to_numpy(float)
    return (value >= low) & (value <= high)


def _inside(table: pd.DataFrame, grid: Grid) -> np.ndarray:
    inside = table["latitude"].between(grid.latitude[0] - NEAR, grid.latitude[-1] + NEAR).to_numpy()
    return inside & (grid.periodic | (grid.wrap(table["longitude"].to_numpy()) <= grid.longitude[-1] + NEAR))


def _repeated(table: pd.DataFrame, candidates: np.ndarray) -> np.ndarray:
    """Whether each row duplicates an earlier one, among the rows that could be used otherwise."""
    found = np.zeros(len(table), bool)
    found[candidates] = table[candidates].duplicated([*IDENTITY]).to_numpy()
    return found
