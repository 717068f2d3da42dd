"""Write Zarr stores and files atomically, complete or not at all, and open stores.

Rules name a store by its metadata file (`x.zarr/zarr.json`), a plain file for Snakemake. Snakemake compares small files
by content, so the metadata carries a digest of all the data in the store.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import xarray as xr

from hindsight.errors import UserError
from hindsight.partials import partial as partial_path
from hindsight.partials import remove, swap, sweep


def folder(path: Path) -> Path:
    """The folder of a store, given the folder or its metadata file."""
    path = Path(path)
    return path.parent if path.name == "zarr.json" else path


def read(path: Path) -> xr.Dataset:
    """Open a store lazily.

    Raises:
        UserError: if there is no store, or it cannot be read.
    """
    if not exists(path := folder(path)):
        raise UserError(f"there is no Zarr store {path}; run snakemake to make it")
    try:
        return xr.open_zarr(path, consolidated=False)
    except Exception as error:
        raise UserError(f"cannot read the Zarr store {path} ({error}); delete it and run snakemake again") from error


def exists(path: Path) -> bool:
    """Whether there is a store; restores one that a killed job had moved away to replace it."""
    path = folder(path)
    if not path.exists():
        sweep(path)
    return (path / "zarr.json").is_file()


def write(dataset: xr.Dataset, path: Path, encoding: dict | None = None) -> None:
    """Write a store atomically: under a temporary name, with its digest, and then moved to its path."""
    path = folder(path)
    partial = new_partial(path)
    dataset.to_zarr(partial, mode="w", zarr_format=3, consolidated=False, encoding=encoding)
    _add_attributes(partial, {"digest": digest(partial)})
    swap(partial, path)


def write_parts(
    template: xr.Dataset,
    parts: Iterable[xr.Dataset],
    path: Path,
    encoding: dict | None = None,
    attributes: Callable[[], dict] = dict,
) -> None:
    """Write a store part by part, so that it need not all be in memory.

    Args:
        template: the whole store, its large variables lazy; variables that are not lazy are written from here.
        parts: the lazy variables, a range of times in each part, aligned with the chunks.
        path: of the store.
        encoding: chunks, Zarr shards and so on, by variable.
        attributes: returns further attributes of the store, which are known when all parts are written.
    """
    path = folder(path)
    partial = new_partial(path)
    template.to_zarr(partial, mode="w", zarr_format=3, consolidated=False, compute=False, encoding=encoding)
    for part in parts:
        static = [name for name in part.variables if "time" not in part[name].dims]
        part.drop_vars(static).to_zarr(partial, region={"time": "auto"}, zarr_format=3, consolidated=False)
        del part  # so that it is freed before the next one is made
    _add_attributes(partial, attributes() | {"digest": digest(partial)})
    swap(partial, path)


def require_free_space(path: Path, gigabytes: float) -> None:
    """Check that the disk has enough free space.

    Raises:
        UserError: naming the free and the required space.
    """
    parent = folder(path).parent
    parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(parent).free / 1e9
    if free < gigabytes:
        raise UserError(f"only {free:.1f} GB are free in {parent}; download.minimum_free_gb requires {gigabytes}")


def _add_attributes(path: Path, attributes: dict) -> None:
    metadata = json.loads((path / "zarr.json").read_text())
    metadata.setdefault("attributes", {}).update(attributes)
    (path / "zarr.json").write_text(json.dumps(metadata, indent=1))


def digest(path: Path) -> str:
    """SHA-256 over the names and contents of the files of a store, without its root metadata."""
    total = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file() and p != path / "zarr.json"):
        total.update(str(file.relative_to(path)).encode())
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def new_partial(path: Path) -> Path:
    """The temporary name under which a file or folder is written; removes what killed jobs left there."""
    sweep(path)
    remove(partial_path(path))
    return partial_path(path)


def replace(path: Path, write_to: Callable[[Path], object]) -> None:
    """Write a single file atomically: under a temporary name, then moved to its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = new_partial(path)
    write_to(partial)
    partial.replace(path)
