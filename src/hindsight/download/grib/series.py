"""Which series of GRIB messages belong to each channel, by parameter, level and member.

A channel is found by its parameter, or else by a name that GRIB may use for it, and by its level.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from hindsight.download.grib.catalogue import DETERMINISTIC
from hindsight.errors import UserError
from hindsight.settings.lexicon import Channel, nearest

PRESSURE = ("isobaricInhPa", "isobaricInPa")
LAYERED = (*PRESSURE, "isobaricLayer", "hybrid", "hybridLayer", "sigma", "theta", "potentialVorticity")


def of_channels(inventory: pd.DataFrame, channels: list[Channel], member: int | None) -> dict[str, pd.DataFrame]:
    """The series of each channel: rows of the inventory, of one parameter and one member.

    Args:
        inventory: the series in the files.
        channels: to look for.
        member: of the ensemble; None: the deterministic one, or else the control.

    Raises:
        UserError: if the files do not have a variable, a level or a member; it lists those that they have.
    """
    found = {channel.name: _at_level(_named(inventory, channel), channel) for channel in channels}
    number = _member(pd.concat(found.values()), member)
    for name, rows in found.items():
        found[name] = rows[rows["member"] == number]
        if found[name].empty:
            raise UserError(
                f"the GRIB files have no {_describe_member(number)} of channel {name} (they have {_members(rows)}); "
                "set download.grib.member to one that all channels have, or add files to download.grib.files"
            )
    return found


def messages_of(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The messages of some series of the inventory."""
    keys = ["paramId", "typeOfLevel", "level", "member"]
    wanted = pd.MultiIndex.from_frame(rows[keys])
    return table[pd.MultiIndex.from_frame(table[keys]).isin(wanted)]


def _named(inventory: pd.DataFrame, channel: Channel) -> pd.DataFrame:
    """The series of the channel's parameter, or else of a parameter with one of the channel's names."""
    found = inventory[inventory["paramId"] == channel.parameter]
    called = channel.names("grib")
    if found.empty:
        found = inventory[inventory["shortName"].isin(called) | inventory["cfVarName"].isin(called)]
        found = found[found["paramId"] == found["paramId"].min()]
    if found.empty:
        have = sorted({name for column in ("shortName", "cfVarName") for name in inventory[column]} - {"unknown"})
        raise UserError(
            f"the GRIB files have no variable for channel {channel.name} (parameter {channel.parameter}, "
            f"{' or '.join(called[:3])}; {_near(called, have)}); add its files to download.grib.files, or remove "
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
            f"have it at {have}); add its files to download.grib.files, or remove the channel"
        )
    return found


def _member(rows: pd.DataFrame, member: int | None) -> int:
    have = set(rows["member"])
    for wanted in [member] if member is not None else [DETERMINISTIC, 0]:
        if wanted in have:
            return wanted
    raise UserError(
        f"the GRIB files have no {_describe_member(member)} (they have {_members(rows)}); "
        + ("set download.grib.member: null" if have == {DETERMINISTIC} else "set download.grib.member to one of them")
    )


def _describe_member(member: int | None) -> str:
    if member is None:
        return "deterministic fields and no control"
    return "deterministic field" if member == DETERMINISTIC else f"member {member}"


def _members(rows: pd.DataFrame) -> str:
    have = sorted(set(rows["member"]))
    words = ["deterministic ones"] if DETERMINISTIC in have else []
    numbers = [str(number) for number in have if number != DETERMINISTIC]
    return " and ".join(words + (["members " + ", ".join(numbers)] if numbers else []))
