"""A part of a source: some frames, whole or not at all, and what was found when they were looked at.

The store says in its attributes what was asked for when it was made. A job that is run again for the same finds it
whole and leaves it alone, so nothing is fetched twice. Beside it lies its marker, a small JSON file, written last.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.fields import store

FRAMES, BYTES = 64, 2**25  # written, and looked at, at once: so many frames, and no more than so many bytes


def kept(raw: Path, marker: Path, request: dict) -> bool:
    """Whether a part is there, whole, and made for the same request; its marker is then written anew.

    Args:
        raw: the store.
        marker: beside it.
        request: everything that the bytes depend on: source and its identity, channels, region, frames.
    """
    if not store.there(raw):
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
    now = datetime.now(UTC).isoformat(timespec="seconds")
    attrs = dataset.attrs | {"request": _text(request), "source": _text(source | {"accessed": now})}
    for variable in dataset.variables.values():
        variable.encoding = {}
    rows = {name: -1 for name in dataset.dims} | {"time": min(map(_rows, dataset.data_vars.values()), default=1)}
    rows |= {"level": 1} if "level" in dataset.dims else {}  # they are read one by one
    store.write(dataset.assign_attrs(attrs).chunk(rows), raw)
    _mark(raw, marker)


def inspect(dataset: xr.Dataset) -> dict:
    """What a part or a whole source holds: its time axis, and of every variable the units, range and holes.

    Returns:
        `first`, `last`, `frames`, `steps_hours` (each that occurs), `variables`: {name: `units`, `lowest`, `highest`,
        `nan` (values), `holes` (times of frames with any)}.
    """
    times = dataset["time"].values
    steps = np.unique(np.diff(times)) / np.timedelta64(1, "h")
    return {
        "first": str(times[0].astype("datetime64[s]")),
        "last": str(times[-1].astype("datetime64[s]")),
        "frames": len(times),
        "steps_hours": [float(step) for step in steps],
        "variables": {str(n): _looked_at(v) for n, v in dataset.data_vars.items() if "time" in v.dims},
    }


def _rows(variable: xr.DataArray) -> int:
    """Frames of one level that are a chunk."""
    frame = 4 * int(np.prod([size for name, size in variable.sizes.items() if name not in ("time", "level")]))
    return max(1, min(FRAMES, BYTES // frame))


def _looked_at(variable: xr.DataArray) -> dict:
    times, holes, lowest, highest, count = variable["time"].values, [], np.inf, -np.inf, 0
    rows = _rows(variable)
    for first in range(0, len(times), rows):
        values = variable.isel(time=slice(first, first + rows)).transpose("time", ...).values
        low, high = values.min(), values.max()
        if np.isnan(low):
            missing = np.isnan(values).reshape(len(values), -1).sum(1)
            count += int(missing.sum())
            holes += [str(t.astype("datetime64[s]")) for t in times[first : first + rows][missing > 0]]
            known = values[~np.isnan(values)]
            low, high = known.min(initial=np.inf), known.max(initial=-np.inf)
        lowest, highest = min(lowest, float(low)), max(highest, float(high))
    known = {"lowest": lowest, "highest": highest} if np.isfinite(lowest) else {"lowest": None, "highest": None}
    return {"units": variable.attrs.get("units", ""), **known, "nan": count, "holes": holes}


def _mark(raw: Path, marker: Path) -> None:
    dataset = xr.open_zarr(store.folder(raw), consolidated=False, chunks=None)  # one block after the other: no Dask
    about = {key: json.loads(dataset.attrs[key]) for key in ("request", "source")}
    found = about | {"digest": dataset.attrs["digest"]} | inspect(dataset)
    store.replace(marker, lambda partial: partial.write_text(_text(found)))


def _text(found: dict) -> str:
    return json.dumps(found, indent=1, sort_keys=True)
