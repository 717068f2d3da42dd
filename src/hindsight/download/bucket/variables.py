"""Which variables of a store are wanted, by the channels asked for, and which rows of its levels and of its grid."""

import numpy as np
import xarray as xr

from hindsight.download.conventions import ROLES, STATIC, VERSION
from hindsight.errors import UserError
from hindsight.fields.axes import NEAR_LEVELS, hectopascals
from hindsight.fields.grid import NEAR
from hindsight.fields.regridding import level_weights
from hindsight.settings.lexicon import Channel, nearest, source_channels


def names(channels: list[str]) -> list[str]:
    """Every array that may be wanted, whatever a store calls it."""
    found = [name for channel in source_channels(channels) for name in _called(channel)]
    return list(dict.fromkeys([*found, *ROLES, *STATIC, VERSION]))


def variables(layout: xr.Dataset, there: list[str], channels: list[str], where: str) -> dict[str, list[Channel]]:
    """The store's variables, and the channels that each is fetched for; none for what comes along.

    Args:
        layout: the store, undecoded.
        there: names of all its arrays, for errors.
        channels: asked for.
        where: what to call the store in errors.

    Raises:
        UserError: if there is none for a channel, with the nearest names.
    """
    found: dict[str, list[Channel]] = {}
    for channel in source_channels(channels):
        found.setdefault(_variable(layout, there, channel, where), []).append(channel)
    still = [name for name in STATIC if name in layout and name not in found]
    return found | {
        name: [] for name in still if {ROLES.get(d) for d in layout[name].dims} == {"latitude", "longitude"}
    }


def level_rows(levels: xr.DataArray, channels: list[Channel], where: str, neighbours: bool = False) -> np.ndarray:
    """Rows of the levels that channels are on, or, with `neighbours`, of those on either side.

    Raises:
        UserError: if one is not there.
    """
    have = hectopascals(levels, where)
    rows, missing = set(), []
    for wanted in sorted({channel.level for channel in channels}):
        found = {int(row) for row in np.flatnonzero(np.abs(have - wanted) < NEAR_LEVELS)}
        if not found and neighbours and have.min() < wanted < have.max():
            found = {row for row, _ in level_weights(have, wanted)}
        rows |= found
        missing += [] if found else [wanted]
    if missing:
        raise UserError(
            f"{where} has no level {', '.join(map(str, missing))} hPa (it has {', '.join(f'{v:g}' for v in have)}); "
            "choose channels on one of those, or set preprocess.levels: interpolate for one that lies between"
        )
    return np.array(sorted(rows))


def latitude_rows(values: np.ndarray, south: float | None, north: float | None) -> np.ndarray:
    """Rows between two latitudes, in the store's order."""
    low, high = -np.inf if south is None else south, np.inf if north is None else north
    return np.flatnonzero((values >= low - NEAR) & (values <= high + NEAR))


def longitude_rows(values: np.ndarray, west: float | None, east: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows between two meridians, from west to east, and their longitudes.

    These are the store's own numbers, unless the region goes on where its numbers begin anew: then they go on, too.
    """
    if west is None or east is None or east - west >= 360 - NEAR:
        low, high = -np.inf if west is None else west, np.inf if east is None else east
        whole = west is not None and east is not None
        rows = np.flatnonzero(whole | (values >= low - NEAR) & (values <= high + NEAR))
        return rows, values[rows]
    turned = values + 360 * np.ceil((west - NEAR - values) / 360)  # the first time that one comes there from the west
    inside = np.flatnonzero(turned <= east + NEAR)
    rows = inside[np.argsort(turned[inside], kind="stable")]
    return rows, values[rows] if (np.diff(rows) > 0).all() else turned[rows]


def _called(channel: Channel) -> tuple[str, ...]:
    """Names of a channel's variable; an accumulation over just its hours is best."""
    return ((channel.variable,) if channel.hours else ()) + channel.names("bucket")


def _variable(layout: xr.Dataset, there: list[str], channel: Channel, where: str) -> str:
    for name in _called(channel):
        if name in layout.variables and _fits(layout[name].dims, channel, name):
            return name
    odd = {name: layout[name].dims for name in _called(channel) if name in layout.variables}
    have = f"has {', '.join(f'{n} with dimensions {d}' for n, d in odd.items())}" if odd else "has none of its names"
    raise UserError(
        f"{where} has no variable for channel {channel.name}: it {have}; {nearest(channel.variable, there)}; take the "
        "channel out of domain.channels (or download.channels), or choose another store"
    )


def _fits(dims: tuple[str, ...], channel: Channel, name: str) -> bool:
    """Whether a variable has the dimensions of a channel, and no others."""
    roles = {"time", "latitude", "longitude"} | ({"level"} if channel.level and name != channel.name else set())
    return len(dims) == len(roles) and {ROLES.get(dim) for dim in dims} == roles
