"""The store's variable for each channel, and the rows of its levels and of its grid that a region needs."""

import numpy as np
import xarray as xr

from hindsight.download.conventions import ROLES, STATIC, VERSION
from hindsight.errors import UserError
from hindsight.fields.axes import NEAR_LEVELS, hectopascals
from hindsight.fields.grid import NEAR
from hindsight.fields.regridding import level_weights
from hindsight.settings.lexicon import Channel, nearest, source_channels


def candidates(channels: list[str]) -> list[str]:
    """Every name that an array needed for some channels may have in a store."""
    found = [name for channel in source_channels(channels) for name in _names_of(channel)]
    return list(dict.fromkeys([*found, *ROLES, *STATIC, VERSION]))


def of_channels(layout: xr.Dataset, names: list[str], channels: list[str], where: str) -> dict[str, list[Channel]]:
    """The store's variables, and the channels to be made from each; no channels for static variables.

    Args:
        layout: the store, undecoded.
        names: of all its arrays, for errors.
        channels: names of the requested channels.
        where: name of the store in errors.

    Raises:
        UserError: if a channel has no variable; it lists the nearest names.
    """
    found: dict[str, list[Channel]] = {}
    for channel in source_channels(channels):
        found.setdefault(_variable(layout, names, channel, where), []).append(channel)
    static = [name for name in STATIC if name in layout and name not in found]
    return found | {
        name: [] for name in static if {ROLES.get(d) for d in layout[name].dims} == {"latitude", "longitude"}
    }


def level_rows(levels: xr.DataArray, channels: list[Channel], where: str, neighbours: bool = False) -> np.ndarray:
    """Rows of the levels of channels; with `neighbours`, of the levels on either side of a missing one.

    Raises:
        UserError: if a level is missing.
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

    The longitudes are the store's own, except where the region crosses the store's first meridian: there they increase
    from the region's western edge, counted as `west` is.
    """
    if west is None or east is None or east - west >= 360 - NEAR:
        low, high = -np.inf if west is None else west, np.inf if east is None else east
        whole = west is not None and east is not None
        rows = np.flatnonzero(whole | (values >= low - NEAR) & (values <= high + NEAR))
        return rows, values[rows]
    eastward = values + 360 * np.ceil((west - NEAR - values) / 360)  # the first turn east of the western edge
    inside = np.flatnonzero(eastward <= east + NEAR)
    rows = inside[np.argsort(eastward[inside], kind="stable")]
    return rows, values[rows] if (np.diff(rows) > 0).all() else eastward[rows]


def _names_of(channel: Channel) -> tuple[str, ...]:
    """Names of a channel's variable, the best first: for a sum, an accumulation over exactly its hours."""
    return ((channel.variable,) if channel.hours else ()) + channel.names("bucket")


def _variable(layout: xr.Dataset, names: list[str], channel: Channel, where: str) -> str:
    for name in _names_of(channel):
        if name in layout.variables and _fits(layout[name].dims, channel, name):
            return name
    misfits = {name: layout[name].dims for name in _names_of(channel) if name in layout.variables}
    found = (
        f"has {', '.join(f'{n} with dimensions {d}' for n, d in misfits.items())}"
        if misfits
        else "has none of its names"
    )
    raise UserError(
        f"{where} has no variable for channel {channel.name}: it {found}; {nearest(channel.variable, names)}; remove "
        "the channel from domain.channels (or download.channels), or choose another store"
    )


def _fits(dims: tuple[str, ...], channel: Channel, name: str) -> bool:
    """Whether a variable has exactly the dimensions of a channel."""
    roles = {"time", "latitude", "longitude"} | ({"level"} if channel.level and name != channel.name else set())
    return len(dims) == len(roles) and {ROLES.get(dim) for dim in dims} == roles
