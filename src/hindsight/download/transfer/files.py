"""Fetch one file from a URL in blocks, as the chunks of a store are fetched.

Blocks are requested by their ranges of bytes, many at once, and gather in a folder beside the file; a job that runs
again after being killed uses them. A server that does not accept ranges sends the file in one piece.
"""

import json
import shutil
from pathlib import Path

from hindsight.download.transfer.fetch import Fetcher, FetchProgress, run_async
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.progress import Progress
from hindsight.settings import Download
from hindsight.storage import Storage
from hindsight.transfer_errors import TransferError, explain_full_disk

BLOCK = 16 << 20  # bytes
IDENTITY = ("size", "ETag", "Last-Modified", "generation", "md5Hash", "mtime")  # change when the file changes


class Blocks:
    """The blocks of a file as objects that can be copied: ranges of its bytes, or all of it.

    Args:
        storage: the folder of the file.
        name: the file's name there.
        size: its bytes, if the server knows.
        ranges: whether the server accepts ranges.
    """

    def __init__(self, storage: Storage, name: str, size: int | None, ranges: bool) -> None:
        self.storage, self.name, self.size, self.ranges = storage, name, size, ranges and size is not None
        self.keys = [f"{k:08d}" for k in range(max(-(-self.size // BLOCK), 1))] if self.ranges else ["whole"]

    async def copy(self, key: str, path: Path) -> None:
        """Copy a block to a file."""
        if not self.ranges:
            return await self.storage.copy(self.name, path)
        first = int(key) * BLOCK
        path.write_bytes(await self.storage.read(self.name, first, min(first + BLOCK, self.size)) if self.size else b"")

    def check(self, key: str, path: Path) -> None:
        """Refuse a block of the wrong length.

        Raises:
            TransferError: so that the block is fetched again.
        """
        expected = min(BLOCK, self.size - int(key) * BLOCK) if self.ranges else self.size
        found = path.stat().st_size
        if expected is not None and found != expected:
            path.unlink()
            raise TransferError("busy", f"{found} bytes arrived of {expected}")


def run(settings: Download, *, url: str, file: Path) -> None:
    """Fetch one file from a URL, resuming where a killed job left off."""
    bucket, (folder, name) = settings.bucket, url.rsplit("/", 1)
    folder_of_blocks = file.with_name(f"{file.name}.blocks")
    with explain_full_disk(file.parent):
        store.require_free_space(file, settings.minimum_free_gb)
        storage = Storage(folder, bucket.options, bucket.timeout_seconds)
        fetcher = Fetcher(url, bucket)
        info = _info(storage, name, fetcher)
        ranges = run_async(fetcher.retry(lambda: storage.accepts_ranges(name), name))
        blocks = Blocks(storage, name, info.get("size"), ranges)
        _delete_other_blocks(folder_of_blocks, url, info)
        done = sum((folder_of_blocks / key).is_file() for key in blocks.keys)
        progress = FetchProgress(Progress("download.files", len(blocks.keys)), done)
        missing = [key for key in blocks.keys if not (folder_of_blocks / key).is_file()]
        if fetcher.fetch(blocks, missing, folder_of_blocks, blocks.check, progress).missing:
            raise UserError(f"{url} disappeared while it was fetched; run again, or remove it from download.files")
        store.replace(file, lambda partial: _join([folder_of_blocks / key for key in blocks.keys], partial))
    shutil.rmtree(folder_of_blocks)


def _info(storage: Storage, name: str, fetcher: Fetcher) -> dict:
    try:
        return run_async(fetcher.retry(lambda: storage.info(name), name))
    except FileNotFoundError:
        near = run_async(storage.nearest_names(name))
        raise UserError(f"there is no file {storage.url}/{name}: {near}; check download.files") from None


def _delete_other_blocks(folder: Path, url: str, info: dict) -> None:
    """Delete the blocks of another file, or of an older version of this one."""
    text = json.dumps({"url": url} | {key: str(info[key]) for key in IDENTITY if key in info})
    note = folder / "file.json"
    if note.is_file() and note.read_text() == text:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    note.write_text(text)


def _join(blocks: list[Path], path: Path) -> None:
    with path.open("wb") as joined:
        for block in blocks:
            with block.open("rb") as source:
                shutil.copyfileobj(source, joined)
