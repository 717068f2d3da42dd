"""Source `synthetic`: simulate a built-in world; layout and, where they exist, names are WeatherBench 2's."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dask.array
import numpy as np
import pandas as pd
import xarray as xr

from hindsight import __version__
from hindsight.dynamics import worlds
from hindsight.dynamics.world import World
from hindsight.errors import UserError
from hindsight.fields import calendar, store
from hindsight.progress import Progress
from hindsight.settings import Download
from hindsight.settings.download import Synthetic

CHUNK = 256  # frames


def run(settings: Download, *, raw: Path) -> None:
    """Simulate a built-in world: years of weather from a model's equations."""
    store.require_free_space(raw, settings.minimum_free_gb)
    world = worlds.build(settings.synthetic)
    template = layout(world, settings)
    store.write_parts(template, parts(world, template, settings.synthetic), raw)


def times(settings: Synthetic) -> pd.DatetimeIndex:
    """The times of the frames."""
    return pd.date_range(settings.start, settings.end, freq=settings.step)


def segments(frames: int, settings: Synthetic) -> tuple[list[int], int]:
    """The first frame of each segment, and the length of segments: complete chunks, except in the last."""
    chunks = -(-frames // CHUNK)
    length = min(-(-chunks // settings.segments) * CHUNK, frames)
    return list(range(0, frames, length)), length


def layout(world: World, settings: Download) -> xr.Dataset:
    """The store, empty; `segment_starts` are the times at which a new simulation starts."""
    model = settings.synthetic
    coords = {
        "time": ("time", times(model)),
        "level": ("level", np.array(world.levels, int), {"units": "hPa"}),
        "longitude": ("longitude", world.longitude, _attributes("longitude", "degrees_east")),
        "latitude": ("latitude", world.latitude, _attributes("latitude", "degrees_north")),
    }
    if not world.levels:
        del coords["level"]
    shape = [len(values) for _, values, *_ in coords.values()]
    starts = times(model)[segments(shape[0], model)[0]]
    empty = dask.array.zeros(shape, dtype=np.float32, chunks=(min(CHUNK, shape[0]), *shape[1:]))
    dataset = xr.Dataset(
        {name: (tuple(coords), empty, _attributes(*about)) for name, about in world.variables.items()},
        coords=coords,
        attrs={
            "source_title": settings.title or world.title,
            "source_licence": settings.licence or "CC0-1.0",
            "source_files": f"none: made by hindsight {__version__}, {model.model_dump_json()}",
            "synthetic": f"yes: {world.equations}",
            "segment_starts": [start.isoformat() for start in starts],
        },
    )
    for name, values in world.static().items():
        dataset[name] = (("longitude", "latitude"), values.T.astype(np.float32), _attributes(*world.fixed[name]))
    return dataset


def parts(world: World, template: xr.Dataset, settings: Synthetic) -> Iterator[xr.Dataset]:
    """Integrate the model, and yield a chunk of frames at a time.

    Raises:
        UserError: if the integration becomes unstable.
    """
    axis = template["time"].values
    begins, length = segments(len(axis), settings)
    watch = Progress("download.synthetic", settings.spin_up_days + length * settings.step // timedelta(days=1), "days")
    state = world.spin_up(axis[begins], watch)
    for first in range(0, length, CHUNK):
        state, frames = world.frames(state, axis[begins], first, min(CHUNK, length - first), watch)
        _require_finite(frames, axis[begins] + first * np.timedelta64(settings.step), settings, world)
        for k, begin in enumerate(begins):
            stop = min(begin + first + CHUNK, len(axis))
            if begin + first < stop:
                part = slice(begin + first, stop)
                chosen = {n: v[k, : part.stop - part.start].swapaxes(-1, -2) for n, v in frames.items()}
                yield (
                    template[list(world.variables)]
                    .isel(time=part)
                    .assign({n: (template[n].dims, v, template[n].attrs) for n, v in chosen.items()})
                )


def _require_finite(frames: dict[str, np.ndarray], begins: np.ndarray, settings: Synthetic, world: World) -> None:
    """Refuse frames (S, n, …) from `begins` (S,) that are not finite.

    Raises:
        UserError: with the time of the first of them.
    """
    finite = [np.isfinite(values).reshape(*values.shape[:2], -1).all(-1) for values in frames.values()]
    segment, frame = np.nonzero(~np.all(finite, 0))
    if len(frame):
        time = (begins[segment] + frame * np.timedelta64(settings.step)).min()
        raise UserError(f"fields of the built-in world for {calendar.text(time)} broke down {world.instability_advice}")


def _attributes(standard_name: str, units: str) -> dict[str, str]:
    return {"standard_name": standard_name, "units": units} if standard_name else {"units": units}
