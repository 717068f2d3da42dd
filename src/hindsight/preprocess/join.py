"""Join the pieces into one store by linking their files, so that adding a year rewrites no other."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from hindsight.errors import UserError
from hindsight.fields import intervals, store
from hindsight.fields.grid import Grid
from hindsight.partials import swap
from hindsight.preprocess.regrid import MISSING, template
from hindsight.settings import Domain


def run(domain: Domain, *, pieces: list[Path], fields: Path) -> None:
    """Join the pieces into one store with all times; frames that no piece has are NaN, with `available` false."""
    opened = [(store.folder(path), store.read(path)) for path in pieces]
    times = intervals.time_axis(domain)
    where, partial = store.folder(fields), store.new_partial(store.folder(fields))
    whole = layout([piece for _, piece in opened], times)
    shapes = _shapes(opened[0][0])
    whole.to_zarr(
        partial, zarr_format=3, consolidated=False, compute=False, encoding={"fields": shapes | {"fill_value": MISSING}}
    )
    for path, piece in opened:
        first = int(np.searchsorted(times, piece["time"].values[0]))
        if _shapes(path) != shapes or first % shapes["shards"][0]:
            raise UserError(
                f"{path} has files of other sizes than {opened[0][0]}; delete {path.parent} and run snakemake"
            )
        _link(path, partial, first // shapes["shards"][0])
    _add_digest(partial, [piece.attrs["digest"] for _, piece in opened], times)
    swap(partial, where)


def layout(pieces: list[xr.Dataset], times: np.ndarray) -> xr.Dataset:
    """The joined store without its fields, with the availability of each frame.

    Raises:
        UserError: if the pieces have different channels or points.
    """
    first = pieces[0]
    for piece in pieces[1:]:
        same = all(first[name].equals(piece[name]) for name in ("channel", "latitude", "longitude"))
        if not same or np.any(Grid.of(first).where != Grid.of(piece).where):
            raise UserError(
                "pieces of fields have different channels, points or masked points; delete them and run snakemake again"
            )
    available = xr.concat([piece["available"] for piece in pieces], "time").reindex(time=times, fill_value=False)
    whole = template(first, times).assign(available=("time", available.values.astype(bool)))
    return whole.assign_attrs({key: value for key, value in first.attrs.items() if key != "digest"})


def _shapes(path: Path) -> dict:
    array = zarr.open_group(path, mode="r")["fields"]
    return {"chunks": array.chunks, "shards": array.shards}


def _link(piece: Path, whole: Path, offset: int) -> None:
    """Link a piece's files into the joined store, or copy them where the file system has no links."""
    for file in (piece / "fields/c").rglob("*"):
        if file.is_file():
            number, *rest = file.relative_to(piece / "fields/c").parts
            target = whole.joinpath("fields/c", str(int(number) + offset), *rest)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(file, target)
            except OSError:
                shutil.copyfile(file, target)


def _add_digest(path: Path, digests: list[str], times: np.ndarray) -> None:
    """Write a digest of the pieces' digests into the metadata, which Snakemake compares by content."""
    digest = hashlib.sha256("".join(digests).encode() + times.tobytes()).hexdigest()
    metadata = json.loads((path / "zarr.json").read_text())
    metadata.setdefault("attributes", {})["digest"] = digest
    (path / "zarr.json").write_text(json.dumps(metadata, indent=1))
