"""The account of observations: of every row, whether it is used, and if not, why.

A reason is a word of a closed list, with a code: those below 12 as the feedback of analyses will have them, later ones
for what is no observation yet. The first that strikes counts.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from hindsight.fields.grid import NEAR, Grid
from hindsight.settings.lexicon import CHANNELS

USED, WITHHELD, FLAGGED, RANGE, OUTSIDE = "used", "withheld", "quality flag", "not physical", "outside the domain"
REPEATED, CHANNEL, OFF, VALUE = "repeated", "no such channel or level", "off the frames' times", "no value"
TIME, PLACE, ERROR = "no time", "no place", "no error above zero"
REASONS = {
    USED: 0,
    WITHHELD: 1,
    FLAGGED: 2,
    RANGE: 3,
    OUTSIDE: 4,
    REPEATED: 5,
    CHANNEL: 6,
    OFF: 12,
    VALUE: 13,
    TIME: 14,
    PLACE: 15,
    ERROR: 16,
}
NOTHING = (-9999.0, -999.0, -99.0, -32768.0, -32767.0, 9999.0, 99999.0, 9.96921e36)  # what files write for no value
SAME = ["time", "latitude", "longitude", "channel", "station"]  # rows alike in all of these say the same


def reasons(
    table: pd.DataFrame,
    times: np.ndarray | None = None,
    channels: Sequence[str] | None = None,
    grid: Grid | None = None,
) -> np.ndarray:
    """Why each row is not used, or that it is; (N,), words of `REASONS`.

    Args:
        table: with the columns of `observations.COLUMNS`, whatever its rows hold.
        times: of the frames; none: any time will do.
        channels: of the fields; none: any of the lexicon.
        grid: of the fields; none: any place on the globe.
    """
    found = np.full(len(table), USED, object)
    strikes: list[tuple[str, Callable[[], np.ndarray]]] = [
        (TIME, lambda: table["time"].isna()),
        (OFF, lambda: False if times is None else ~table["time"].isin(times)),
        (CHANNEL, lambda: ~_known(table, channels)),
        (VALUE, lambda: ~np.isfinite(table["value"]) | _nothing(table)),
        (ERROR, lambda: ~(np.isfinite(table["error"]) & (table["error"] > 0))),
        (PLACE, lambda: ~(table["latitude"].between(-90, 90) & table["longitude"].between(-360, 540))),
        (OUTSIDE, lambda: False if grid is None else ~_inside(table, grid)),
        (RANGE, lambda: ~_physical(table)),
        (FLAGGED, lambda: table["quality"] != 0),
        (REPEATED, lambda: _repeated(table, found == USED)),
        (WITHHELD, lambda: table["withheld"]),
    ]
    for reason, strikes_at in strikes:
        found[np.asarray(strikes_at()) & (found == USED)] = reason
    return found


def counted(table: pd.DataFrame, found: np.ndarray) -> pd.DataFrame:
    """How many rows are used, and not used for which reason.

    Returns:
        Columns platform, channel, reason, code, rows; in the order of `REASONS`.
    """
    rows = table[["platform", "channel"]].astype(str).assign(reason=found).value_counts(sort=False).rename("rows")
    rows = rows.reset_index().assign(code=lambda rows: rows["reason"].map(REASONS))
    return rows.sort_values(["code", "platform", "channel"], ignore_index=True)[[*COUNTED]]


COUNTED = ["platform", "channel", "reason", "code", "rows"]


def sentence(counts: pd.DataFrame) -> str:
    """Counts in words: how many rows there are, and why some are not used."""
    total = counts.groupby("reason", sort=False)["rows"].sum()
    why = ", ".join(f"{rows} {reason}" for reason, rows in total.items() if reason != USED)
    return f"{total.get(USED, 0)} of {total.sum()} rows are used" + (f"; not used: {why}" if why else "")


def _known(table: pd.DataFrame, channels: Sequence[str] | None) -> np.ndarray:
    """Whether the fields have the channel; its level is that of the row, where the row says one."""
    level = table["channel"].map({name: channel.level for name, channel in CHANNELS.items()}).to_numpy(float)
    told = table["level"].to_numpy(float)
    at = np.isnan(told) | np.isclose(told, level, rtol=0, atol=NEAR)
    return table["channel"].isin(CHANNELS if channels is None else channels).to_numpy() & at


def _nothing(table: pd.DataFrame) -> np.ndarray:
    """Codes for no value, where the channel cannot have such a value."""
    code = np.isclose(table["value"].to_numpy(float)[:, None], NOTHING, rtol=1e-6, atol=0).any(1)
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
    return inside & (grid.periodic | (grid.turned(table["longitude"].to_numpy()) <= grid.longitude[-1] + NEAR))


def _repeated(table: pd.DataFrame, counted_in: np.ndarray) -> np.ndarray:
    """Rows that say again what an earlier row says that could be used; the first is kept."""
    again = np.zeros(len(table), bool)
    again[counted_in] = table[counted_in].duplicated([*SAME]).to_numpy()
    return again
