"""Write a Zarr store so that it is there whole or not at all, and open it again.

Rules name a store by its metadata file (`x.zarr/zarr.json`), a plain file for Snakemake. That file is small, and
Snakemake compares small files by content, so it carries a digest of all the data in the store.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import xarray as xr

from hindsight.errors import UserError
from hindsight.partials import partial as own
from hindsight.partials import remove, swap, sweep


def folder(path: Path) -> Path:
    """The folder of a store, which may be named by its metadata file."""
    path = Path(path)
    return path.parent if path.name == "zarr.json" else path


def read(path: Path) -> xr.Dataset:
    """Open a store lazily.

    Raises:
        UserError: if there is no store, or it cannot be read.
    """
    if not there(path := folder(path)):
        raise UserError(f"there is no Zarr store {path}; run snakemake to make it")
    try:
        return xr.open_zarr(path, consolidated=False)
    except Exception as error:
        raise UserError(f"cannot read the Zarr store {path} ({error}); delete it and run snakemake again") from error


def there(path: Path) -> bool:
    """Whether there is a store; one that a killed job had put aside for another is back in its place."""
    path = folder(path)
    if not path.exists():
        sweep(path)
    return (path / "zarr.json").is_file()


def write(dataset: xr.Dataset, path: Path, encoding: dict | None = None) -> None:
    """Write a store beside its place, mark it with its digest, and move it there."""
    path = folder(path)
    partial = begun(path)
    dataset.to_zarr(partial, mode="w", zarr_format=3, consolidated=False, encoding=encoding)
    _mark(partial)
    swap(partial, path)


def write_parts(template: xr.Dataset, parts: Iterable[xr.Dataset], path: Path, encoding: dict | None = None) -> None:
    """Write a store part by part, so that it never has to be in memory whole.

    Args:
        template: the whole store, its large variables lazy; what is not lazy is written from here.
        parts: stretches of time of the lazy variables, aligned with their chunks.
        path: of the store.
        encoding: chunks, shards and the like, by variable.
    """
    path = folder(path)
    partial = begun(path)
    template.to_zarr(partial, mode="w", zarr_format=3, consolidated=False, compute=False, encoding=encoding)
    for part in parts:
        still = [name for name in part.variables if "time" not in part[name].dims]
        part.drop_vars(still).to_zarr(partial, region={"time": "auto"}, zarr_format=3, consolidated=False)
        del part  # or it would be there while the next one is made
    _mark(partial)
    swap(partial, path)


def require_room(path: Path, gigabytes: float) -> None:
    """Refuse to start where too little disk is free.

    Raises:
        UserError: naming what is free and what is asked for.
    """
    parent = folder(path).parent
    parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(parent).free / 1e9
    if free < gigabytes:
        raise UserError(f"only {free:.1f} GB are free in {parent}; download.minimum_free_gb asks for {gigabytes}")


def _mark(path: Path) -> None:
    metadata = json.loads((path / "zarr.json").read_text())
    metadata.setdefault("attributes", {})["digest"] = digest(path)
    (path / "zarr.json").write_text(json.dumps(metadata, indent=1))


def digest(path: Path) -> str:
    """SHA-256 over the names and contents of the files of a store, its root metadata left out."""
    total = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file() and p != path / "zarr.json"):
        total.update(str(file.relative_to(path)).encode())
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def begun(path: Path) -> Path:
    """Where a file or a folder is made before it has its place; what the dead have left of it is gone."""
    sweep(path)
    remove(own(path))
    return own(path)


def replace(path: Path, write_to: Callable[[Path], object]) -> None:
    """Make a single file whole or not at all: write beside its place, then move it there."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = begun(path)
    write_to(partial)
    partial.replace(path)
