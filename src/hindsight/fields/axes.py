"""Coordinates of a source: their names, units, order and extent."""

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
AMBIGUOUS = ("x", "y")  # names used for degrees and for metres
LARGEST = {"latitude": 90.0, "longitude": 360.0}  # degrees
HECTOPASCALS = ("level", "isobaricInhPa", "pressure_level")  # names that mean hPa where there are no units
NEAR_LEVELS = 0.01  # hPa, within which two levels are equal


def standardise(
    raw: xr.Dataset, where: str, required: tuple[str, ...] = ("time", "latitude", "longitude")
) -> xr.Dataset:
    """Rename a dataset's coordinates to latitude, longitude, time and level, and convert levels to hPa.

    Raises:
        UserError: if a required coordinate is missing, or is not what its name says.
    """
    names = {
        alias: role
        for role, aliases in DIMENSIONS.items()
        for alias in aliases
        if alias in raw.coords and alias != role and role not in raw.variables
    }
    for alias, role in names.items():
        if role in LARGEST:
            check_degrees(raw[alias], role, where)
    raw = raw.rename(names)
    if missing := [name for name in required if name not in raw.coords]:
        raise UserError(f"{where} has no coordinate {' or '.join(missing)} (it has: {', '.join(map(str, raw.coords))})")
    if "level" in raw.dims:
        raw = raw.assign_coords(level=hectopascals(raw["level"], where))
    return raw


def hectopascals(levels: xr.DataArray, where: str) -> np.ndarray:
    """Convert a source's levels to hPa, by their units or, without units, by a name that means hPa.

    Raises:
        UserError: if they are not pressures, or have neither units nor such a name.
    """
    units, name = str(levels.attrs.get("units", "")), str(levels.name)
    values = np.asarray(levels.values, float)
    if units in ("", "1", "level") and name in HECTOPASCALS and values.max(initial=0) <= 1100:
        return values
    if (factor := conversion(units, "Pa")) is None:
        raise UserError(
            f"{where}: its {name} has units {units!r}, so it is not a pressure; interpolate the source to pressure "
            f"levels first, or, if it is a pressure, correct the units of {name} (hPa or Pa)"
        )
    return np.round((values * factor[0] + factor[1]) / 100, 6)


def check_degrees(axis: xr.DataArray, role: str, where: str, confirmed: bool = False) -> None:
    """Check that a coordinate is a latitude or longitude: one-dimensional, not projected, not of a rotated pole.

    Args:
        axis: the coordinate.
        role: latitude or longitude.
        where: name of the source for error messages.
        confirmed: whether the settings name it as such, so that an ambiguous name is accepted.

    Raises:
        UserError: describing the coordinate.
    """
    name, units = str(axis.name), str(axis.attrs.get("units", ""))
    standard_name = str(axis.attrs.get("standard_name", ""))
    remedy = "hindsight works on regular grids of latitude and longitude, so regrid the source first"
    if axis.ndim != 1:
        along = " and ".join(map(str, axis.dims)) or "no dimension"
        raise UserError(f"{where}: its {name} varies along {along}, so the grid is projected or rotated; {remedy}")
    if standard_name.startswith(("grid_", "projection_")) or (units and not units.lower().startswith("deg")):
        raise UserError(
            f"{where}: its {name} is {standard_name or 'a coordinate'} in {units or 'no units'}, not a {role}; {remedy}"
        )
    if not units and name in AMBIGUOUS and not confirmed:
        raise UserError(
            f"{where}: its {name} has no units, and may be in degrees or in metres; if it is in degrees, set "
            f"download.rename: {{{name}: {role}}}; else {remedy}"
        )
    values = np.asarray(axis.values, float)
    if not np.isfinite(values).all() or np.abs(values).max(initial=0) > LARGEST[role] + grid.NEAR:
        raise UserError(
            f"{where}: its {name} reaches from {values.min():g} to {values.max():g}, so it is not a {role}; {remedy}"
        )


def sort(raw: xr.Dataset, where: str) -> xr.Dataset:
    """Sort latitudes south to north and longitudes west to east; a region across 0 or 180 E stays whole.

    A meridian that is given twice, at 0 and at 360 degrees, is kept once.

    Raises:
        UserError: if the grid is not regular.
    """
    if raw["latitude"][0] > raw["latitude"][-1]:  # a reversed array is a view, where sorting would copy all values
        raw = raw.isel(latitude=slice(None, None, -1))
    raw = raw.sortby("latitude")
    longitude = np.sort(raw["longitude"].values.astype(float))
    gaps = np.diff(longitude)
    if np.ptp(longitude) > 180 and gaps.max() > 1.5 * gaps.min():  # a region in two halves begins after the widest gap
        west = longitude[gaps.argmax() + 1]
        first = west - 360 if west > 180 else west
        raw = raw.assign_coords(longitude=first + (raw["longitude"].astype(float) - west) % 360)
    raw = raw.sortby("longitude")
    raw = raw.isel(longitude=slice(0, -1)) if repeats_first(raw["longitude"].values) else raw
    grid.check_regular(raw, where)
    return raw


def repeats_first(longitude: np.ndarray) -> bool:
    """Whether the last of the sorted longitudes is the first one plus 360 degrees."""
    return len(longitude) > 2 and bool(abs(float(longitude[-1]) - float(longitude[0]) - 360) < grid.NEAR)


def select(raw: xr.Dataset, box: tuple[float | None, ...], where: str) -> xr.Dataset:
    """Select the points in a box: south, north, west, east.

    Points within `grid.NEAR` of an edge are inside, as coordinates in single precision are not exactly on it.
    Longitudes are shifted by whole turns into the box, such as 200 to -160.

    Raises:
        UserError: if fewer than two points a side remain, unless the source has only one latitude or one longitude.
    """
    south, north, west, east = box
    if west is not None and east is not None:
        longitude = raw["longitude"].values.astype(float)
        wrapped = west + (longitude - west) % 360
        wrapped = np.where(wrapped > west + 360 - grid.NEAR, wrapped - 360, wrapped)
        outside = (longitude < west - grid.NEAR) | (longitude > east + grid.NEAR)
        if ((wrapped <= east + grid.NEAR) & outside).any():
            raw = raw.assign_coords(longitude=wrapped).sortby("longitude")
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
    """The slice of rising values between two ends, within `grid.NEAR`."""
    values = values.astype(float)
    first = 0 if low is None else np.searchsorted(values, low - grid.NEAR)
    last = len(values) if high is None else np.searchsorted(values, high + grid.NEAR, "right")
    return slice(int(first), int(last))


def find(raw: xr.Dataset, names: tuple[str, ...], channel: str, where: str) -> xr.DataArray:
    """The first of a source's variables with one of several names.

    Raises:
        UserError: if there is none; suggests the most similar name.
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
    """The most similar name that a source has, as a question; empty without one."""
    close = [found for name in names for found in get_close_matches(name, list(map(str, have)), 1)]
    return f"; did you mean {close[0]}?" if close else ""
