"""What does not change with time: land fraction, orography, latitude."""

from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import axes, store
from hindsight.fields.grid import NEAR, Grid
from hindsight.preprocess.regrid import onto_grid
from hindsight.preprocess.surface import land, orography
from hindsight.settings import Preprocess, expanded


def run(settings: Preprocess, *, fields: Path, raw: Path, given: list[Path], static: Path) -> None:
    """Bring land fraction and orography to the working grid, from files given or from the source itself."""
    working, source = store.read(fields), store.read(raw)
    result = xr.Dataset(coords={name: working[name] for name in ("latitude", "longitude")})
    for name, asked, find, own in (
        ("land", settings.land, land, "land_sea_mask"),
        ("orography", settings.orography, orography, "geopotential_at_surface"),
    ):
        if asked:
            path = _named_so(given, asked)
            found = find(_open(path), path)
        elif own in source and not set(axes.DIMENSIONS["time"]) & set(source[own].dims):  # ice may change
            path = store.folder(raw)
            found = find(_named(source, path), path)
        else:
            continue
        regridded = settings.spacing is not None and settings.method == "conservative"
        result[name] = (means if regridded else onto)(found, working, path)
    result.load()  # lazy ones are written in the order in which threads end, and other bytes come of it
    store.replace(static, lambda partial: result.to_netcdf(partial))


def _named_so(given: list[Path], asked: str) -> Path:
    """The path that a setting names, below the data folder or anywhere."""
    parts = Path(expanded(asked)).parts
    return min((path for path in given if path.parts[-len(parts) :] == parts), key=lambda path: len(path.parts))


def _whole(result: xr.DataArray, source: xr.DataArray, path: Path) -> xr.DataArray:
    """A field without NaN.

    Raises:
        UserError: if there is one.
    """
    if bool(result.isnull().any()):
        if bool(source.isnull().any()):
            raise UserError(
                f"{path}: {source.name!r} has no value (NaN) in the domain; give it values everywhere, 0 over the sea"
            )
        raise UserError(f"{path} does not cover the domain; expected latitudes and longitudes around all of it")
    return result


def _open(path: Path) -> xr.Dataset:
    try:
        dataset = xr.open_dataset(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}); expected a netCDF file") from None
    return _named(dataset, path)


def _named(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    return axes.standardise(dataset, str(path), ("latitude", "longitude"))


def means(source: xr.DataArray, working: xr.Dataset, path: Path) -> xr.DataArray:
    """Means over the cells of the working grid, as the fields are."""
    found = onto_grid(
        axes.sort(source.to_dataset(name="f"), str(path))["f"], Grid.of(working), "conservative", str(path)
    )
    found = found.assign_coords({name: working[name] for name in ("latitude", "longitude")})
    return _whole(found, source, path).astype("float32")


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
    between = {name: _edged(at, turned[name].values) for name, at in wanted.items() if turned.sizes[name] > 1}
    result = turned.transpose("latitude", "longitude").interp(between)
    for name in wanted.keys() - between.keys():  # nothing lies on either side of a single point
        result = result.reindex({name: wanted[name]}, method="nearest", tolerance=NEAR)
    result = _whole(result, source, path)
    return result.assign_coords(latitude=working["latitude"], longitude=working["longitude"]).astype("float32")


def _edged(places: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Places along an axis; those a rounding error beyond its ends are at its ends."""
    inside = places.clip(axis.min(), axis.max())
    return np.where(np.abs(places - inside) <= NEAR, inside, places)
