"""What does not change with time: land fraction, orography, latitude."""

from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import axes, store
from hindsight.fields.grid import Grid
from hindsight.preprocess.regrid import onto_grid
from hindsight.settings import Preprocess

GRAVITY = 9.80665


def run(settings: Preprocess, *, fields: Path, raw: Path, given: list[Path], static: Path) -> None:
    """Bring land fraction and orography to the working grid, from files given or from the source itself."""
    working, source = store.read(fields), store.read(raw)
    result = xr.Dataset(coords={name: working[name] for name in ("latitude", "longitude")})
    for name, asked, find, own in (
        ("land", settings.land, land, "land_sea_mask"),
        ("orography", settings.orography, orography, "geopotential_at_surface"),
    ):
        if asked:
            path = next(path for path in given if str(path).endswith(asked))
            found = find(_open(path), path)
        elif own in source and "time" not in source[own].dims:
            path = store.folder(raw)
            found = find(_named(source, path), path)
        else:
            continue
        regridded = settings.spacing is not None and settings.method == "conservative"
        result[name] = (means if regridded else onto)(found, working, path)
    result.load()  # lazy ones are written in the order in which threads end, and other bytes come of it
    store.replace(static, lambda partial: result.to_netcdf(partial))


def _open(path: Path) -> xr.Dataset:
    try:
        dataset = xr.open_dataset(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}); expected a netCDF file") from None
    return _named(dataset, path)


def _named(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    return axes.named(dataset, str(path), ("latitude", "longitude"))


def land(dataset: xr.Dataset, path: Path) -> xr.DataArray:
    """Land fraction, 0 to 1; a mask of whole numbers counts 1 (land) and 3 (small islands) as land."""
    found = _one_of(dataset, ("land", "lsm", "land_sea_mask", "LSMASK"), path)
    return found.isin([1, 3]).astype("float32") if np.issubdtype(found.dtype, np.integer) else found


def orography(dataset: xr.Dataset, path: Path) -> xr.DataArray:
    """Height of the surface (m), from a height or a geopotential."""
    found = _one_of(dataset, ("orography", "orog", "geopotential_at_surface", "z", "Z"), path)
    return found / GRAVITY if found.name in ("z", "Z", "geopotential_at_surface") else found


def _one_of(dataset: xr.Dataset, names: tuple[str, ...], path: Path) -> xr.DataArray:
    for name in names:
        if name in dataset:
            return dataset[name].squeeze(drop=True)
    raise UserError(f"{path} has none of {', '.join(names)} (it has: {', '.join(map(str, dataset.data_vars))})")


def means(source: xr.DataArray, working: xr.Dataset, path: Path) -> xr.DataArray:
    """Means over the cells of the working grid, as the fields are."""
    found = onto_grid(
        axes.ordered(source.to_dataset(name="f"), str(path))["f"], Grid.of(working), "conservative", str(path)
    )
    return found.assign_coords({name: working[name] for name in ("latitude", "longitude")}).astype("float32")


def onto(source: xr.DataArray, working: xr.Dataset, path: Path) -> xr.DataArray:
    """Bilinear interpolation to the working grid, longitudes brought round where they must be."""
    turned = source.assign_coords(longitude=(source["longitude"] + 180) % 360 - 180)
    turned = turned.sortby("longitude").sortby("latitude")
    if Grid.of(turned).periodic:
        turned = turned.pad(longitude=1, mode="wrap")
        longitude = turned["longitude"].values.copy()
        longitude[0], longitude[-1] = longitude[0] - 360, longitude[-1] + 360
        turned = turned.assign_coords(longitude=longitude)
    wanted = (working["longitude"] + 180) % 360 - 180
    wanted = {"latitude": working["latitude"].values, "longitude": wanted.values}
    between = {name: places for name, places in wanted.items() if turned.sizes[name] > 1}
    result = turned.transpose("latitude", "longitude").interp(between)
    for name in wanted.keys() - between.keys():  # nothing lies on either side of a single point
        result = result.reindex({name: wanted[name]}, method="nearest", tolerance=1e-6)
    if bool(result.isnull().any()):
        raise UserError(f"{path} does not cover the domain; expected latitudes and longitudes around all of it")
    return result.assign_coords(longitude=working["longitude"]).astype("float32")
