"""A part of a source: some frames, whole or not at all, and what was found when they were looked at.

The store says in its attributes what was asked for when it was made. A job that is run again for the same finds it
whole and leaves it alone, so nothing is fetched twice. Beside it lies its marker, a small JSON file, written last.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.fields import axes, scan, store
from hindsight.fields.findings import VECTOR, box
from hindsight.fields.scan import Summary
from hindsight.settings.lexicon import CHANNELS

SCAN = "scan.npz"  # beside the chunks of a variable: readers of Zarr do not look there
SPACE = ("latitude", "longitude")
COMPONENTS = {
    name
    for channel in CHANNELS.values()
    if channel.standard_name in VECTOR
    for name in (*channel.names("bucket"), *channel.names("grib"))
}
FRAMES, BYTES = 64, 2**25  # written, and looked at, at once: so many frames, and no more than so many bytes


def kept(raw: Path, marker: Path, request: dict) -> bool:
    """Whether a part is there, whole, and made for the same request; its marker is then written anew.

    Args:
        raw: the store.
        marker: beside it.
        request: everything that the bytes depend on: source and its identity, channels, region, frames.
    """
    if not store.exists(raw):
        return False
    dataset = store.read(raw)
    if dataset.attrs.get("request") != _text(request):
        return False
    _mark(raw, marker)
    return True


def write(dataset: xr.Dataset, raw: Path, marker: Path, request: dict, source: dict) -> None:
    """Write a part, look at what has been written, and mark it.

    Args:
        dataset: the source's names and units; its times are the frames asked for, NaN where the source lacks one.
        raw: the store.
        marker: beside it.
        request: see `kept`.
        source: what is known of the source and its state: what it is, digest of its metadata, chunks it lacks,
            times that are preliminary (`provisional`).
    """
    attrs = _told(dataset, request, source)
    for variable in dataset.variables.values():
        variable.encoding = {}
    rows = {name: -1 for name in dataset.dims} | {"time": min(map(_rows, dataset.data_vars.values()), default=1)}
    rows |= {"level": 1} if "level" in dataset.dims else {}  # they are read one by one
    store.write(dataset.assign_attrs(attrs).chunk(rows), raw)
    _mark(raw, marker)


def write_blocks(
    template: xr.Dataset, blocks: Iterable[xr.Dataset], raw: Path, marker: Path, request: dict, source: dict
) -> None:
    """Write a part block by block, so that memory holds one of them; look at what has been written, and mark it.

    Args:
        template: the part, its variables lazy, with chunks of `rows` frames.
        blocks: stretches of time of single variables, of whole chunks.
        raw: the store.
        marker: beside it.
        request: see `kept`.
        source: see `write`.
    """
    store.write_parts(template.assign_attrs(_told(template, request, source)), blocks, raw)
    _mark(raw, marker)


def rows(shape: tuple[int, ...]) -> int:
    """Frames, of so many points, that are a chunk."""
    return max(1, min(FRAMES, BYTES // (4 * int(np.prod(shape)))))


def inspect(dataset: xr.Dataset) -> tuple[dict, dict[str, Summary]]:
    """What a part or a whole source holds: its time axis, and of every variable the units, range and holes.

    Returns:
        `first`, `last`, `frames`, `steps_hours` (each that occurs), `variables`: {name: `units`, `lowest`, `highest`,
        `nan` (values), `holes` (times of frames with any), `fixed` (of points that are NaN in all frames: `points`,
        `of` how many, `where`, `digest` of which, and the `holes` of other points)}; and what a scan has seen of each.
    """
    times = dataset["time"].values
    found = {str(n): _looked_at(str(n), v) for n, v in dataset.data_vars.items() if "time" in v.dims}
    steps = np.unique(np.diff(times)) / np.timedelta64(1, "h")
    return {
        "first": str(times[0].astype("datetime64[s]")),
        "last": str(times[-1].astype("datetime64[s]")),
        "frames": len(times),
        "steps_hours": [float(step) for step in steps],
        "variables": {name: about for name, (about, _) in found.items()},
    }, {name: seen for name, (_, seen) in found.items()}


def arranged(variable: xr.DataArray) -> tuple[np.ndarray, list[str], tuple[np.ndarray, np.ndarray]]:
    """Fields of a variable as a scan wants them.

    Returns:
        (T, L, H, W); what to call each of L; latitude (H,) and longitude (W,), of one point where there is no axis.
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


def turns(name: str, variable: xr.DataArray) -> bool:
    """Whether a variable is a component of a vector on the sphere."""
    return variable.attrs.get("standard_name") in VECTOR or name in COMPONENTS


def _rows(variable: xr.DataArray) -> int:
    """Frames of one level that are a chunk."""
    return rows(tuple(size for name, size in variable.sizes.items() if name not in ("time", "level")))


def _told(dataset: xr.Dataset, request: dict, source: dict) -> dict:
    """A part's attributes, with what was asked for and what is known of its source."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return dataset.attrs | {"request": _text(request), "source": _text(source | {"accessed": now})}


def _looked_at(name: str, variable: xr.DataArray) -> tuple[dict, Summary]:
    times, lowest, highest = variable["time"].values, np.inf, -np.inf
    rows, seen, holes, always = _rows(variable), [], [], np.ones((), bool)
    for first in range(0, len(times), rows):
        values, _, grid = arranged(variable.isel(time=slice(first, first + rows)))
        part, latitude = times[first : first + rows], grid[0] if turns(name, variable) else None
        seen.append(scan.summarise(values, part, latitude, float(np.ptp(grid[1]))))
        low, high = values.min(), values.max()
        if np.isnan(low):
            nowhere = np.isnan(values)
            always = always & nowhere.all(0)
            missing = nowhere.reshape(len(values), -1).sum(1)
            holes += [(_second(t), int(n)) for t, n in zip(part[missing > 0], missing[missing > 0])]
            known = values[~nowhere]
            low, high = known.min(initial=np.inf), known.max(initial=-np.inf)
        else:
            always = np.zeros((), bool)
        lowest, highest = min(lowest, float(low)), max(highest, float(high))
    known = {"lowest": lowest, "highest": highest} if np.isfinite(lowest) else {"lowest": None, "highest": None}
    found = {
        "nan": sum(n for _, n in holes),
        "holes": [time for time, _ in holes],
        "fixed": _fixed(always, holes, grid),
    }
    return {"units": variable.attrs.get("units", ""), **known, **found}, scan.concatenate(seen)


def _fixed(always: np.ndarray, holes: list[tuple[str, int]], grid: tuple[np.ndarray, np.ndarray]) -> dict | None:
    """What to say of points (L, H, W) that are NaN in all frames, if there are any, but not all of them."""
    if not always.any() or always.all():
        return None
    points = int(always.sum())
    digest = hashlib.sha256(np.packbits(always).tobytes()).hexdigest()
    more = [time for time, missing in holes if missing > points]
    where = box(always.any(0), grid)
    return {"points": points, "of": always.size, "where": where, "digest": digest, "holes": more}


def _second(time: np.datetime64) -> str:
    return str(time.astype("datetime64[s]"))


def scanned(raw: Path, name: str) -> Path:
    """Where a part keeps what a scan has seen of a variable."""
    return store.folder(raw) / name / SCAN


def _mark(raw: Path, marker: Path) -> None:
    dataset = xr.open_zarr(store.folder(raw), consolidated=False, chunks=None)  # one block after the other: no Dask
    about = {key: json.loads(dataset.attrs[key]) for key in ("request", "source")}
    holds, seen = inspect(dataset)
    for name, one in seen.items():
        store.replace(scanned(raw, name), one.write)
    found = about | {"digest": dataset.attrs["digest"]} | holds
    store.replace(marker, lambda partial: partial.write_text(_text(found)))


def _text(found: dict) -> str:
    return json.dumps(found, indent=1, sort_keys=True)
