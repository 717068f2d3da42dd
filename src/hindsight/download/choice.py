"""Which messages make which frames.

A channel is found by its parameter, or by a name that GRIB may have for it, and by its level. A frame of it is a sum of
messages, each with a sign: the one that is valid then, or the amounts that tile the hours before, or the amount since
the start of a forecast less an earlier one of the same forecast. Where there is nothing of the kind the sum is empty.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pandas as pd

from hindsight.download.catalogue import DETERMINISTIC
from hindsight.errors import UserError
from hindsight.settings.lexicon import Channel, nearest

PRESSURE = ("isobaricInhPa", "isobaricInPa")
LAYERED = (*PRESSURE, "isobaricLayer", "hybrid", "hybridLayer", "sigma", "theta", "potentialVorticity")
Sum = list[tuple[int, int]]  # rows of a table of messages, and whether they are added (1) or taken away (-1)


def series(inventory: pd.DataFrame, channels: list[Channel], asked: int | None) -> dict[str, pd.DataFrame]:
    """What the files have of each channel: rows of the inventory, of one parameter and one member.

    Args:
        inventory: what the files hold.
        channels: what is wanted.
        asked: the member; none: the deterministic one, or else the control.

    Raises:
        UserError: if a variable, a level or a member is not there; it says what is.
    """
    found = {channel.name: _at_level(_named(inventory, channel), channel) for channel in channels}
    member = _member(pd.concat(found.values()), asked)
    for name, rows in found.items():
        found[name] = rows[rows["member"] == member]
        if found[name].empty:
            raise UserError(
                f"the GRIB files have no {_who(member)} of channel {name} (they have {_members(rows)}); set "
                "download.grib.member to one that all channels have, or add files to download.grib.files"
            )
    return found


def of(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The messages that rows of the inventory speak of."""
    keys = ["paramId", "typeOfLevel", "level", "member"]
    wanted = pd.MultiIndex.from_frame(rows[keys])
    return table[pd.MultiIndex.from_frame(table[keys]).isin(wanted)]


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


def _named(inventory: pd.DataFrame, channel: Channel) -> pd.DataFrame:
    """Rows of the channel's parameter, or else of one that goes by one of its names."""
    found = inventory[inventory["paramId"] == channel.parameter]
    called = channel.names("grib")
    if found.empty:
        found = inventory[inventory["shortName"].isin(called) | inventory["cfVarName"].isin(called)]
        found = found[found["paramId"] == found["paramId"].min()]
    if found.empty:
        have = sorted({name for column in ("shortName", "cfVarName") for name in inventory[column]} - {"unknown"})
        raise UserError(
            f"the GRIB files have no variable for channel {channel.name} (parameter {channel.parameter}, "
            f"{' or '.join(called[:3])}; {_near(called, have)}); add its files to download.grib.files, or drop "
            "the channel"
        )
    return found


def _near(called: Iterable[str], have: list[str]) -> str:
    hints = [hint for name in called if (hint := nearest(name, have)).startswith("did")]
    return hints[0] if hints else f"they have {', '.join(have[:40])}"


def _at_level(rows: pd.DataFrame, channel: Channel) -> pd.DataFrame:
    if channel.level is None:
        found, level = rows[~rows["typeOfLevel"].isin(LAYERED)], "the surface or near it"
    else:
        on_pressure = rows["typeOfLevel"].isin(PRESSURE)
        found, level = rows[on_pressure & np.isclose(rows["level"], channel.level)], f"level {channel.level} hPa"
    if found.empty:
        have = ", ".join(f"{kind} {lev:g}" for kind, lev in sorted(set(zip(rows["typeOfLevel"], rows["level"]))))
        raise UserError(
            f"the GRIB files have {rows['shortName'].iloc[0]!r}, but not at {level}, for channel {channel.name} (they "
            f"have it at {have}); add its files to download.grib.files, or drop the channel"
        )
    return found


def _member(rows: pd.DataFrame, asked: int | None) -> int:
    have = set(rows["member"])
    for wanted in [asked] if asked is not None else [DETERMINISTIC, 0]:
        if wanted in have:
            return wanted
    raise UserError(
        f"the GRIB files have no {_who(asked)} (they have {_members(rows)}); set download.grib.member to one of them"
        + ("" if asked is None or have != {DETERMINISTIC} else ", which is null")
    )


def _who(member: int | None) -> str:
    if member is None:
        return "deterministic fields and no control"
    return "deterministic field" if member == DETERMINISTIC else f"member {member}"


def _members(rows: pd.DataFrame) -> str:
    have = sorted(set(rows["member"]))
    words = ["deterministic ones"] if DETERMINISTIC in have else []
    numbers = [str(number) for number in have if number != DETERMINISTIC]
    return " and ".join(words + (["members " + ", ".join(numbers)] if numbers else []))
