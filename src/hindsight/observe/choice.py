"""Which stations a network uses and withholds, by their names and places, and which reports are denied."""

import hashlib
import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.settings.input_files import matching
from hindsight.settings.networks import Stations, Withholding
from hindsight.settings.quality import Denial
from hindsight.settings.verify import Region


def chosen(stations: Sequence[str], choice: Stations, lists: list[Path]) -> np.ndarray:
    """Whether each station is one of a choice, (N,).

    Args:
        stations: names.
        choice: a file of names, patterns, or both.
        lists: the files that the settings name, of which that of the choice is one.

    Raises:
        UserError: if the file cannot be read or has no such list.
    """
    unique = pd.Index(stations).unique()
    listed = unique if choice.file is None else unique[unique.isin(names_of(matching(choice.file, lists), choice.list))]
    fitting = [name for name in listed if any(fnmatchcase(name, pattern) for pattern in choice.names)]
    return pd.Index(stations).isin(fitting)


def names_of(path: Path, key: str | None) -> list[str]:
    """The names in a list of stations: JSON (a list, or lists by name), or CSV with a column `station`.

    Raises:
        UserError: if it cannot be read, or has no such list.
    """
    try:
        if path.suffix != ".json":
            return pd.read_csv(path, dtype=str)["station"].tolist()
        names = json.loads(path.read_text())
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot read names of stations from {path} ({error}); a CSV needs a column station") from None
    if isinstance(names, dict):
        if key not in names:
            raise UserError(f"{path} has no list {key!r}; it has {', '.join(names)}; set `list` to one of them")
        names = names[key]
    return [str(name) for name in names]


def is_withheld(table: pd.DataFrame, share: float, settings: Withholding, seed: int, lists: list[Path]) -> np.ndarray:
    """Whether each row's station is withheld at its time, (N,).

    The draw is a hash of the station's own name (or block), so that adding or removing a station changes no other.
    With turns (`rotate_days`), each turn withholds the next share: after 1 / share turns all have been withheld once.

    Args:
        table: with station, time, latitude, longitude.
        share: of the stations, that is drawn and withheld.
        settings: names, regions, blocks and turns.
        seed: of the draw.
        lists: files of names.
    """
    withheld = np.zeros(len(table), bool)
    if settings.stations is not None:
        withheld |= chosen(table["station"], settings.stations, lists)
    for region in settings.regions.values():
        withheld |= _inside(table, region)
    if share:
        withheld |= (_position(table, settings, seed) + share * _turn(table, settings)) % 1 < share
    return withheld


def in_fold(table: pd.DataFrame, fold: tuple[int, int], block_degrees: float | None, seed: int) -> np.ndarray:
    """Whether each row's station belongs to a part of all stations, (N,); each belongs to one.

    Args:
        table: with station, latitude, longitude.
        fold: number of the part, and of parts.
        block_degrees: stations in a block with sides of so many degrees belong to one part; none: each by itself.
        seed: of the draw.
    """
    settings = Withholding(block_degrees=block_degrees)
    return np.floor(_position(table, settings, seed) * fold[1]).astype(int) == fold[0]


def _position(table: pd.DataFrame, settings: Withholding, seed: int) -> np.ndarray:
    """A number from 0 to 1 of each row's station or block, by a hash."""
    names = table["station"].astype(str)
    if side := settings.block_degrees:
        place = [np.floor(table[name].to_numpy() / side).astype(int).astype(str) for name in ("latitude", "longitude")]
        names = pd.Series(np.char.add(np.char.add(place[0], " "), place[1]))
    codes, unique = pd.factorize(names)
    return np.array([_hash(f"{seed} {name}") for name in unique], float)[codes] if len(unique) else np.zeros(0)


def _hash(text: str) -> float:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") / 2.0**64


def _turn(table: pd.DataFrame, settings: Withholding) -> np.ndarray:
    """Number of the turn at the time of each row, counted from 1970."""
    if not settings.rotate_days:
        return np.zeros(len(table), int)
    days = table["time"].to_numpy("datetime64[ns]").astype("int64") / 86400e9
    return np.floor(days / settings.rotate_days).astype(int)


def _inside(table: pd.DataFrame, region: Region) -> np.ndarray:
    east = (table["longitude"].to_numpy() - region.west) % 360 <= (region.east - region.west) % 360
    return table["latitude"].between(region.south, region.north).to_numpy() & east


def is_denied(table: pd.DataFrame, denials: Sequence[Denial]) -> np.ndarray:
    """Whether any denial applies to each row, (N,)."""
    denied, time = np.zeros(len(table), bool), table["time"]
    for denial in denials:
        applies = [
            table["station"].map(lambda name, d=denial: fnmatchcase(name, d.station)),
            denial.channel is None or table["channel"] == denial.channel,
            denial.start is None or time >= denial.start,
            denial.end is None or time <= denial.end,
        ]
        denied |= np.logical_and.reduce([np.broadcast_to(one, len(table)) for one in applies])
    return denied
