"""Static fields: land fraction and orography."""

from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import axes, store
from hindsight.fields.grid import NEAR, Grid
from hindsight.preprocess.regrid import to_grid
from hindsight.preprocess.surface import land, orography
from hindsight.settings import Preprocess
from hindsight.settings.input_files import matching


def run(settings: Preprocess, *, fields: Path, raw: Path, given: list[Path], static: Path) -> None:
    """Regrid land fraction and orography to the working grid, from given files or from the source itself."""
    working, source = store.read(fields), store.read(raw)
    result = xr.Dataset(coords={name: working[name] for name in ("latitude", "longitude")})
    for name, file, find, variable in (
        ("land", settings.land, land, "land_sea_mask"),
        ("orography", settings.orography, orography, "geopotential_at_surface"),
    ):
        if file:
            path = matching(file, given)
            found = find(_open(path), path)
        elif variable in source and not set(axes.DIMENSIONS["time"]) & set(source[variable].dims):
            path = store.folder(raw)  # a variable with a time axis is not static: ice may change it
            found = find(_standardise(source, path), path)
        else:
            continue
        regridded = settings.spacing is not None and settings.method == "conservative"
        result[name] = (cell_means if regridded else interpolate)(found, working, path)
    result.load()  # the order of lazy writes, and so the bytes, would depend on the threads
    store.replace(static, lambda partial: result.to_netcdf(partial))


def _check_complete(result: xr.DataArray, source: xr.DataArray, path: Path) -> xr.DataArray:
    """Return a field if it has no NaN.

    Raises:
        UserError: if it has.
    """
    if bool(result.isnull().any()):
        if bool(source.isnull().any()):
            raise UserError(
                f"{path}: {source.name!r} has missing values (NaN) in the domain; fill them, with 0 over the sea"
            )
        raise UserError(f"{path} does not cover the domain; expected latitudes and longitudes around all of it")
    return result


def _open(path: Path) -> xr.Dataset:
    try:
        dataset = xr.open_dataset(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}); expected a netCDF file") from None
    return _standardise(dataset, path)


def _standardise(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    return axes.standardise(dataset, str(path), ("latitude", "longitude"))


def cell_means(source: xr.DataArray, working: xr.Dataset, path: Path) -> xr.DataArray:
    """Means over the cells of the working grid, like the fields."""
    found = to_grid(axes.sort(source.to_dataset(name="f"), str(path))["f"], Grid.of(working), "conservative", str(path))
    found = found.assign_coords({name: working[name] for name in ("latitude", "longitude")})
    return _check_complete(found, source, path).astype("float32")


def interpolate(source: xr.DataArray, working: xr.Dataset, path: Path) -> xr.DataArray:
    """Interpolate bilinearly to the working grid, with any origin of longitudes."""
    wrapped = source.assign_coords(longitude=(source["longitude"] + 180) % 360 - 180)
    wrapped = wrapped.sortby("longitude").sortby("latitude")
    if Grid.of(wrapped).periodic:
        wrapped = wrapped.pad(longitude=1, mode="wrap")
        longitude = wrapped["longitude"].values.copy()
        longitude[0], longitude[-1] = longitude[0] - 360, longitude[-1] + 360
        wrapped = wrapped.assign_coords(longitude=longitude)
    wanted = (working["longitude"] + 180) % 360 - 180
    wanted = {"latitude": working["latitude"].values, "longitude": wanted.values}
    between = {name: _clip(at, wrapped[name].values) for name, at in wanted.items() if wrapped.sizes[name] > 1}
    result = wrapped.transpose("latitude", "longitude").interp(between)
    for name in wanted.keys() - between.keys():  # a single point has no neighbours
        result = result.reindex({name: wanted[name]}, method="nearest", tolerance=NEAR)
    result = _check_complete(result, source, path)
    return result.assign_coords(latitude=working["latitude"], longitude=working["longitude"]).astype("float32")


def _clip(positions: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Move positions that lie a rounding error beyond the ends of an axis to its ends."""
    inside = positions.clip(axis.min(), axis.max())
    return np.where(np.abs(positions - inside) <= NEAR, inside, positions)
