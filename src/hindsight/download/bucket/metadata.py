"""A Zarr store's metadata, version 2 or 3, consolidated or not."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import cached_property

from hindsight.download.transfer.fetch import Fetch, in_loop
from hindsight.download.transfer.retry import Trouble
from hindsight.download.transfer.storage import Answer, Place
from hindsight.errors import UserError

ROOTS = (".zmetadata", "zarr.json", ".zgroup")
NO_STORES = {  # what else an address may lead to, and what to do about it
    "a zip": "its chunks cannot be fetched by themselves: unpack it, and name the folder",
    "a Kerchunk reference": "it has no chunks of its own, and points into other files: name those files in "
    "download.files (source: local) or download.grib.files (source: grib), or write what you need of it as a Zarr "
    "store (xarray: open_dataset(…, engine='kerchunk').to_zarr(…))",
    "an Icechunk repository": "its chunks have no names of their own: write what you need of it as a Zarr store "
    "(xarray: open_zarr(session.store).to_zarr(…))",
    "a netCDF file": "name it in download.files, with download.source: local",
    "a GRIB file": "name it in download.grib.files, with download.source: grib",
    "an archive of tar or gzip": "unpack it, and name the folder",
}
STARTS = {
    b"PK": "a zip",
    b"\x89HDF": "a netCDF file",
    b"CDF": "a netCDF file",
    b"GRIB": "a GRIB file",
    b"\x1f\x8b": "an archive of tar or gzip",
}
TITLES = ("title", "source", "institution", "references", "license", "licence", "history", "last_updated")


@dataclass(frozen=True)
class Metadata:
    """Documents of a store by their keys; `names` are all its arrays, also those whose documents were not asked for."""

    documents: dict[str, dict]
    names: list[str]

    @cached_property
    def attributes(self) -> dict:
        """The store's own attributes."""
        return self.documents.get(".zattrs") or self.documents.get("zarr.json", {}).get("attributes", {})

    @property
    def titles(self) -> dict:
        """What the store says of itself."""
        return {key: self.attributes[key] for key in TITLES if key in self.attributes}

    def digest(self) -> str:
        """SHA-256 of all that was read."""
        return _digest(self.documents)

    def digest_of(self, names: list[str]) -> str:
        """SHA-256 of what decides how the bytes of some arrays are read; the store's own attributes may change."""
        return _digest({key: value for key, value in self.documents.items() if key.rsplit("/", 1)[0] in names})


def read(place: Place, fetch: Fetch, wanted: list[str]) -> Metadata:
    """Read the metadata of a store.

    Args:
        place: the store.
        fetch: asks for it.
        wanted: arrays whose documents are read one by one, where there is no document of all.

    Raises:
        UserError: if there is no store.
    """
    found = in_loop(_documents(place, fetch, ROOTS))
    if "record_size" in found.get(".zmetadata", {}):  # a reference's lists are tables
        raise _no_store(place, "a Kerchunk reference")
    if ".zmetadata" in found:
        return _consolidated(found[".zmetadata"]["metadata"], (".zarray",))
    if (together := found.get("zarr.json", {}).get("consolidated_metadata")) is not None:
        root = {key: value for key, value in found["zarr.json"].items() if key != "consolidated_metadata"}
        arrays = {f"{name}/zarr.json": document for name, document in together["metadata"].items()}
        return _consolidated({"zarr.json": root} | arrays, ("zarr.json",))
    if not found:
        if what := in_loop(_what(place)):
            raise _no_store(place, what)
        near = in_loop(fetch.patiently(place.neighbours, "a list of its folder"))
        raise UserError(f"there is no Zarr store at {place.url}: {near}; check download.bucket.url")
    return in_loop(_one_by_one(place, fetch, found, wanted))


def _no_store(place: Place, what: str) -> UserError:
    return UserError(f"{place.url} is {what} and no Zarr store that can be read chunk by chunk; {NO_STORES[what]}")


async def _what(place: Place) -> str | None:
    """What there is at the address of a store that is not there, if it is anything known."""
    if {"snapshots", "manifests", "refs"} <= set(await _quietly(place.names()) or ()):
        return "an Icechunk repository"
    head = await _quietly(place.read("", 0, 4096)) or b""
    if head.lstrip().startswith(b"{") and (b'"refs"' in head or b'".zgroup"' in head or b'/.zarray"' in head):
        return "a Kerchunk reference"
    return next((what for start, what in STARTS.items() if head.startswith(start)), None)


async def _quietly(work: Awaitable[Answer]) -> Answer | None:
    """An answer, or none where there is trouble."""
    try:
        return await work
    except (FileNotFoundError, Trouble):
        return None


async def _one_by_one(place: Place, fetch: Fetch, found: dict, wanted: list[str]) -> Metadata:
    """Documents of the arrays that are wanted, and the names of all, if the folder can be listed."""
    listed = [name for name in await fetch.patiently(place.names, "a list of it") if not name.startswith(".")]
    names = [name for name in listed if name != "zarr.json"]
    each = ("zarr.json",) if "zarr.json" in found else (".zarray", ".zattrs")
    asked = [name for name in wanted if name in names] if names else wanted
    arrays = await _documents(place, fetch, [f"{name}/{key}" for name in asked for key in each])
    own = {} if "zarr.json" in found else await _documents(place, fetch, [".zattrs"])
    there = sorted({key.rpartition("/")[0] for key in arrays})
    return Metadata(found | own | arrays, names or there)


def _consolidated(documents: dict, ends: tuple[str, ...]) -> Metadata:
    arrays = [key.rpartition("/")[0] for key, value in documents.items() if key.endswith(ends) and "shape" in value]
    return Metadata(documents, sorted(arrays))


async def _documents(place: Place, fetch: Fetch, keys: list[str] | tuple[str, ...]) -> dict[str, dict]:
    """Those that there are of some documents."""
    allowed = asyncio.Semaphore(fetch.limits.connections)

    async def one(key: str) -> dict | None:
        async def attempt() -> bytes:
            async with allowed:
                return await place.read(key)

        try:
            return json.loads(await fetch.patiently(attempt, key))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise UserError(f"{place.url}/{key} is no JSON ({error}); expected a Zarr store, whole") from None

    found = await asyncio.gather(*(one(key) for key in keys))
    return {key: document for key, document in zip(keys, found) if document is not None}


def _digest(documents: dict) -> str:
    return hashlib.sha256(json.dumps(documents, sort_keys=True).encode()).hexdigest()
