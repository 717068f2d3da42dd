"""Land fraction and orography from a file, recognised by standard names first, by usual variable names last.

Of several variables with such a standard name the one with a usual name is taken; where that leaves more than one, an
error is raised. Of several usual names the first of the list is taken. Some names do not determine the units: `z` may
be a height or a geopotential. A land mask may be a fraction, a percentage, or a code of surface types.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.settings.lexicon import conversion
from hindsight.settings.units import GRAVITY, NO_UNITS

LOWEST, HIGHEST = -12_000.0, 9_000.0  # m: the deepest trench, the highest mountain
HEIGHTS = ("orography", "orog", "elevation", "topo", "topography", "zsurf", "surface_altitude", "altitude", "height")
HEIGHTS += ("hgt", "hgt_m", "hgtsfc")
GEOPOTENTIALS = ("geopotential_at_surface", "surface_geopotential", "phis")
AMBIGUOUS = ("z", "fis")  # names of heights and of geopotentials
HEIGHT_STANDARD_NAMES = {  # units where the file gives none
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
LAND_STANDARD_NAMES = {"land_area_fraction": "1", "land_binary_mask": "1"}
TYPES = {0, 1, 2, 3, 4}  # water, land, lake, small island, ice shelf
LAND_TYPES = [1, 3]
ROUNDING = 1e-3  # below 0 or above 1, within which a packed fraction is accepted


def land(dataset: xr.Dataset, path: Path) -> xr.DataArray:
    """Land fraction, 0 to 1.

    A fraction or percentage is converted to 0 to 1. In a mask, land is `True`; with `flag_meanings`, the flags that
    mention land, islands or a continent; in codes of surface types (0 to 4) the types 1 and 3, land and small islands;
    otherwise 1. Missing values in a mask without any 0 are sea.

    Raises:
        UserError: if the file has no land, or it is ambiguous.
    """
    found = _static(_choose(dataset, LANDS, LAND_STANDARD_NAMES, path), path)
    if "flag_meanings" in found.attrs:
        return _flagged(found, path)
    values = found.astype("float32")
    if found.dtype == bool:
        return values
    low, high = float(values.min()), float(values.max())
    share = _share(found, high, path)
    if share == 1 and low == 0 and high > 1 + ROUNDING and set(np.unique(values.fillna(0))) <= TYPES:
        return values.isin(LAND_TYPES).astype("float32").where(values.notnull())
    fraction = values * share
    if low < -ROUNDING or float(fraction.max()) > 1 + ROUNDING:
        raise UserError(
            f"{path}: {found.name!r} reaches from {low:g} to {high:g} {_units(found) or '(no units)'}, and a land "
            "fraction is 0 to 1, or 0 to 100 %; in a mask of whole numbers without flag_meanings 0 is sea, "
            "and 1 and 3 are land. Correct its values, or its units"
        )
    fraction = fraction.clip(0, 1)
    return fraction.fillna(0) if low > 0 else fraction


def orography(dataset: xr.Dataset, path: Path) -> xr.DataArray:
    """Height of the surface (m), from a height or a geopotential.

    Raises:
        UserError: if the file has neither, its units are missing or unsuitable, or its heights do not exist on Earth.
    """
    found = _static(_choose(dataset, (*HEIGHTS, *GEOPOTENTIALS, *AMBIGUOUS), HEIGHT_STANDARD_NAMES, path), path)
    units = (
        _units(found) or HEIGHT_STANDARD_NAMES.get(found.attrs.get("standard_name", "")) or _by_name(str(found.name))
    )
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
            f"{path}: {found.name!r}, read as {units}, reaches from {low:g} to {high:g} m, and heights on Earth from "
            f"{LOWEST:g} to {HIGHEST:g} m; correct its units, or mark missing values by _FillValue"
        )
    return height


def _by_name(name: str) -> str | None:
    """The units that a variable name implies, if any."""
    return {**dict.fromkeys(HEIGHTS, "m"), **dict.fromkeys(GEOPOTENTIALS, "m2 s-2")}.get(name.lower())


def _units(found: xr.DataArray) -> str:
    units = str(found.attrs.get("units", "")).strip()
    return "" if units.lower() in NO_UNITS else units


def _share(found: xr.DataArray, high: float, path: Path) -> float:
    """The fraction that a value of 1 stands for: 1, or 0.01 in percent."""
    units = _units(found)
    if not units:
        return 0.01 if str(found.name).lower() == "sftlf" and high > 1 else 1.0  # of CMIP, in percent
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
    """Land by the flags of a mask."""
    meanings = str(found.attrs["flag_meanings"]).lower().split()
    values = np.atleast_1d(found.attrs.get("flag_values", []))
    flags = [value for value, meaning in zip(values, meanings) if _is_land(meaning)]
    if len(values) != len(meanings) or not flags:
        raise UserError(
            f"{path}: the flags of {found.name!r} ({' '.join(meanings)}) do not identify land; give it "
            "flag_values, and flag_meanings of which some are land"
        )
    return found.isin(flags).astype("float32").where(found.notnull())


def _is_land(meaning: str) -> bool:
    words = set(meaning.replace("-", "_").split("_"))
    return bool(words & {"land", "island", "islands", "continent"}) and not words & {"no", "not", "non"}


def _choose(dataset: xr.Dataset, names: tuple[str, ...], standard: dict[str, str], path: Path) -> xr.DataArray:
    """The variable with one of several standard names, else with the first of several names, in any case.

    Raises:
        UserError: if there is none, more than one with such a standard name, or a name in two cases.
    """
    lower = {name: str(name).lower() for name in dataset.data_vars}
    found = [name for name in lower if dataset[name].attrs.get("standard_name") in standard]
    found = [name for name in found if lower[name] in names] or found
    by_name = [[name for name in lower if lower[name] == wanted] for wanted in names]
    found = found or next((some for some in by_name if some), [])
    if not found:
        raise UserError(f"{path} has none of {', '.join(names)} (it has: {', '.join(map(str, dataset.data_vars))})")
    if len(found) > 1:
        raise UserError(f"{path} has {' and '.join(map(str, found))}, and either may be meant; keep only one of them")
    return dataset[found[0]]


def _static(found: xr.DataArray, path: Path) -> xr.DataArray:
    """Remove the dimensions of a surface field other than latitude and longitude.

    Raises:
        UserError: if the field changes along them, or is on a level.
    """
    if "level" in found.coords and not (found["level"] == 0).all():
        raise UserError(f"{path}: {found.name!r} is on a level of {_join(found['level'])} hPa, not at the surface")
    for name in [name for name in found.dims if name not in ("latitude", "longitude")]:
        first, others = found.isel({name: 0}, drop=True), range(1, found.sizes[name])
        if not all(first.equals(found.isel({name: number}, drop=True)) for number in others):
            raise UserError(
                f"{path}: {found.name!r} changes along {name} (size {found.sizes[name]}); expected a static field: "
                "keep one of them in the file"
            )
        found = first
    return found


def _join(values: xr.DataArray) -> str:
    return ", ".join(f"{value:g}" for value in np.atleast_1d(values.values)[:5])
