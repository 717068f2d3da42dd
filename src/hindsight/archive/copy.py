"""Copy the archive to another destination that fsspec can write: a bucket, another disk.

The objects of a shard are sent first, then its marker, which records at the destination what has arrived. The store's
metadata follow after all objects, and `check.json` comes last. So an incomplete copy never looks complete, and a copy
that was killed continues where it stopped. Objects that have the right checksum already are not sent again;
metadata, markers, tables and documents are, unless the destination lists MD5 checksums (Google Cloud Storage).
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
from hindsight.archive.observations import files_of
from hindsight.errors import UserError
from hindsight.progress import Progress
from hindsight.settings import Archive, credentials
from hindsight.settings.archive import Copy

STORE = "reanalysis.zarr"


def run(
    settings: Archive,
    *,
    layout: Path,
    markers: list[Path],
    tables: list[Path],
    documents: list[Path],
    archive: Path,
    marker: Path,
) -> None:
    """Copy the archive to another destination: objects that are missing there, metadata last."""
    layout_json = json.loads(layout.read_text())
    destination = Destination.open(settings.copy_to)
    destination.check_recipe(layout_json)
    watch, sent = Progress("archive.copy", len(markers), "shards"), 0
    for done, path in enumerate(markers):
        sent += _send_shard(destination, path, archive)
        watch(done + 1, f"{sent} objects sent")
    metadata = {f"{STORE}/{key}": (archive / key, checksum) for key, checksum in layout_json["objects"].items()}
    sent += destination.send(metadata, existing={})
    for path in tables:
        sent += destination.send(files_of(path), existing={})
    for path in [layout, *tables, *sorted(documents, key=lambda path: path.name == "check.json")]:
        sent += destination.send({path.name: (path, objects.sha256(path))}, existing={})
    destination.verify()
    objects.put_json(
        marker, {"url": destination.url, "recipe": layout_json["recipe"], "files": len(destination.expected)}
    )
    print(
        f"{destination.url}: {sent} of {len(destination.expected)} files sent, the other objects were up to date",
        flush=True,
    )


def _send_shard(destination: "Destination", path: Path, archive: Path) -> int:
    """Send the objects of a shard, then its marker; returns the number of files sent."""
    checksums, name = json.loads(path.read_text())["objects"], f"shards/{path.name}"
    existing = {f"{STORE}/{key}": checksum for key, checksum in destination.marker(name).items()}
    files = {f"{STORE}/{key}": (archive / key, checksum) for key, checksum in checksums.items()}
    sent = destination.send(files, existing)
    return sent + destination.send({name: (path, objects.sha256(path))}, existing={})


@dataclass
class Destination:
    """A destination of the copy: the files that it has, and the sizes of those that it should have."""

    url: str
    system: AbstractFileSystem
    root: str
    listing: dict[str, dict]
    expected: dict[str, int] = field(default_factory=dict)

    @classmethod
    def open(cls, copy: Copy) -> "Destination":
        """Open the destination of the settings and list its files."""
        given = credentials.check(copy.options, "archive.copy_to.options")
        with _user_errors(copy.url):
            options = {"auto_mkdir": True} if "://" not in copy.url or copy.url.startswith("file") else {}
            system, root = fsspec.core.url_to_fs(copy.url, **options, **given)
            destination = cls(copy.url, system, root.rstrip("/"), {})
        return destination.list()

    def list(self) -> "Destination":
        """List the files of the destination."""
        with _user_errors(self.url):
            self.system.invalidate_cache()
            try:
                files = self.system.find(self.root, detail=True)
            except FileNotFoundError:
                files = {}
            start = len(self.root) + 1
            self.listing = {name[start:]: info for name, info in files.items()}
        return self

    def read(self, name: str) -> bytes | None:
        """Read a file of the destination; None if there is no such file."""
        if name not in self.listing:
            return None
        with _user_errors(self.url):
            return self.system.cat_file(f"{self.root}/{name}")

    def marker(self, name: str) -> dict[str, str]:
        """The checksums of objects in a marker at the destination."""
        try:
            return json.loads(self.read(name) or "{}").get("objects", {})
        except ValueError:
            return {}

    def check_recipe(self, layout: dict) -> None:
        """Check that the destination has no archive with another recipe, and none that is longer than this one.

        Raises:
            UserError: with every difference.
        """
        metadata = self.read(f"{STORE}/zarr.json")
        if metadata is None:
            return
        try:
            existing = json.loads(json.loads(metadata)["attributes"]["recipe"])
        except (ValueError, KeyError):
            raise UserError(
                f"{self.url}/{STORE} is not an archive written by hindsight; set archive.copy_to.url to another folder"
            ) from None
        if lines := recipe.differences(existing, layout):
            listed = "\n  ".join(lines)
            raise UserError(
                f"the archive at {self.url} was made with another recipe, and recipes are never mixed:\n  {listed}\n"
                "set archive.copy_to.url to another folder, or empty this one"
            )

    def send(self, files: dict[str, tuple[Path, str]], existing: dict[str, str]) -> int:
        """Send the files that the destination does not have with the same checksum; returns their number.

        Args:
            files: local path and checksum of each file, by its name at the destination.
            existing: checksums that the markers at the destination record.
        """
        sent = 0
        for name, (path, checksum) in files.items():
            self.expected[name] = path.stat().st_size
            if self._is_up_to_date(name, path, checksum, existing):
                continue
            content = path.read_bytes()
            if objects.sha256_of(content) != checksum:
                raise UserError(f"{path} is damaged, and was not copied; run snakemake --forcerun check")
            with _user_errors(self.url):
                self.system.pipe_file(f"{self.root}/{name}", content)
            sent += 1
        return sent

    def _is_up_to_date(self, name: str, path: Path, checksum: str, existing: dict[str, str]) -> bool:
        """Whether the destination has a file, by the checksum that it lists, or by size and the marker's checksum."""
        info = self.listing.get(name)
        if info is None or int(info["size"]) != path.stat().st_size:
            return False
        if listed := info.get("md5Hash"):  # Google's, base64
            return base64.b64decode(listed) == hashlib.md5(path.read_bytes()).digest()
        return existing.get(name) == checksum

    def verify(self) -> None:
        """Check that every file has arrived.

        Raises:
            UserError: with the files that have not.
        """
        self.list()
        missing = [
            name for name, size in self.expected.items() if int(self.listing.get(name, {"size": -1})["size"]) != size
        ]
        if missing:
            raise UserError(f"{self.url} lacks {', '.join(missing[:10])} ({len(missing)} files); run snakemake again")


@contextmanager
def _user_errors(url: str | None) -> Iterator[None]:
    """Turn any error of the destination into a `UserError`; every file system raises its own exceptions."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot copy the archive to {url} ({type(error).__name__}: {reason}); check archive.copy_to, and run "
            "snakemake again: files that have arrived are kept"
        ) from None
