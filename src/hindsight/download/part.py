"""Write a part of a source, some of its frames, and the marker that summarises it.

The store's attributes hold the request that it was made for. A job that runs again for the same request finds the store
complete and leaves it alone, so nothing is fetched twice. The marker, a small JSON file beside the store, is written
last.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.fields import axes, scan, store
from hindsight.fields.findings import VECTOR, box
from hindsight.fields.scan import Summary
from hindsight.settings.lexicon import CHANNELS

SCAN_NAME = "scan.npz"  # in the folder of a variable, where readers of Zarr ignore it
SPACE = ("latitude", "longitude")
COMPONENTS = {
    name
    for channel in CHANNELS.values()
    if channel.standard_name in VECTOR
    for name in (*channel.names("bucket"), *channel.names("grib"))
}
FRAMES, BYTES = 64, 2**25  # most frames, and bytes, that are written or inspected at once


def reuse(raw: Path, marker: Path, request: dict) -> bool:
    """Write the marker anew if the part is complete and was made for the same request; return whether it was.

    Args:
        raw: the store.
        marker: beside it.
        request: all that the bytes depend on: source and its identity, channels, region, frames.
    """
    if not store.exists(raw):
        return False
    dataset = store.read(raw)
    if dataset.attrs.get("request") != _as_json(request):
        return False
    _mark(raw, marker)
    return True


def write(dataset: xr.Dataset, raw: Path, marker: Path, request: dict, source: dict) -> None:
    """Write a part, inspect it, and write its marker.

    Args:
        dataset: the source's names and units; its times are the requested frames, NaN where the source lacks one.
        raw: the store.
        marker: beside it.
        request: see `reuse`.
        source: information about the source: its identity, digest of its metadata, missing chunks, preliminary times
            (`preliminary`).
    """
    attrs = _attributes(dataset, request, source)
    for variable in dataset.variables.values():
        variable.encoding = {}
    frames = min(map(_frames_in_chunk, dataset.data_vars.values()), default=1)
    chunks = {name: -1 for name in dataset.dims} | {"time": frames}
    chunks |= {"level": 1} if "level" in dataset.dims else {}  # levels are read one by one
    store.write(dataset.assign_attrs(attrs).chunk(chunks), raw)
    _mark(raw, marker)


def write_blocks(
    template: xr.Dataset,
    blocks: Iterable[xr.Dataset],
    raw: Path,
    marker: Path,
    request: dict,
    source: Callable[[], dict],
) -> None:
    """Write a part block by block, so that memory holds one block; inspect it, and write its marker.

    Args:
        template: the part, its variables lazy, with chunks of `chunk_frames` frames.
        blocks: consecutive frames of single variables, of complete chunks.
        raw: the store.
        marker: beside it.
        request: see `reuse`.
        source: returns, when all blocks are written, what `write` is given.
    """
    asked = template.assign_attrs(template.attrs | {"request": _as_json(request)})
    store.write_parts(asked, blocks, raw, attributes=lambda: {"source": _as_json(source())})
    _mark(raw, marker)


def chunk_frames(shape: tuple[int, ...]) -> int:
    """The number of frames in a chunk, for frames of a shape."""
    return max(1, min(FRAMES, BYTES // (4 * int(np.prod(shape)))))


def inspect(dataset: xr.Dataset) -> tuple[dict, dict[str, Summary]]:
    """Summarise a part or a whole source: its times, and the units, range and missing values of every variable.

    Returns:
        `first`, `last`, `frames`, `steps_hours` (each that occurs), `variables`: {name: `units`, `lowest`, `highest`,
            `nan` (values), `holes` (times of frames with NaN), `fixed` (points that are NaN in all frames: their number
            `points`, the number `of` all points, `where`, `digest`, and the `holes` of other points)}; and the scan of
            each variable.
    """
    times = dataset["time"].values
    found = {str(n): _summarise(str(n), v) for n, v in dataset.data_vars.items() if "time" in v.dims}
    steps = np.unique(np.diff(times)) / np.timedelta64(1, "h")
    return {
        "first": str(times[0].astype("datetime64[s]")),
        "last": str(times[-1].astype("datetime64[s]")),
        "frames": len(times),
        "steps_hours": [float(step) for step in steps],
        "variables": {name: about for name, (about, _) in found.items()},
    }, {name: seen for name, (_, seen) in found.items()}


def as_fields(variable: xr.DataArray) -> tuple[np.ndarray, list[str], tuple[np.ndarray, np.ndarray]]:
    """The fields of a variable in the layout of a scan.

    Returns:
        (T, L, H, W); the name of each of L; latitude (H,) and longitude (W,), of one point where there is no axis.
    """
    space = [next((dim for dim in axes.DIMENSIONS[role] if dim in variable.dims), None) for role in SPACE]
    others = [dim for dim in variable.dims if dim != "time" and dim not in space]
    values = variable.transpose("time", *others, *(dim for dim in space if dim)).values
    sizes = [variable.sizes[dim] if dim else 1 for dim in space]
    named = others == ["level"]
    levels = [f"{level:g} hPa" for level in variable["level"].values] if named and "level" in variable.coords else None
    values = values.reshape(len(values), -1, *sizes)
    grid = tuple(variable[dim].values.astype(float) if dim in variable.coords else np.zeros(1) for dim in space)
    return values, levels or [""] * values.shape[1], grid


def is_vector_component(name: str, variable: xr.DataArray) -> bool:
    """Whether a variable is a component of a vector on the sphere."""
    return variable.attrs.get("standard_name") in VECTOR or name in COMPONENTS


def _frames_in_chunk(variable: xr.DataArray) -> int:
    """The number of frames in a chunk of one level."""
    return chunk_frames(tuple(size for name, size in variable.sizes.items() if name not in ("time", "level")))


def _attributes(dataset: xr.Dataset, request: dict, source: dict) -> dict:
    """A part's attributes, with its request and the information about its source."""
    return dataset.attrs | {"request": _as_json(request), "source": _as_json(source)}


def _summarise(name: str, variable: xr.DataArray) -> tuple[dict, Summary]:
    times, lowest, highest = variable["time"].values, np.inf, -np.inf
    frames, seen, holes, always_nan = _frames_in_chunk(variable), [], [], np.ones((), bool)
    for first in range(0, len(times), frames):
        values, _, grid = as_fields(variable.isel(time=slice(first, first + frames)))
        when, latitude = times[first : first + frames], grid[0] if is_vector_component(name, variable) else None
        seen.append(scan.summarise(values, when, latitude, float(np.ptp(grid[1]))))
        low, high = values.min(), values.max()
        if np.isnan(low):
            nan = np.isnan(values)
            always_nan = always_nan & nan.all(0)
            missing = nan.reshape(len(values), -1).sum(1)
            holes += [(_to_second(t), int(n)) for t, n in zip(when[missing > 0], missing[missing > 0])]
            valid = values[~nan]
            low, high = valid.min(initial=np.inf), valid.max(initial=-np.inf)
        else:
            always_nan = np.zeros((), bool)
        lowest, highest = min(lowest, float(low)), max(highest, float(high))
    extremes = {"lowest": lowest, "highest": highest} if np.isfinite(lowest) else {"lowest": None, "highest": None}
    found = {
        "nan": sum(n for _, n in holes),
        "holes": [time for time, _ in holes],
        "fixed": _fixed(always_nan, holes, grid),
    }
    return {"units": variable.attrs.get("units", ""), **extremes, **found}, scan.concatenate(seen)


def _fixed(always_nan: np.ndarray, holes: list[tuple[str, int]], grid: tuple[np.ndarray, np.ndarray]) -> dict | None:
    """Points (L, H, W) that are NaN in all frames; None if there are none, or if all points are."""
    if not always_nan.any() or always_nan.all():
        return None
    points = int(always_nan.sum())
    digest = hashlib.sha256(np.packbits(always_nan).tobytes()).hexdigest()
    more = [time for time, missing in holes if missing > points]
    where = box(always_nan.any(0), grid)
    return {"points": points, "of": always_nan.size, "where": where, "digest": digest, "holes": more}


def _to_second(time: np.datetime64) -> str:
    return str(time.astype("datetime64[s]"))


def scan_file(raw: Path, name: str) -> Path:
    """The file in which a part keeps the scan of a variable."""
    return store.folder(raw) / name / SCAN_NAME


def _mark(raw: Path, marker: Path) -> None:
    dataset = xr.open_zarr(store.folder(raw), consolidated=False, chunks=None)  # without Dask: block by block
    about = {key: json.loads(dataset.attrs[key]) for key in ("request", "source")}
    summary, seen = inspect(dataset)
    for name, one in seen.items():
        store.replace(scan_file(raw, name), one.write)
    found = about | {"digest": dataset.attrs["digest"]} | summary
    store.replace(marker, lambda partial: partial.write_text(_as_json(found)))


def _as_json(found: dict) -> str:
    return json.dumps(found, indent=1, sort_keys=True)
