"""What a source's dimensions are called, and which way they run."""

from difflib import get_close_matches

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import grid

DIMENSIONS = {
    "latitude": ("latitude", "lat", "y"),
    "longitude": ("longitude", "lon", "x"),
    "time": ("time", "valid_time"),
    "level": ("level", "isobaricInhPa", "pressure_level", "plev"),
}


def named(raw: xr.Dataset, where: str, needed: tuple[str, ...] = ("time", "latitude", "longitude")) -> xr.Dataset:
    """The same dataset, its coordinates called latitude, longitude, time and level; level in hPa.

    Raises:
        UserError: if a needed one is not there.
    """
    names = {
        known: ours
        for ours, aliases in DIMENSIONS.items()
        for known in aliases
        if known in raw.coords and known != ours and ours not in raw.variables
    }
    raw = raw.rename(names)
    if missing := [name for name in needed if name not in raw.coords]:
        raise UserError(f"{where} has no coordinate {' or '.join(missing)} (it has: {', '.join(map(str, raw.coords))})")
    if "level" in raw.dims and raw["level"].attrs.get("units") in ("Pa", "pascal"):
        raw = raw.assign_coords(level=raw["level"] / 100)
    return raw


def ordered(raw: xr.Dataset, where: str) -> xr.Dataset:
    """Latitudes south to north; longitudes west to east, unbroken also where the source cuts at Greenwich."""
    if raw["latitude"][0] > raw["latitude"][-1]:  # turned round it is a view, where sorting would copy all values
        raw = raw.isel(latitude=slice(None, None, -1))
    raw = raw.sortby("latitude")
    longitude = np.sort(raw["longitude"].values.astype(float))
    if np.ptp(longitude) > 180 and longitude.max() > 180:
        gap = np.diff(longitude).max()
        if gap > 1.5 * np.diff(longitude).min():  # a region across Greenwich: cut where nothing is
            raw = raw.assign_coords(longitude=(raw["longitude"].astype(float) + 180) % 360 - 180)
    raw = raw.sortby("longitude")
    grid.check_regular(raw, where)
    return raw


def cut(raw: xr.Dataset, box: tuple[float | None, ...], where: str) -> xr.Dataset:
    """Cut out south, north, west, east; one latitude or one longitude will do where the source itself has no more.

    Longitudes are brought round to where the box has them, 200 to -160 or the other way.

    Raises:
        UserError: if too little is left.
    """
    south, north, west, east = box
    if west is not None and east is not None:
        longitude = raw["longitude"].values.astype(float)
        turned = west + (longitude - west) % 360
        if ((turned <= east) & ((longitude < west) | (longitude > east))).any():
            raw = raw.assign_coords(longitude=turned).sortby("longitude")
    sides = {"latitude": slice(south, north), "longitude": slice(west, east)}
    part = raw.sel(sides)
    short = [name for name in sides if part.sizes[name] < 2]
    if len(short) > 1 or any(part.sizes[name] == 0 or raw.sizes[name] > 1 for name in short):
        have = {name: (float(raw[name][0]), float(raw[name][-1])) for name in sides}
        raise UserError(
            f"{where} has fewer than 2 points a side in the domain's region (it covers {have}); change "
            "domain.south, north, west and east"
        )
    return part


def find(raw: xr.Dataset, names: tuple[str, ...], channel: str, where: str) -> xr.DataArray:
    """The variable that a source calls by one of some names.

    Raises:
        UserError: naming what comes nearest.
    """
    for name in names:
        if name in raw.data_vars:
            return raw[name]
    have = list(map(str, raw.data_vars))
    near = [close for name in names for close in get_close_matches(name, have, 1)]
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UserError(
        f"{where} has no variable for channel {channel} (looked for {', '.join(names)}; it has {', '.join(have)})"
        f"{hint}; add it to the source or drop the channel"
    )
