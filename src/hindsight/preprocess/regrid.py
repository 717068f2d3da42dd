"""From a source's own names, units and grid to the pipeline's fields, a piece of time in a job."""

import ctypes
import json
from collections.abc import Iterator
from pathlib import Path

import dask.array
import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import axes, intervals, store
from hindsight.fields.grid import Grid
from hindsight.fields.regridding import Regridding, regular_grid
from hindsight.preprocess import derive
from hindsight.preprocess.scheduler import scheduled
from hindsight.progress import Progress
from hindsight.settings.domain import Scope
from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.preprocess import Regrid

NOTHING = np.float32(np.nan)  # what a store holds where nothing was written
ARENA_MAX = -8  # how glibc's `mallopt` calls the number of heaps
HANDED_ON = ("source_title", "source_licence", "source_files", "synthetic", "segment_starts")


def run(
    scope: Scope,
    settings: Regrid,
    *,
    piece: str,
    raw: list[Path],
    manifest: Path,
    scheduler: str,
    workers: str,
    fields: Path,
) -> None:
    """Bring a piece of the source to canonical channels, units, grid and order; masked frames stay NaN."""
    _share_heap()
    cut, where = intervals.parse(piece, scope.step_hours), ", ".join(str(store.folder(path)) for path in raw)
    masked = np.array(json.loads(manifest.read_text())["masked"], "datetime64[ns]")
    with scheduled(scheduler, int(workers)):
        parts = [axes.standardise(store.read(path), where) for path in raw]
        lazy = canonical(_together(parts), scope, settings, cut.times, where)
        lazy = lazy.assign(available=("time", _asked(parts, cut.times) & ~np.isin(cut.times, masked)))
        store.write_parts(empty(lazy, cut.times), _shards(lazy, settings, where), fields, encoding(lazy, settings))


def canonical(raw: xr.Dataset, scope: Scope, settings: Regrid, times: np.ndarray, where: str) -> xr.Dataset:
    """Bring a dataset to the pipeline's layout, lazily.

    Args:
        raw: the source, its names and units untouched.
        scope: channels, step and region asked for.
        settings: working grid, method, levels.
        times: of the frames wanted.
        where: what to call the source in errors.

    Returns:
        `fields`, float32, (time, channel, latitude, longitude): canonical units, latitudes south to north, longitudes
        west to east; NaN at times that the source lacks. A source made of stretches that do not go on from each other
        has the attribute `segment_starts`, the times at which one begins, and hands it on.

    Raises:
        UserError: on a channel, unit or level that is not there, an irregular grid, or a region the source lacks.
    """
    raw = axes.sort(axes.standardise(raw, where), where)
    if settings.spacing is None:
        raw = axes.select(raw, scope.box, where)
    channels = [derive.channel(raw, name, times, settings.levels, where) for name in scope.channels]
    fields = xr.concat(channels, "channel", join="exact", coords="minimal", compat="override").astype("float32")
    if settings.spacing is not None:
        fields = onto_grid(fields, regular_grid(settings.spacing, settings.poles, *scope.box), settings.method, where)
    fields = fields.assign_coords(channel=np.array(scope.channels, object))
    dataset = fields.transpose("time", "channel", "latitude", "longitude").rename("fields").to_dataset()
    keep = {key: raw.attrs[key] for key in HANDED_ON if key in raw.attrs}
    dataset.attrs = keep | {"units": [CHANNELS[name].units for name in scope.channels]}
    return dataset


def onto_grid(fields: xr.DataArray, target: Grid, method: str, where: str) -> xr.DataArray:
    """Regrid (…, latitude, longitude), block by block."""
    regridding = Regridding.between(Grid.of(fields), target, method, where)
    whole = fields.transpose(..., "latitude", "longitude")
    if whole.chunks is not None:
        whole = whole.chunk({"latitude": -1, "longitude": -1})
    found = xr.apply_ufunc(
        regridding,
        whole.drop_vars(["latitude", "longitude"]),
        input_core_dims=[["latitude", "longitude"]],
        output_core_dims=[["latitude", "longitude"]],
        exclude_dims={"latitude", "longitude"},
        dask="parallelized",
        output_dtypes=[np.float32],
        dask_gufunc_kwargs={"output_sizes": dict(zip(("latitude", "longitude"), target.shape))},
    )
    return found.assign_coords(latitude=target.latitude, longitude=target.longitude)


def encoding(dataset: xr.Dataset, settings: Regrid) -> dict:
    """Chunks for the window reads of training, many of them a file; the same in every piece, also in a short one."""
    space = dataset["fields"].shape[1:]
    shapes = {"chunks": (settings.chunk_frames, *space), "shards": (file_frames(space, settings), *space)}
    return {"fields": shapes | {"fill_value": NOTHING}}


def file_frames(space: tuple[int, ...], settings: Regrid) -> int:
    """Frames a file of the store: `file_frames`, or half, a quarter … of it where that is too much for `file_mb`."""
    frames, frame = settings.file_frames, 4 * int(np.prod(space))
    while frames * frame > settings.file_mb * 1e6 and frames % (2 * settings.chunk_frames) == 0:
        frames //= 2
    return frames


def empty(piece: xr.Dataset, times: np.ndarray) -> xr.Dataset:
    """The store of some frames before there is anything in it, laid out as a piece is."""
    shape = len(times), *piece["fields"].shape[1:]
    nothing = dask.array.full(shape, NOTHING, dtype=np.float32, chunks=shape)
    whole = piece.drop_dims("time").assign_coords(time=times)
    return whole.assign(fields=(piece["fields"].dims, nothing), available=("time", np.zeros(len(times), bool)))


def _together(parts: list[xr.Dataset]) -> xr.Dataset:
    """The parts of a source, one after the other in time."""
    if len(parts) == 1:
        return parts[0]
    joined = xr.concat(
        parts, "time", data_vars="minimal", coords="minimal", compat="override", join="exact", combine_attrs="override"
    )
    return joined.sortby("time")


def _asked(parts: list[xr.Dataset], times: np.ndarray) -> np.ndarray:
    """Which frames lie in any part: nobody has asked for those between the periods, and a source need not have them."""
    spans = [(part["time"].values.min(), part["time"].values.max()) for part in parts]
    return np.any([(times >= first) & (times <= last) for first, last in spans], 0)


def _shards(lazy: xr.Dataset, settings: Regrid, where: str) -> Iterator[xr.Dataset]:
    """Compute, look at and hand over the frames of one file at a time: what is in memory at once."""
    watch, frames = Progress("preprocess.regrid", lazy.sizes["time"]), file_frames(lazy["fields"].shape[1:], settings)
    for first in range(0, lazy.sizes["time"], frames):
        block = lazy.isel(time=slice(first, first + frames)).load()
        _sound(block, where)
        if not block["available"].all():  # a masked frame is masked in all channels
            block = block.assign(fields=block["fields"].where(block["available"]))
        yield block
        del block  # or it would be there while the next one is made
        watch(min(first + frames, lazy.sizes["time"]))


def _share_heap() -> None:
    """Have all threads share one heap: glibc gives each its own, and a job would keep what each has freed there."""
    if set_option := getattr(ctypes.CDLL(None), "mallopt", None):
        set_option(ARENA_MAX, 1)


def _sound(block: xr.Dataset, where: str) -> None:
    """NaN is loud, and so is a value that no atmosphere has."""
    known, times = block["available"].values, block["time"].values
    for name, field in zip(block["channel"].values, block["fields"].transpose("channel", ...).values):
        channel, holes = CHANNELS[name], np.isnan(field).any((1, 2))
        if (loud := times[holes & known]).size:
            raise UserError(
                f"{where}: channel {name} has NaN in {loud.size} frame(s), the first at "
                f"{loud[0].astype('datetime64[m]')}; mend the source, or name the times in download.missing"
            )
        field = field[known]
        if field.size and not (channel.lowest <= field.min() and field.max() <= channel.highest):
            raise UserError(
                f"{where}: channel {name} reaches from {field.min():g} to {field.max():g} {channel.units}, outside "
                f"what it can be ({channel.lowest:g} to {channel.highest:g}); check its units attribute"
            )
