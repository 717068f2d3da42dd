"""Read the metadata of a Zarr store, version 2 or 3, consolidated or not."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import cached_property

from hindsight.download.transfer.fetch import Fetcher, run_async
from hindsight.errors import UserError
from hindsight.storage import Answer, Storage
from hindsight.transfer_errors import TransferError

ROOTS = (".zmetadata", "zarr.json", ".zgroup")
NOT_STORES = {  # other things at the URL of a store, and the remedy
    "a zip": "its chunks cannot be fetched by themselves: unpack it, and name the folder",
    "a Kerchunk reference": "it has no chunks of its own, and points into other files: name those files in "
    "download.files (source: local) or download.grib.files (source: grib), or write what you need of it as a Zarr "
    "store (xarray: open_dataset(…, engine='kerchunk').to_zarr(…))",
    "an Icechunk repository": "its chunks have no names of their own: write what you need of it as a Zarr store "
    "(xarray: open_zarr(session.store).to_zarr(…))",
    "a netCDF file": "name it in download.files, with download.source: local",
    "a GRIB file": "name it in download.grib.files, with download.source: grib",
    "a gzip archive": "unpack it, and name the folder",
}
FIRST_BYTES = {
    b"PK": "a zip",
    b"\x89HDF": "a netCDF file",
    b"CDF": "a netCDF file",
    b"GRIB": "a GRIB file",
    b"\x1f\x8b": "a gzip archive",
}
DESCRIPTIVE = ("title", "source", "institution", "references", "license", "licence", "history", "last_updated")


@dataclass(frozen=True)
class Metadata:
    """A store's metadata documents by their keys; `names` are all its arrays, including those that were not read."""

    documents: dict[str, dict]
    names: list[str]

    @cached_property
    def attributes(self) -> dict:
        """The store's own attributes."""
        return self.documents.get(".zattrs") or self.documents.get("zarr.json", {}).get("attributes", {})

    @property
    def description(self) -> dict:
        """Attributes that describe the store: title, institution, licence and the like."""
        return {key: self.attributes[key] for key in DESCRIPTIVE if key in self.attributes}

    def digest(self) -> str:
        """SHA-256 of all documents that were read."""
        return _digest(self.documents)

    def digest_of(self, names: list[str]) -> str:
        """SHA-256 of some arrays' documents, which determine how bytes are read; the store's attributes may change."""
        return _digest({key: value for key, value in self.documents.items() if key.rsplit("/", 1)[0] in names})


def read(storage: Storage, fetcher: Fetcher, requested: list[str]) -> Metadata:
    """Read the metadata of a store.

    Args:
        storage: the folder of the store.
        fetcher: repeats requests that fail.
        requested: arrays whose documents are read one by one if the metadata is not consolidated.

    Raises:
        UserError: if there is no store.
    """
    found = run_async(_documents(storage, fetcher, ROOTS))
    if "record_size" in found.get(".zmetadata", {}):  # a Kerchunk reference in Parquet
        raise _not_a_store(storage, "a Kerchunk reference")
    if ".zmetadata" in found:
        return _consolidated(found[".zmetadata"]["metadata"], (".zarray",))
    if (consolidated := found.get("zarr.json", {}).get("consolidated_metadata")) is not None:
        root = {key: value for key, value in found["zarr.json"].items() if key != "consolidated_metadata"}
        arrays = {f"{name}/zarr.json": document for name, document in consolidated["metadata"].items()}
        return _consolidated({"zarr.json": root} | arrays, ("zarr.json",))
    if not found:
        if kind := run_async(_kind_of(storage)):
            raise _not_a_store(storage, kind)
        near = run_async(fetcher.retry(storage.nearest_names, "a list of its folder"))
        raise UserError(f"there is no Zarr store at {storage.url}: {near}; check download.bucket.url")
    return run_async(_one_by_one(storage, fetcher, found, requested))


def _not_a_store(storage: Storage, kind: str) -> UserError:
    return UserError(
        f"{storage.url} is {kind}, not a Zarr store whose chunks can be read one by one; {NOT_STORES[kind]}"
    )


async def _kind_of(storage: Storage) -> str | None:
    """The kind of thing at the URL, which is no Zarr store; None if it is not in `NOT_STORES`."""
    if {"snapshots", "manifests", "refs"} <= set(await _or_none(storage.list_names()) or ()):
        return "an Icechunk repository"
    head = await _or_none(storage.read("", 0, 4096)) or b""
    if head.lstrip().startswith(b"{") and (b'"refs"' in head or b'".zgroup"' in head or b'/.zarray"' in head):
        return "a Kerchunk reference"
    return next((kind for start, kind in FIRST_BYTES.items() if head.startswith(start)), None)


async def _or_none(work: Awaitable[Answer]) -> Answer | None:
    """The result of a request, or None if it fails."""
    try:
        return await work
    except (FileNotFoundError, TransferError):
        return None


async def _one_by_one(storage: Storage, fetcher: Fetcher, found: dict, requested: list[str]) -> Metadata:
    """The documents of the arrays that are needed, and the names of all arrays if the folder can be listed."""
    listed = [
        name for name in await fetcher.retry(storage.list_names, "a list of its folder") if not name.startswith(".")
    ]
    names = [name for name in listed if name != "zarr.json"]
    each = ("zarr.json",) if "zarr.json" in found else (".zarray", ".zattrs")
    needed = [name for name in requested if name in names] if names else requested
    arrays = await _documents(storage, fetcher, [f"{name}/{key}" for name in needed for key in each])
    root = {} if "zarr.json" in found else await _documents(storage, fetcher, [".zattrs"])
    found_names = sorted({key.rpartition("/")[0] for key in arrays})
    return Metadata(found | root | arrays, names or found_names)


def _consolidated(documents: dict, ends: tuple[str, ...]) -> Metadata:
    arrays = [key.rpartition("/")[0] for key, value in documents.items() if key.endswith(ends) and "shape" in value]
    return Metadata(documents, sorted(arrays))


async def _documents(storage: Storage, fetcher: Fetcher, keys: list[str] | tuple[str, ...]) -> dict[str, dict]:
    """The documents that exist, by their keys."""
    allowed = asyncio.Semaphore(fetcher.limits.connections)

    async def one(key: str) -> dict | None:
        async def attempt() -> bytes:
            async with allowed:
                return await storage.read(key)

        try:
            return json.loads(await fetcher.retry(attempt, key))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise UserError(f"{storage.url}/{key} is not JSON ({error}); expected a complete Zarr store") from None

    found = await asyncio.gather(*(one(key) for key in keys))
    return {key: document for key, document in zip(keys, found) if document is not None}


def _digest(documents: dict) -> str:
    return hashlib.sha256(json.dumps(documents, sort_keys=True).encode()).hexdigest()
