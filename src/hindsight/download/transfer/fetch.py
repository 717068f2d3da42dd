"""Copy many objects at the same time, with retries; a killed job resumes where it stopped.

An object is written beside its place and then moved there, so an object in its place is complete and is not fetched
again. A failed request is repeated after a pause that doubles, with jitter. Two limits end the attempts: `retries`, for
an object that fails while others arrive, and `patience_seconds`, while nothing arrives from the server at all. So a
server may be away for minutes, or answer 503 to every request, and only time is lost.
"""

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from hindsight.errors import UserError
from hindsight.partials import partial as partial_path
from hindsight.progress import Progress
from hindsight.settings.download import Bucket
from hindsight.storage import run_async
from hindsight.transfer_errors import TransferError

Answer = TypeVar("Answer")
OnArrival = Callable[[str, Path], None]
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 60.0  # seconds
CHECKED_AT_ONCE = 2  # objects that have arrived
RESUMES = "what has been fetched is kept, so run again later"


class Source(Protocol):
    """The place that objects are copied from."""

    async def copy(self, key: str, path: Path) -> None:
        """Copy an object to a file; raises as `storage.Storage` does."""


@dataclass
class FetchSummary:
    """The number of objects and bytes that have arrived, and the keys of objects that do not exist."""

    objects: int = 0
    bytes: int = 0
    missing: list[str] = field(default_factory=list)


class Fetcher:
    """Copies objects from one server, with retries.

    Args:
        url: of the server, for errors.
        limits: connections, retries, patience.
    """

    def __init__(self, url: str, limits: Bucket) -> None:
        self.url, self.limits = url, limits
        self.last_arrival = self.last_report = time.monotonic()
        self.failure: UserError | None = None  # ends all workers

    def fetch(
        self, source: Source, keys: Iterable[str], folder: Path, on_arrival: OnArrival, report: Callable[[int], None]
    ) -> FetchSummary:
        """Copy objects to a folder.

        Args:
            source: the place of the objects.
            keys: names of the objects there, and below the folder.
            folder: destination.
            on_arrival: called in a thread with the key and the file of each object that has arrived. It may move the
                file. It raises `TransferError` if the file is wrong, and the object is fetched again.
            report: called after every object with the total number of bytes that have arrived.

        Raises:
            UserError: when more attempts are of no use; objects that have arrived stay in the folder.
        """
        return run_async(self._fetch(source, iter(keys), folder, on_arrival, report))

    async def _fetch(
        self, source: Source, keys: Iterator[str], folder: Path, on_arrival: OnArrival, report: Callable[[int], None]
    ) -> FetchSummary:
        found, checking = FetchSummary(), asyncio.Semaphore(CHECKED_AT_ONCE)

        async def fetch_one(key: str) -> None:
            path = folder / key
            if not path.is_file():
                size = await self._copy(source, key, path)  # not in one expression with +=: other workers add meanwhile
                found.objects, found.bytes = found.objects + 1, found.bytes + size
            async with checking:
                await asyncio.to_thread(on_arrival, key, path)

        async def worker() -> None:
            for key in keys:
                try:
                    await self.retry(lambda key=key: fetch_one(key), key)
                except FileNotFoundError:
                    found.missing.append(key)
                except UserError as error:
                    self.failure = error
                if self.failure:  # objects that other workers are copying still arrive
                    return
                report(found.bytes)

        workers = [asyncio.ensure_future(worker()) for _ in range(self.limits.connections)]
        try:
            await asyncio.gather(*workers)
        finally:
            for one in workers:
                one.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if self.failure:
            raise self.failure
        found.missing.sort()
        return found

    async def _copy(self, source: Source, key: str, path: Path) -> int:
        """Copy an object completely or not at all, and return its size in bytes."""
        partial = partial_path(path)
        partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            await source.copy(key, partial)
            size = partial.stat().st_size
            partial.replace(path)
        except FileNotFoundError:
            if partial.parent.is_dir():  # raised by the source itself
                raise
            raise UserError(
                f"{partial.parent} was removed while objects were copied to it, perhaps by another job that fetched "
                "the same; run snakemake again"
            ) from None
        self.last_arrival = time.monotonic()
        return size

    async def retry(self, attempt: Callable[[], Awaitable[Answer]], what: str) -> Answer:
        """Repeat an attempt until it succeeds.

        Raises:
            FileNotFoundError: if there is no such object.
            UserError: if more attempts are of no use.
        """
        pauses, failures, failed = 0, 0, time.monotonic()
        while True:
            try:
                answer = await attempt()
            except TransferError as error:
                failures += error.kind == "busy" and self.last_arrival > failed  # other objects have arrived since
                self._give_up(error, what, failures)
                failed, pauses = time.monotonic(), pauses + 1
                await asyncio.sleep(self._pause(pauses))
            else:
                self.last_arrival = time.monotonic()
                return answer

    def _give_up(self, error: TransferError, what: str, failures: int) -> None:
        """Raise if more attempts are of no use; else print the error, at most every ten seconds."""
        if self.failure:
            raise self.failure
        now = time.monotonic()
        if error.kind == "refused":
            raise UserError(
                f"{self.url} refuses {what} ({error}); it needs credentials, or does not exist: check "
                "download.bucket.url, and in download.bucket.options the token (anon for a public one, or a key file)"
            ) from error
        if now - self.last_arrival > self.limits.patience_seconds:
            raise UserError(
                f"{self.url} has sent nothing for {now - self.last_arrival:.0f} s ({what}: {error}); {RESUMES}, or "
                "raise download.bucket.patience_seconds"
            ) from error
        if failures > self.limits.retries:
            raise UserError(
                f"{self.url}: {what} has failed {failures} times ({error}) while others arrived; {RESUMES}, raise "
                "download.bucket.retries, or report it to the provider of the store"
            ) from error
        if now - self.last_report > 10:
            self.last_report = now
            print(f"{self.url}: {what} fails ({error}); trying again", file=sys.stderr, flush=True)

    def _pause(self, number: int) -> float:
        """Seconds until the next attempt, at most until patience ends."""
        pause = min(FIRST_PAUSE * 2.0 ** (number - 1), LONGEST_PAUSE) * random.uniform(0.5, 1.0)
        left = self.limits.patience_seconds - (time.monotonic() - self.last_arrival)
        return min(pause, max(left, 0.0) + 0.05)


class FetchProgress:
    """Progress of a fetch, in objects, with its rate in MB/s.

    Args:
        watch: prints the progress.
        done: objects that had arrived before.
    """

    def __init__(self, watch: Progress, done: int) -> None:
        self.watch, self.done, self.began = watch, done, time.monotonic()
        watch(done)

    def __call__(self, size: int) -> None:
        """Count one more object; `size` is the total number of bytes that have arrived."""
        self.done += 1
        self.watch(self.done, f"{size / 1e6 / max(time.monotonic() - self.began, 1e-3):.1f} MB/s")
