"""Stores laid out as the public ones are, with smooth made-up fields; small."""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from numcodecs import Blosc

LEVELS = (50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 925, 1000)
ORIGIN = "hours since 1959-01-01"
UNITS = {
    "geopotential": "m**2 s**-2",
    "temperature": "K",
    "2m_temperature": "K",
    "mean_sea_level_pressure": "Pa",
    "u_component_of_wind": "m s**-1",
    "v_component_of_wind": "m s**-1",
    "total_precipitation": "m",
    "total_precipitation_6hr": "m",
}
MEANS = {"geopotential": 5e4, "temperature": 260.0, "2m_temperature": 285.0, "mean_sea_level_pressure": 1.01e5}
LZ4 = Blosc(cname="lz4", clevel=5, shuffle=Blosc.SHUFFLE)


def weatherbench2(
    path: Path, frames: int = 250, chunk: int = 100, consolidated: bool = True, **grid: object
) -> xr.Dataset:
    """As `1959-2023_01_10-6h-64x32_equiangular_conservative.zarr`: Zarr v2, Blosc lz4, 100 frames a chunk."""
    made = fields(pd.date_range("1959-01-01", periods=frames, freq="6h"), ("longitude", "latitude"), **grid)
    made["total_precipitation_6hr"] = rain(made, "total_precipitation_6hr")
    write(made, path, chunk, 2, consolidated)
    return made


def arco(path: Path, frames: int = 72, final: str = "", preliminary: str = "", **grid: object) -> xr.Dataset:
    """As `ar/full_37-1h-0p25deg-chunk-1.zarr-v3`: hourly, a frame a chunk, latitudes from the north."""
    times = pd.date_range("1959-01-01", periods=frames, freq="1h")
    made = fields(times, ("latitude", "longitude"), **grid).isel(latitude=slice(None, None, -1))
    made["total_precipitation"] = rain(made, "total_precipitation")
    made["geopotential_at_surface"] = made["geopotential_at_surface"].expand_dims(time=made["time"])
    if final:
        made.attrs = {
            "valid_time_start": "1959-01-01",
            "valid_time_stop": final,
            "valid_time_stop_era5t": preliminary or final,
            "last_updated": "2025-01-01 02:46:00+00:00",
        }
    write(made, path, 1, 2, True)
    return made


def version3(path: Path, frames: int = 48, shards: bool = False, consolidated: bool = False) -> xr.Dataset:
    """Zarr v3, six frames a chunk; with shards, 24 a file."""
    made = fields(pd.date_range("1959-01-01", periods=frames, freq="6h"), ("latitude", "longitude"))
    write(made, path, 6, 3, consolidated, 24 if shards else None)
    return made


def fields(
    times: pd.DatetimeIndex,
    space: tuple[str, str],
    size: tuple = (64, 32),
    levels: tuple = LEVELS,
    winds: bool = False,
) -> xr.Dataset:
    """Waves that travel, and a mountain; with wind where it is asked for."""
    longitudes, latitudes = size
    longitude = np.arange(longitudes) * 360 / longitudes
    latitude = -90 + (np.arange(latitudes) + 0.5) * 180 / latitudes
    coords = {
        "time": times,
        "level": ("level", np.array(levels, np.int32), {"units": "hPa"}),
        "longitude": ("longitude", longitude, {"units": "degrees_east"}),
        "latitude": ("latitude", latitude, {"units": "degrees_north"}),
    }
    here = xr.Dataset(coords=coords)
    day = (here["time"] - np.datetime64("1959-01-01")) / np.timedelta64(1, "D")
    phase = np.deg2rad(here["longitude"]) * 3 - 0.3 * day + np.deg2rad(here["latitude"])
    wave = np.cos(phase) * np.cos(np.deg2rad(here["latitude"])) + 0.01 * np.sin(40 * phase)
    made = xr.Dataset(coords=coords)
    generator = np.random.default_rng(1)
    for name, mean in MEANS.items():
        field = 0.02 * wave - 1e-4 * here["level"] if name in ("geopotential", "temperature") else 0.02 * wave
        noise = 1e-3 * generator.random(field.shape, np.float32)  # else it is packed as no weather is
        made[name] = about(
            mean * (1 + field + noise), name, ("time", *(["level"] if "level" in field.dims else []), *space)
        )
    for name in ("u_component_of_wind", "v_component_of_wind") if winds else ():
        wind = 20 * (wave - wave.shift(longitude=1, fill_value=0.0)) - 1e-3 * here["level"]
        made[name] = about(wind + generator.random(wind.shape, np.float32), name, ("time", "level", *space))
    mountain = (np.exp(-(((here["longitude"] - 90) / 20) ** 2)) * np.cos(np.deg2rad(here["latitude"]))).transpose(
        *space
    )
    made["geopotential_at_surface"] = (4e4 * mountain).astype("float32").assign_attrs(units="m**2 s**-2")
    made["land_sea_mask"] = (mountain > 0.3).astype("float32").assign_attrs(units="(0 - 1)")
    return made


def rain(made: xr.Dataset, name: str) -> xr.DataArray:
    """Rain where it is high; dry in most places."""
    wet = (made["mean_sea_level_pressure"] / 1.01e5 - 1).clip(0) * 0.1
    return about(wet, name, made["mean_sea_level_pressure"].dims)


def about(values: xr.DataArray, name: str, dims: tuple[str, ...]) -> xr.DataArray:
    attributes = {"units": UNITS[name], "long_name": name.replace("_", " ")}
    return values.transpose(*dims).astype("float32").assign_attrs(attributes)


def write(
    made: xr.Dataset, path: Path, frames: int, version: int, consolidated: bool, shard: int | None = None
) -> None:
    """Write a store, its chunks whole in space and level, and its time in hours since 1959."""
    encoding = {}
    for name, variable in made.data_vars.items():
        shape = {dim: size if dim != "time" else min(frames, size) for dim, size in variable.sizes.items()}
        encoding[name] = {"chunks": tuple(shape.values())}
        if version == 2:
            encoding[name] |= {"compressors": LZ4, "_FillValue": np.float32(np.nan)}
        if shard and "time" in shape:
            encoding[name]["shards"] = tuple(shard if dim == "time" else size for dim, size in shape.items())
    encoding["time"] = {"units": ORIGIN, "dtype": "int64"}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    made.to_zarr(path, mode="w", zarr_format=version, consolidated=consolidated, encoding=encoding)


def chunks(path: Path, name: str) -> int:
    """How many files an array has."""
    array = zarr.open_group(path, mode="r", use_consolidated=False)[name]
    return len([p for p in (Path(path) / name).rglob("*") if p.is_file()]) - (1 + (array.metadata.zarr_format == 2))
