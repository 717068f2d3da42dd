"""Source `synthetic`: a built-in world, written with WeatherBench 2's names and layout."""

from collections.abc import Iterator
from pathlib import Path

import dask.array
import numpy as np
import pandas as pd
import xarray as xr

from hindsight import __version__
from hindsight.dynamics.world import World
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.progress import Progress
from hindsight.settings import Download
from hindsight.settings.download import Synthetic

CHUNK = 256  # frames
DIMENSIONS = ("time", "level", "longitude", "latitude")
ON_LEVELS = {  # WeatherBench 2's name: CF standard name, units
    "geopotential": ("geopotential", "m2 s-2"),
    "u_component_of_wind": ("eastward_wind", "m s-1"),
    "v_component_of_wind": ("northward_wind", "m s-1"),
}
STATIC = {"land_sea_mask": ("land_binary_mask", "1"), "geopotential_at_surface": ("surface_geopotential", "m2 s-2")}


def run(settings: Download, *, raw: Path) -> None:
    """Make a built-in world: years of weather from a quasi-geostrophic model, where there is no data."""
    store.require_room(raw, settings.minimum_free_gb)
    world = World(settings.synthetic)
    template = layout(world, settings)
    store.write_parts(template, parts(world, template, settings.synthetic), raw)


def times(settings: Synthetic) -> pd.DatetimeIndex:
    """The frames asked for."""
    return pd.date_range(settings.start, settings.end, freq=f"{settings.step_hours}h")


def layout(world: World, settings: Download) -> xr.Dataset:
    """The store before there is anything in it."""
    model, axis = settings.synthetic, times(settings.synthetic)
    shape = (len(axis), len(model.levels), len(world.longitude), len(world.latitude))
    chunks = (min(CHUNK, len(axis)), *shape[1:])
    empty = dask.array.zeros(shape, dtype=np.float32, chunks=chunks)
    dataset = xr.Dataset(
        {name: (DIMENSIONS, empty, _about(*about)) for name, about in ON_LEVELS.items()},
        coords={
            "time": axis,
            "level": ("level", np.array(model.levels), {"units": "hPa"}),
            "longitude": ("longitude", world.longitude, _about("longitude", "degrees_east")),
            "latitude": ("latitude", world.latitude, _about("latitude", "degrees_north")),
        },
        attrs={
            "source_title": settings.title or "hindsight's built-in world (synthetic)",
            "source_licence": settings.licence or "CC0-1.0",
            "source_files": f"none: made by hindsight {__version__}, {model.model_dump_json()}",
            "synthetic": "yes: quasi-geostrophic flow of Marshall and Molteni (1993) on an Earth-like planet",
        },
    )
    for name, values in world.static().items():
        dataset[name] = (("longitude", "latitude"), values.T.astype(np.float32), _about(*STATIC[name]))
    return dataset


def parts(world: World, template: xr.Dataset, settings: Synthetic) -> Iterator[xr.Dataset]:
    """Integrate, and hand over a chunk of frames at a time.

    Raises:
        UserError: if the integration breaks down.
    """
    axis = template["time"].values
    chunks = -(-len(axis) // CHUNK)
    length = -(-chunks // settings.stretches) * CHUNK  # frames of a stretch: whole chunks
    begins = list(range(0, len(axis), length))
    watch = Progress("download.synthetic", settings.spin_up_days + min(length, len(axis)) * settings.step_hours // 24)
    state = world.spin_up(axis[begins], watch)
    longest = min(length, len(axis))
    for first in range(0, longest, CHUNK):
        state, frames = world.frames(state, axis[begins], first, min(CHUNK, longest - first), watch)
        if not np.isfinite(frames["geopotential"]).all():
            raise UserError(
                f"the built-in world broke down at truncation {settings.truncation} with steps of "
                f"{settings.step_minutes:g} minutes; lower download.synthetic.step_minutes"
            )
        for k, begin in enumerate(begins):
            stop = min(begin + first + CHUNK, len(axis))
            if begin + first < stop:
                part = slice(begin + first, stop)
                chosen = {n: v[k, : part.stop - part.start].swapaxes(-1, -2) for n, v in frames.items()}
                yield (
                    template[list(ON_LEVELS)]
                    .isel(time=part)
                    .assign({n: (template[n].dims, v, template[n].attrs) for n, v in chosen.items()})
                )


def _about(standard_name: str, units: str) -> dict[str, str]:
    return {"standard_name": standard_name, "units": units}
