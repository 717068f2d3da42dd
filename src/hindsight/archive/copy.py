"""Copy the archive to another place that fsspec knows: a bucket, another disk.

Objects of a shard go first, then its marker, which says at the other place what has arrived; the store's metadata
follow when all objects are there, and `check.json` is last. So nothing half-copied looks whole, and a copy that was
killed goes on where it was. An object that is there with the same checksum is not sent again.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import fsspec
from fsspec import AbstractFileSystem

from hindsight.archive import objects, recipe
from hindsight.errors import UserError
from hindsight.progress import Progress
from hindsight.settings import Archive, credentials
from hindsight.settings.archive import Copy

STORE = "reanalysis.zarr"


def run(
    settings: Archive, *, layout: Path, markers: list[Path], beside: list[Path], archive: Path, marker: Path
) -> None:
    """Copy the archive to another place, what is not there yet, metadata last."""
    told = json.loads(layout.read_text())
    place = Place.of(settings.copy_to)
    place.require(told)
    watch, sent = Progress("archive.copy", len(markers)), 0
    for done, path in enumerate(markers):
        sent += _send_shard(place, path, archive)
        watch(done + 1, f"{sent} objects sent")
    names = {name: (archive / name, checksum) for name, checksum in told["objects"].items()}
    sent += place.send({f"{STORE}/{name}": found for name, found in names.items()}, known={})
    for path in [layout, *sorted(beside, key=lambda path: path.name == "check.json")]:
        sent += place.send({path.name: (path, objects.sha256(path))}, known={})
    place.verify()
    objects.put_json(marker, {"url": place.url, "recipe": told["recipe"], "files": len(place.expected)})
    print(f"{place.url}: {sent} of {len(place.expected)} files sent, the others were there", flush=True)


def _send_shard(place: "Place", path: Path, archive: Path) -> int:
    """Send the objects of a shard, then its marker; how many files went."""
    there, name = json.loads(path.read_text())["objects"], f"shards/{path.name}"
    known = {f"{STORE}/{key}": checksum for key, checksum in place.marker(name).items()}
    sent = place.send({f"{STORE}/{key}": (archive / key, checksum) for key, checksum in there.items()}, known)
    return sent + place.send({name: (path, objects.sha256(path))}, known={})


@dataclass
class Place:
    """The other place: what is there, and what is expected to be."""

    url: str
    system: AbstractFileSystem
    root: str
    listed: dict[str, dict]
    expected: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, copy: Copy) -> "Place":
        """The place that settings name, and a listing of it."""
        given = credentials.usable(copy.options, "archive.copy_to.options")
        with _told(copy.url):
            options = {"auto_mkdir": True} if "://" not in copy.url or copy.url.startswith("file") else {}
            system, root = fsspec.core.url_to_fs(copy.url, **options, **given)
            place = cls(copy.url, system, root.rstrip("/"), {})
        return place.list()

    def list(self) -> "Place":
        """Look at what is there."""
        with _told(self.url):
            self.system.invalidate_cache()
            try:
                found = self.system.find(self.root, detail=True)
            except FileNotFoundError:
                found = {}
            cut = len(self.root) + 1
            self.listed = {name[cut:]: info for name, info in found.items()}
        return self

    def read(self, name: str) -> bytes | None:
        """A file of the place; nothing if it is not there."""
        if name not in self.listed:
            return None
        with _told(self.url):
            return self.system.cat_file(f"{self.root}/{name}")

    def marker(self, name: str) -> dict[str, str]:
        """The checksums of the objects that a marker of the place says are there."""
        try:
            return json.loads(self.read(name) or "{}").get("objects", {})
        except ValueError:
            return {}

    def require(self, told: dict) -> None:
        """Refuse a place where an archive of another recipe lies, or a longer one.

        Raises:
            UserError: with every difference.
        """
        found = self.read(f"{STORE}/zarr.json")
        if found is None:
            return
        try:
            there = json.loads(json.loads(found)["attributes"]["recipe"])
        except (ValueError, KeyError):
            raise UserError(
                f"{self.url}/{STORE} is no archive of hindsight's; set archive.copy_to.url to another"
            ) from None
        if lines := recipe.differences(there, told):
            listed = "\n  ".join(lines)
            raise UserError(
                f"the archive at {self.url} was made with another recipe, and two are never mixed:\n  {listed}\n"
                "set archive.copy_to.url to another folder, or empty this one"
            )

    def send(self, files: dict[str, tuple[Path, str]], known: dict[str, str]) -> int:
        """Send the files that are not there with the same checksum; how many these were.

        Args:
            files: local path and checksum of each, by its name at the place.
            known: checksums that the place knows of what it has.
        """
        wanted = {}
        for name, (path, checksum) in files.items():
            self.expected[name] = path.stat().st_size
            if self._has(name, path, checksum, known):
                continue
            content = path.read_bytes()
            if objects.sha256_of(content) != checksum:
                raise UserError(f"{path} is damaged, and was not copied; run snakemake --forcerun check")
            wanted[f"{self.root}/{name}"] = content
        with _told(self.url):
            for name, content in wanted.items():
                self.system.pipe_file(name, content)
        return len(wanted)

    def _has(self, name: str, path: Path, checksum: str, known: dict[str, str]) -> bool:
        """Whether a file is there already: by the place's own checksum, or by its marker and size."""
        info = self.listed.get(name)
        if info is None or int(info["size"]) != path.stat().st_size:
            return False
        if theirs := info.get("md5Hash"):  # Google's, base64
            return base64.b64decode(theirs) == hashlib.md5(path.read_bytes()).digest()
        return known.get(name) == checksum

    def verify(self) -> None:
        """Look whether everything has arrived.

        Raises:
            UserError: naming what has not.
        """
        self.list()
        lost = [
            name for name, size in self.expected.items() if int(self.listed.get(name, {"size": -1})["size"]) != size
        ]
        if lost:
            raise UserError(f"{self.url} lacks {', '.join(lost[:10])} ({len(lost)} files); run snakemake again")


@contextmanager
def _told(url: str | None) -> Iterator[None]:
    """Say in a sentence what a place does not do: every file system has errors of its own."""
    try:
        yield
    except Exception as error:
        says = " ".join(str(error).split())
        raise UserError(
            f"cannot copy the archive to {url} ({type(error).__name__}: {says}); look at archive.copy_to, and run "
            "snakemake again: what has arrived is kept"
        ) from None
