"""One file from a URL, for a source that is read from files: in blocks, as a store is in chunks.

Blocks are asked for by their ranges of bytes, many at once, and gather in a folder beside the file, where a killed job
finds them again. A server that does not take ranges sends the file in one piece.
"""

import json
import shutil
from pathlib import Path

from hindsight.download.transfer.fetch import Fetch, Told, in_loop
from hindsight.download.transfer.retry import Trouble, room_in
from hindsight.download.transfer.storage import Place
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.progress import Progress
from hindsight.settings import Download

BLOCK = 16 << 20  # bytes
IDENTITY = (
    "size",
    "ETag",
    "Last-Modified",
    "generation",
    "md5Hash",
    "mtime",
)  # what says that a file is still the same


class Blocks:
    """A file as objects that can be copied: ranges of its bytes, or all of it.

    Args:
        place: the folder that it is in.
        name: its name there.
        size: its bytes, if the server tells.
        ranges: whether the server takes ranges.
    """

    def __init__(self, place: Place, name: str, size: int | None, ranges: bool) -> None:
        self.place, self.name, self.size, self.ranges = place, name, size, ranges and size is not None
        self.keys = [f"{k:08d}" for k in range(max(-(-self.size // BLOCK), 1))] if self.ranges else ["whole"]

    async def copy(self, key: str, path: Path) -> None:
        """Copy a block to a file."""
        if not self.ranges:
            return await self.place.copy(self.name, path)
        first = int(key) * BLOCK
        path.write_bytes(await self.place.read(self.name, first, min(first + BLOCK, self.size)) if self.size else b"")

    def check(self, key: str, path: Path) -> None:
        """Refuse a block of another length than it has.

        Raises:
            Trouble: to have it fetched again.
        """
        wanted = min(BLOCK, self.size - int(key) * BLOCK) if self.ranges else self.size
        found = path.stat().st_size
        if wanted is not None and found != wanted:
            path.unlink()
            raise Trouble("busy", f"{found} bytes arrived of {wanted}")


def run(settings: Download, *, url: str, file: Path) -> None:
    """Fetch one file from a URL, resuming where a killed job left off."""
    limits, (folder, name) = settings.bucket, url.rsplit("/", 1)
    blocks_in = file.with_name(f"{file.name}.blocks")
    with room_in(file.parent):
        store.require_free_space(file, settings.minimum_free_gb)
        place = Place(folder, limits.options, limits.timeout_seconds)
        fetch = Fetch(url, limits)
        about = _about(place, name, fetch)
        ranges = in_loop(fetch.patiently(lambda: place.takes_ranges(name), name))
        blocks = Blocks(place, name, about.get("size"), ranges)
        _same_file(blocks_in, url, about)
        there = sum((blocks_in / key).is_file() for key in blocks.keys)
        told = Told(Progress("download.files", len(blocks.keys)), there)
        missing = [key for key in blocks.keys if not (blocks_in / key).is_file()]
        if fetch.all(blocks, missing, blocks_in, blocks.check, told).missing:
            raise UserError(f"{url} went away while it was fetched; run again, or take it out of download.files")
        store.replace(file, lambda partial: _join([blocks_in / key for key in blocks.keys], partial))
    shutil.rmtree(blocks_in)


def _about(place: Place, name: str, fetch: Fetch) -> dict:
    try:
        return in_loop(fetch.patiently(lambda: place.about(name), name))
    except FileNotFoundError:
        near = in_loop(place.neighbours(name))
        raise UserError(f"there is no file {place.url}/{name}: {near}; check download.files") from None


def _same_file(folder: Path, url: str, about: dict) -> None:
    """Throw away the blocks of another file, or of another state of it."""
    text = json.dumps({"url": url} | {key: str(about[key]) for key in IDENTITY if key in about})
    note = folder / "file.json"
    if note.is_file() and note.read_text() == text:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    note.write_text(text)


def _join(blocks: list[Path], path: Path) -> None:
    with path.open("wb") as whole:
        for block in blocks:
            with block.open("rb") as piece:
                shutil.copyfileobj(piece, whole)
