"""The surface as a file has it: land and height, by their standard names and units rather than by what they are called.

A value that could mean two things is asked about. Heights have no name that settles their units, and `z` is a height
to some and a geopotential to others; a land mask may count in hundredths, in ones, or in kinds of surface.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.settings.lexicon import conversion
from hindsight.settings.units import GRAVITY, SAYS_NOTHING

LOWEST, HIGHEST = -12_000.0, 9_000.0  # m: the deepest trench, the highest mountain
HEIGHTS = ("orography", "orog", "elevation", "topo", "topography", "zsurf", "surface_altitude", "altitude", "height")
HEIGHTS += ("hgt", "hgt_m", "hgtsfc")
GEOPOTENTIALS = ("geopotential_at_surface", "surface_geopotential", "phis")
EITHER = ("z", "fis")  # a height to some, a geopotential to others
OF_HEIGHTS = {  # standard names: units where the file gives none
    "surface_altitude": "m",
    "height_above_mean_sea_level": "m",
    "height_above_geoid": "m",
    "surface_geopotential": "m2 s-2",
}
LANDS = (
    "land",
    "lsm",
    "land_sea_mask",
    "landmask",
    "land_mask",
    "lsmask",
    "sftlf",
    "landfrac",
    "land_fraction",
    "frac_land",
)
LANDS += ("land_binary_mask", "landsea")
OF_LANDS = {"land_area_fraction": "1", "land_binary_mask": "1"}
KINDS = {0, 1, 2, 3, 4}  # water, land, lake, small island, ice shelf
LAND_KINDS = [1, 3]
ROUNDING = 1e-3  # a packed fraction may be so much below 0 or above 1


def land(dataset: xr.Dataset, path: Path) -> xr.DataArray:
    """Land fraction, 0 to 1.

    What counts as land: a fraction or a percentage by its share; `True`; of whole numbers with `flag_meanings` those
    that speak of land or islands; of others 1, and of kinds (up to 4, beside a 0) 1 and 3, land and small islands. A
    mask without a single 0 that has no value in places has none there because they are sea.

    Raises:
        UserError: where the file has no land, or what it has may mean several things.
    """
    found = _still(_chosen(dataset, LANDS, OF_LANDS, path), path)
    if "flag_meanings" in found.attrs:
        return _flagged(found, path)
    values = found.astype("float32")
    if found.dtype == bool:
        return values
    low, high = float(values.min()), float(values.max())
    share = _share(found, high, path)
    if share == 1 and low == 0 and high > 1 + ROUNDING and set(np.unique(values.fillna(0))) <= KINDS:
        return values.isin(LAND_KINDS).astype("float32").where(values.notnull())
    fraction = values * share
    if low < -ROUNDING or float(fraction.max()) > 1 + ROUNDING:
        raise UserError(
            f"{path}: {found.name!r} reaches from {low:g} to {high:g} {_units(found) or '(no units)'}, and a land "
            "fraction is 0 to 1, or 0 to 100 %; of whole numbers without flag_meanings 1 and 3 beside 0 are land. "
            "Correct its values, or its units"
        )
    fraction = fraction.clip(0, 1)
    return fraction.fillna(0) if low > 0 else fraction


def orography(dataset: xr.Dataset, path: Path) -> xr.DataArray:
    """Height of the surface (m), from a height or a geopotential.

    Raises:
        UserError: where the file has neither, its units are missing or others, or no place on earth is so high.
    """
    found = _still(_chosen(dataset, (*HEIGHTS, *GEOPOTENTIALS, *EITHER), OF_HEIGHTS, path), path)
    units = _units(found) or OF_HEIGHTS.get(found.attrs.get("standard_name", "")) or _by_name(str(found.name))
    if units is None:
        raise UserError(
            f"{path}: {found.name!r} has no units, and may be a height (m) or a geopotential (m2 s-2); give it the "
            "attribute units"
        )
    factor = conversion(units, "m2 s-2")
    if factor is None:
        raise UserError(f"{path}: {found.name!r} has units {units!r}; expected a height (m) or a geopotential (m2 s-2)")
    height = (found.astype("float64") * (factor[0] / GRAVITY)).astype("float32")
    low, high = float(height.min()), float(height.max())
    if low < LOWEST or high > HIGHEST:
        raise UserError(
            f"{path}: {found.name!r}, taken for {units}, reaches from {low:g} to {high:g} m, and the earth from "
            f"{LOWEST:g} to {HIGHEST:g} m; correct its units, or mark what is missing by _FillValue"
        )
    return height


def _by_name(name: str) -> str | None:
    """The units that a name stands for."""
    return {**dict.fromkeys(HEIGHTS, "m"), **dict.fromkeys(GEOPOTENTIALS, "m2 s-2")}.get(name.lower())


def _units(found: xr.DataArray) -> str:
    units = str(found.attrs.get("units", "")).strip()
    return "" if units.lower() in SAYS_NOTHING else units


def _share(found: xr.DataArray, high: float, path: Path) -> float:
    """What a value of one is of the whole: 1, or 0.01 in percent."""
    units = _units(found)
    if not units:
        return 0.01 if str(found.name).lower() == "sftlf" and high > 1 else 1.0  # CMIP's, which is in percent
    factor = conversion(units, "1")
    if factor is None:
        raise UserError(f"{path}: {found.name!r} has units {units!r}; expected a land fraction, 1 or %")
    if factor[0] < 1 and high <= 1:
        raise UserError(
            f"{path}: {found.name!r} is in {units} and nowhere above {high:g}; it may be a fraction: correct its "
            "units, 1 or %"
        )
    return factor[0]


def _flagged(found: xr.DataArray, path: Path) -> xr.DataArray:
    """Land where a mask's own flags say so."""
    meanings = str(found.attrs["flag_meanings"]).lower().split()
    values = np.atleast_1d(found.attrs.get("flag_values", []))
    flags = [value for value, says in zip(values, meanings) if _is_land(says)]
    if len(values) != len(meanings) or not flags:
        raise UserError(
            f"{path}: the flags of {found.name!r} ({' '.join(meanings)}) do not say which are land; give it "
            "flag_values, and flag_meanings of which some are land"
        )
    return found.isin(flags).astype("float32").where(found.notnull())


def _is_land(says: str) -> bool:
    words = set(says.replace("-", "_").split("_"))
    return bool(words & {"land", "island", "islands", "continent"}) and not words & {"no", "not", "non"}


def _chosen(dataset: xr.Dataset, names: tuple[str, ...], standard: dict[str, str], path: Path) -> xr.DataArray:
    """The variable with one of some standard names, else with one of some names, however they are capitalised.

    Raises:
        UserError: if there is none, or several.
    """
    called = {name: str(name).lower() for name in dataset.data_vars}
    found = [name for name in called if dataset[name].attrs.get("standard_name") in standard]
    found = [name for name in found if called[name] in names] or found
    by_name = [[name for name in called if called[name] == known] for known in names]
    found = found or next((some for some in by_name if some), [])
    if not found:
        raise UserError(f"{path} has none of {', '.join(names)} (it has: {', '.join(map(str, dataset.data_vars))})")
    if len(found) > 1:
        raise UserError(f"{path} has {' and '.join(map(str, found))}, which may both be meant; leave one of them in it")
    return dataset[found[0]]


def _still(found: xr.DataArray, path: Path) -> xr.DataArray:
    """A field of the surface without the dimensions that it has besides, where nothing changes along them.

    Raises:
        UserError: if something does, or if the field is one of a level.
    """
    if "level" in found.coords and not (found["level"] == 0).all():
        raise UserError(
            f"{path}: {found.name!r} is at a level of {_listed(found['level'])} hPa, and not of the surface"
        )
    for name in [name for name in found.dims if name not in ("latitude", "longitude")]:
        first, others = found.isel({name: 0}, drop=True), range(1, found.sizes[name])
        if not all(first.equals(found.isel({name: number}, drop=True)) for number in others):
            raise UserError(
                f"{path}: {found.name!r} changes along {name} ({found.sizes[name]} of it); expected what is the same "
                "at all times: leave one in the file"
            )
        found = first
    return found


def _listed(values: xr.DataArray) -> str:
    return ", ".join(f"{value:g}" for value in np.atleast_1d(values.values)[:5])
