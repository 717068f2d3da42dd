"""Convert a source's names, units and grid to the pipeline's fields, one piece in each job."""

import ctypes
import json
from collections.abc import Iterator
from pathlib import Path

import dask.array
import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import axes, coverage, intervals, store
from hindsight.fields.grid import COVERED, Grid
from hindsight.fields.regridding import Regridding, regular_grid
from hindsight.preprocess import derive
from hindsight.preprocess.scheduler import use_scheduler
from hindsight.progress import Progress
from hindsight.settings.domain import DomainWithoutPeriods
from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.preprocess import Regrid

MISSING = np.float32(np.nan)  # fill value of the store
ARENA_MAX = -8  # glibc's code for the number of heaps, in `mallopt`
UNCOVERED_VALUE = np.float32(0.0)  # value at points that the source does not cover, or the nearest one that is possible
PASSED_ON = ("source_title", "source_licence", "source_files", "synthetic", "segment_starts", "plane")


def run(
    domain: DomainWithoutPeriods,
    settings: Regrid,
    *,
    piece: str,
    raw: list[Path],
    manifest: Path,
    scheduler: str,
    workers: str,
    fields: Path,
) -> None:
    """Convert a piece of the source to canonical channels, units, grid and order; masked frames become NaN."""
    _share_heap()
    interval, where = intervals.parse(piece, domain.step_hours), ", ".join(str(store.folder(path)) for path in raw)
    arrived = json.loads(manifest.read_text())
    masked = np.array(arrived["masked"], "datetime64[ns]")
    with use_scheduler(scheduler, int(workers)):
        parts = [axes.standardise(store.read(path), where) for path in raw]
        source = coverage.marked(_concatenate(parts), arrived.get("uncovered"), where)
        lazy = canonical_fields(source, domain, settings, interval.times, where)
        lazy = lazy.assign(available=("time", _in_parts(parts, interval.times) & ~np.isin(interval.times, masked)))
        blocks = _blocks(lazy, settings, where)
        store.write_parts(template(lazy, interval.times), blocks, fields, encoding(lazy, settings))


def canonical_fields(
    raw: xr.Dataset, domain: DomainWithoutPeriods, settings: Regrid, times: np.ndarray, where: str
) -> xr.Dataset:
    """Convert a dataset to the pipeline's layout, lazily.

    Args:
        raw: the source, with its own names and units.
        domain: requested channels and region.
        settings: working grid, method, levels.
        times: of the requested frames.
        where: name of the source for error messages.

    Returns:
        `fields`, float32, (time, channel, latitude, longitude): canonical units, latitudes south to north, longitudes
        west to east; NaN at times that the source lacks. The attribute `segment_starts` of a source, the times of the
        frames that begin a new segment, is passed on, and so is the coordinate `covered`: where it is false, fields
        have the value `UNCOVERED_VALUE` at all times.

    Raises:
        UserError: if a variable, level or part of the region is missing, units cannot be converted, or the grid is not
            regular.
    """
    raw = axes.sort(axes.standardise(raw, where), where)
    if settings.spacing is None:
        raw = axes.select(raw, domain.box, where)
    channels = [derive.channel(raw, name, times, settings.levels, where) for name in domain.channels]
    fields = xr.concat(channels, "channel", join="exact", coords="minimal", compat="override").astype("float32")
    if settings.spacing is not None:
        fields = to_grid(fields, regular_grid(settings.spacing, settings.poles, *domain.box), settings.method, where)
    fields = fields.assign_coords(channel=np.array(domain.channels, object))
    if COVERED in raw.coords:
        fields = filled(fields.assign_coords({COVERED: raw[COVERED]}))
    dataset = fields.transpose("time", "channel", "latitude", "longitude").rename("fields").to_dataset()
    keep = {key: raw.attrs[key] for key in PASSED_ON if key in raw.attrs}
    dataset.attrs = keep | {"units": [CHANNELS[name].units for name in domain.channels]}
    return dataset


def filled(fields: xr.DataArray) -> xr.DataArray:
    """Fields with the value `UNCOVERED_VALUE` at points that the source does not cover, in the frames that it has."""
    channels = [CHANNELS[name] for name in fields["channel"].values]
    least, most = (np.array([getattr(one, side) for one in channels], "float32") for side in ("lowest", "highest"))
    value = xr.DataArray(np.clip(UNCOVERED_VALUE, least, most), dims="channel", coords={"channel": fields["channel"]})
    return fields.where(fields[COVERED] | fields.isnull().all(("latitude", "longitude")), value)


def to_grid(fields: xr.DataArray, target: Grid, method: str, where: str) -> xr.DataArray:
    """Regrid fields (…, latitude, longitude) to a target grid, block by block if they are lazy."""
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
    """Chunks for reading training windows, many in each file; the same in every piece, even a short one."""
    space = dataset["fields"].shape[1:]
    shapes = {"chunks": (settings.chunk_frames, *space), "shards": (file_frames(space, settings), *space)}
    return {"fields": shapes | {"fill_value": MISSING}}


def file_frames(space: tuple[int, ...], settings: Regrid) -> int:
    """Frames in each file: `file_frames`, halved while they exceed `file_mb` and halves are whole chunks."""
    frames, frame = settings.file_frames, 4 * int(np.prod(space))
    while frames * frame > settings.file_mb * 1e6 and frames % (2 * settings.chunk_frames) == 0:
        frames //= 2
    return frames


def template(piece: xr.Dataset, times: np.ndarray) -> xr.Dataset:
    """A store in the layout of a piece for the given times, without values and with no frame available."""
    shape = len(times), *piece["fields"].shape[1:]
    empty = dask.array.full(shape, MISSING, dtype=np.float32, chunks=shape)
    fixed = piece.drop_dims("time").load().assign_coords(time=times)  # the grid, and the points that are covered
    return fixed.assign(fields=(piece["fields"].dims, empty), available=("time", np.zeros(len(times), bool)))


def _concatenate(parts: list[xr.Dataset]) -> xr.Dataset:
    """The parts of a source as one dataset, in order of time."""
    if len(parts) == 1:
        return parts[0]
    joined = xr.concat(
        parts, "time", data_vars="minimal", coords="minimal", compat="override", join="exact", combine_attrs="override"
    )
    return joined.sortby("time")


def _in_parts(parts: list[xr.Dataset], times: np.ndarray) -> np.ndarray:
    """Whether each frame lies within a part; frames between the periods were not downloaded."""
    spans = [(part["time"].values.min(), part["time"].values.max()) for part in parts]
    return np.any([(times >= first) & (times <= last) for first, last in spans], 0)


def _blocks(lazy: xr.Dataset, settings: Regrid, where: str) -> Iterator[xr.Dataset]:
    """Compute and check the frames of one file of the store at a time."""
    watch = Progress("preprocess.regrid", lazy.sizes["time"], "frames")
    frames = file_frames(lazy["fields"].shape[1:], settings)
    for first in range(0, lazy.sizes["time"], frames):
        block = lazy.isel(time=slice(first, first + frames)).load()
        _check_values(block, where)
        if not block["available"].all():  # a masked frame is masked in all channels
            block = block.assign(fields=block["fields"].where(block["available"]))
        yield block
        del block  # so that it is freed before the next one is made
        watch(min(first + frames, lazy.sizes["time"]))


def _share_heap() -> None:
    """Make all threads share one heap: glibc gives each thread its own, and keeps the memory that is freed in it."""
    if set_option := getattr(ctypes.CDLL(None), "mallopt", None):
        set_option(ARENA_MAX, 1)


def _check_values(block: xr.Dataset, where: str) -> None:
    """Check that available frames have no NaN and no unphysical values.

    Raises:
        UserError: naming channel, times and values.
    """
    available, times = block["available"].values, block["time"].values
    for name, field in zip(block["channel"].values, block["fields"].transpose("channel", ...).values):
        channel, holes = CHANNELS[name], np.isnan(field).any((1, 2))
        if (missing := times[holes & available]).size:
            raise UserError(
                f"{where}: channel {name} has NaN in {missing.size} frame(s), the first at "
                f"{missing[0].astype('datetime64[m]')}; correct the source, or name the times in download.missing"
            )
        field = field[available]
        if field.size and not (channel.lowest <= field.min() and field.max() <= channel.highest):
            raise UserError(
                f"{where}: channel {name} reaches from {field.min():g} to {field.max():g} {channel.units}, outside "
                f"its physical range ({channel.lowest:g} to {channel.highest:g}); check its units attribute"
            )
