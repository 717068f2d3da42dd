"""What a source's dimensions are called, what they are measured in, and which way they run."""

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import grid
from hindsight.settings.lexicon import conversion

DIMENSIONS = {
    "latitude": ("latitude", "lat", "y"),
    "longitude": ("longitude", "lon", "x"),
    "time": ("time", "valid_time", "date"),
    "level": (
        "level",
        "isobaricInhPa",
        "pressure_level",
        "plev",
        "lev",
        "isobaric",
        "isobaric1",
        "isobaricInPa",
        "pressure",
    ),
}
EITHER = ("x", "y")  # names of degrees and of metres
LARGEST = {"latitude": 90.0, "longitude": 360.0}  # degrees
HECTOPASCALS = ("level", "isobaricInhPa", "pressure_level")  # names that have meant hPa where no units are said
NEAR_LEVELS = 0.01  # hPa; what rounding leaves of a level


def named(raw: xr.Dataset, where: str, needed: tuple[str, ...] = ("time", "latitude", "longitude")) -> xr.Dataset:
    """The same dataset, its coordinates called latitude, longitude, time and level; level in hPa.

    Raises:
        UserError: if a needed one is not there, or is not what its name says.
    """
    names = {
        known: ours
        for ours, aliases in DIMENSIONS.items()
        for known in aliases
        if known in raw.coords and known != ours and ours not in raw.variables
    }
    for known, ours in names.items():
        if ours in LARGEST:
            check_degrees(raw[known], ours, where)
    raw = raw.rename(names)
    if missing := [name for name in needed if name not in raw.coords]:
        raise UserError(f"{where} has no coordinate {' or '.join(missing)} (it has: {', '.join(map(str, raw.coords))})")
    if "level" in raw.dims:
        raw = raw.assign_coords(level=hectopascals(raw["level"], where))
    return raw


def hectopascals(levels: xr.DataArray, where: str) -> np.ndarray:
    """A source's levels in hPa, by their units; without units, by a name that has always meant hPa.

    Raises:
        UserError: if they are no pressures, or do not say what they are.
    """
    units, name = str(levels.attrs.get("units", "")), str(levels.name)
    values = np.asarray(levels.values, float)
    if units in ("", "1", "level") and name in HECTOPASCALS and values.max(initial=0) <= 1100:
        return values
    if (factor := conversion(units, "Pa")) is None:
        raise UserError(
            f"{where}: its {name} has units {units!r}, so it is no level of pressure; interpolate the source to levels "
            f"of pressure first, or, if it is one, correct the units of {name} (hPa or Pa)"
        )
    return np.round((values * factor[0] + factor[1]) / 100, 6)


def check_degrees(axis: xr.DataArray, role: str, where: str, told: bool = False) -> None:
    """Refuse a latitude or longitude that is none: of a projection, of a rotated pole, or along no axis.

    Args:
        axis: the coordinate.
        role: latitude or longitude.
        where: what to call the source in errors.
        told: whether the settings say that it is one, so that its name alone does not matter.

    Raises:
        UserError: saying what it is.
    """
    name, units = str(axis.name), str(axis.attrs.get("units", ""))
    says = str(axis.attrs.get("standard_name", ""))
    remedy = "hindsight works on regular grids of latitude and longitude, so regrid the source first"
    if axis.ndim != 1:
        along = " and ".join(map(str, axis.dims)) or "no dimension"
        raise UserError(f"{where}: its {name} varies along {along}, so the grid is projected or rotated; {remedy}")
    if says.startswith(("grid_", "projection_")) or (units and not units.lower().startswith("deg")):
        raise UserError(
            f"{where}: its {name} is {says or 'a coordinate'} in {units or 'no units'}, no {role}; {remedy}"
        )
    if not units and name in EITHER and not told:
        raise UserError(
            f"{where}: its {name} has no units, so nobody can tell degrees from metres; if it is in degrees, set "
            f"download.rename: {{{name}: {role}}}; else {remedy}"
        )
    values = np.asarray(axis.values, float)
    if not np.isfinite(values).all() or np.abs(values).max(initial=0) > LARGEST[role] + grid.NEAR:
        raise UserError(f"{where}: its {name} reaches from {values.min():g} to {values.max():g}, no {role}; {remedy}")


def ordered(raw: xr.Dataset, where: str) -> xr.Dataset:
    """Latitudes south to north; longitudes west to east, unbroken where the source cuts at Greenwich or the date line.

    A meridian that is given twice, at 0 and at 360 degrees, is there once.
    """
    if raw["latitude"][0] > raw["latitude"][-1]:  # turned round it is a view, where sorting would copy all values
        raw = raw.isel(latitude=slice(None, None, -1))
    raw = raw.sortby("latitude")
    longitude = np.sort(raw["longitude"].values.astype(float))
    gaps = np.diff(longitude)
    if (
        np.ptp(longitude) > 180 and gaps.max() > 1.5 * gaps.min()
    ):  # a region in two halves: it begins where nothing ends
        west = longitude[gaps.argmax() + 1]
        first = west - 360 if west > 180 else west
        raw = raw.assign_coords(longitude=first + (raw["longitude"].astype(float) - west) % 360)
    raw = raw.sortby("longitude")
    raw = raw.isel(longitude=slice(0, -1)) if closed(raw["longitude"].values) else raw
    grid.check_regular(raw, where)
    return raw


def closed(longitude: np.ndarray) -> bool:
    """Whether the last of the longitudes, from west to east, is the first again."""
    return len(longitude) > 2 and bool(abs(float(longitude[-1]) - float(longitude[0]) - 360) < grid.NEAR)


def cut(raw: xr.Dataset, box: tuple[float | None, ...], where: str) -> xr.Dataset:
    """Cut out south, north, west, east; one latitude or one longitude will do where the source itself has no more.

    Points within `grid.NEAR` of an edge are inside: coordinates in single precision are never quite on it. Longitudes
    are brought round to where the box has them, 200 to -160 or the other way.

    Raises:
        UserError: if too little is left.
    """
    south, north, west, east = box
    if west is not None and east is not None:
        longitude = raw["longitude"].values.astype(float)
        turned = west + (longitude - west) % 360
        turned = np.where(turned > west + 360 - grid.NEAR, turned - 360, turned)
        outside = (longitude < west - grid.NEAR) | (longitude > east + grid.NEAR)
        if ((turned <= east + grid.NEAR) & outside).any():
            raw = raw.assign_coords(longitude=turned).sortby("longitude")
    sides = {"latitude": (south, north), "longitude": (west, east)}
    part = raw.isel({name: _between(raw[name].values, *ends) for name, ends in sides.items()})
    short = [name for name in sides if part.sizes[name] < 2]
    if len(short) > 1 or any(part.sizes[name] == 0 or raw.sizes[name] > 1 for name in short):
        have = {name: (float(raw[name][0]), float(raw[name][-1])) for name in sides}
        raise UserError(
            f"{where} has fewer than 2 points a side in the domain's region (it covers {have}); change "
            "domain.south, north, west and east"
        )
    return part


def _between(values: np.ndarray, low: float | None, high: float | None) -> slice:
    """The stretch of rising values within two ends, but for rounding."""
    values = values.astype(float)
    first = 0 if low is None else np.searchsorted(values, low - grid.NEAR)
    last = len(values) if high is None else np.searchsorted(values, high + grid.NEAR, "right")
    return slice(int(first), int(last))


def find(raw: xr.Dataset, names: tuple[str, ...], channel: str, where: str) -> xr.DataArray:
    """The variable that a source calls by one of some names.

    Raises:
        UserError: naming what comes nearest.
    """
    for name in names:
        if name in raw.data_vars:
            return raw[name]
    raise UserError(
        f"{where} has no variable for channel {channel} (looked for {', '.join(names)}; it has "
        f"{', '.join(map(str, raw.data_vars))}){nearest(names, raw.data_vars)}; add it to the source or drop "
        "the channel"
    )


def nearest(names: tuple[str, ...], have: Mapping) -> str:
    """What a source has that comes nearest to some names, as a question."""
    close = [found for name in names for found in get_close_matches(name, list(map(str, have)), 1)]
    return f"; did you mean {close[0]}?" if close else ""
