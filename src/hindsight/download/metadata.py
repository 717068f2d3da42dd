"""A Zarr store's metadata, version 2 or 3, consolidated or not."""

import asyncio
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from hindsight.download.fetch import Fetch, in_loop
from hindsight.download.storage import Place
from hindsight.errors import UserError

ROOTS = (".zmetadata", "zarr.json", ".zgroup")
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
    if ".zmetadata" in found:
        return _consolidated(found[".zmetadata"]["metadata"], (".zarray",))
    if (together := found.get("zarr.json", {}).get("consolidated_metadata")) is not None:
        root = {key: value for key, value in found["zarr.json"].items() if key != "consolidated_metadata"}
        arrays = {f"{name}/zarr.json": document for name, document in together["metadata"].items()}
        return _consolidated({"zarr.json": root} | arrays, ("zarr.json",))
    if not found:
        near = in_loop(fetch.patiently(place.neighbours, "a list of its folder"))
        raise UserError(f"there is no Zarr store at {place.url}: {near}; check download.bucket.url")
    return in_loop(_one_by_one(place, fetch, found, wanted))


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
