"""Copy many objects at the same time, so that a killed job goes on where it stopped and a bad hour does no harm.

An object is written beside its place and moved there, so what is there is whole and is not asked for again. One that
cannot be had is asked for again after a pause that doubles, with jitter. Two bounds say when to stop: `retries`, of an
object that fails while others arrive; `patience_seconds`, when nothing arrives from the server at all. So a server may
be away for minutes, or say 503 to everybody, and nothing is lost but time.
"""

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from hindsight.download.transfer.retry import Trouble
from hindsight.errors import UserError
from hindsight.partials import partial as own
from hindsight.progress import Progress
from hindsight.settings.download import Bucket

Answer = TypeVar("Answer")
Keep = Callable[[str, Path], None]
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 60.0  # seconds
LOOKED_AT = 2  # objects at once, of those that have arrived
KEPT = "what has been fetched is kept, so run again later"


class Source(Protocol):
    """Where objects are copied from."""

    async def copy(self, key: str, path: Path) -> None:
        """Copy an object to a file; raises as `storage.Place` does."""


@dataclass
class Fetched:
    """What a fetch has brought."""

    objects: int = 0
    bytes: int = 0
    missing: list[str] = field(default_factory=list)


class Fetch:
    """Asks one server, patiently.

    Args:
        url: of the server, for errors.
        limits: connections, retries, patience.
    """

    def __init__(self, url: str, limits: Bucket) -> None:
        self.url, self.limits = url, limits
        self.heard = self.told = time.monotonic()  # when something last arrived, and when a trouble was last told
        self.ended: UserError | None = None  # why there is no use in going on

    def all(
        self, source: Source, keys: Iterable[str], folder: Path, keep: Keep, told: Callable[[int], None]
    ) -> Fetched:
        """Copy objects to a folder.

        Args:
            source: where they are.
            keys: their names there, and below the folder.
            folder: where they go.
            keep: called, in a thread, with an object's key and file when it is there; it may move the file on, and
                raises `Trouble` if the file is not what it should be: it is then fetched again.
            told: called after every object, with the bytes that have come in all.

        Raises:
            UserError: when there is no use in going on; objects that have arrived stay where they are.
        """
        return in_loop(self._all(source, iter(keys), folder, keep, told))

    async def _all(
        self, source: Source, keys: Iterator[str], folder: Path, keep: Keep, told: Callable[[int], None]
    ) -> Fetched:
        found, looking = Fetched(), asyncio.Semaphore(LOOKED_AT)

        async def whole(key: str) -> None:
            path = folder / key
            if not path.is_file():
                size = await self._copied(source, key, path)  # not added at once: others add meanwhile
                found.objects, found.bytes = found.objects + 1, found.bytes + size
            async with looking:
                await asyncio.to_thread(keep, key, path)

        async def worker() -> None:
            for key in keys:
                try:
                    await self.patiently(lambda key=key: whole(key), key)
                except FileNotFoundError:
                    found.missing.append(key)
                except UserError as error:
                    self.ended = error
                if self.ended:  # what others have under way comes home yet
                    return
                told(found.bytes)

        workers = [asyncio.ensure_future(worker()) for _ in range(self.limits.connections)]
        try:
            await asyncio.gather(*workers)
        finally:
            for one in workers:
                one.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if self.ended:
            raise self.ended
        found.missing.sort()
        return found

    async def _copied(self, source: Source, key: str, path: Path) -> int:
        """Copy an object, whole or not at all; its bytes."""
        partial = own(path)
        partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            await source.copy(key, partial)
            size = partial.stat().st_size
            partial.replace(path)
        except FileNotFoundError:
            if partial.parent.is_dir():  # the source's own word
                raise
            raise UserError(
                f"{partial.parent} was taken away while it was filled, by another job that has fetched the same or by "
                "somebody; run snakemake again"
            ) from None
        self.heard = time.monotonic()
        return size

    async def patiently(self, attempt: Callable[[], Awaitable[Answer]], what: str) -> Answer:
        """Ask until there is an answer.

        Raises:
            FileNotFoundError: if the answer is that there is no such object.
            UserError: if there is no use in asking again.
        """
        pauses, failures, failed = 0, 0, time.monotonic()
        while True:
            try:
                answer = await attempt()
            except Trouble as trouble:
                failures += trouble.means == "busy" and self.heard > failed  # others have fared better since
                self._stop(trouble, what, failures)
                failed, pauses = time.monotonic(), pauses + 1
                await asyncio.sleep(self._pause(pauses))
            else:
                self.heard = time.monotonic()
                return answer

    def _stop(self, trouble: Trouble, what: str, failures: int) -> None:
        """Raise if asking again is of no use; else tell of the trouble, now and then."""
        if self.ended:
            raise self.ended
        now = time.monotonic()
        if trouble.means == "refused":
            raise UserError(
                f"{self.url} refuses {what} ({trouble}); it needs credentials, or does not exist: check "
                "download.bucket.url, and in download.bucket.options the token (anon for a public one, or a key file)"
            ) from trouble
        if now - self.heard > self.limits.patience_seconds:
            raise UserError(
                f"{self.url} has sent nothing for {now - self.heard:.0f} s ({what}: {trouble}); {KEPT}, or raise "
                "download.bucket.patience_seconds"
            ) from trouble
        if failures > self.limits.retries:
            raise UserError(
                f"{self.url}: {what} has failed {failures} times ({trouble}) while others arrived; {KEPT}, raise "
                "download.bucket.retries, or tell whoever keeps the store"
            ) from trouble
        if now - self.told > 10:
            self.told = now
            print(f"{self.url}: {what} fails ({trouble}); asking again", file=sys.stderr, flush=True)

    def _pause(self, number: int) -> float:
        """Seconds until the next attempt, not beyond the end of patience."""
        pause = min(FIRST_PAUSE * 2.0 ** (number - 1), LONGEST_PAUSE) * random.uniform(0.5, 1.0)
        left = self.limits.patience_seconds - (time.monotonic() - self.heard)
        return min(pause, max(left, 0.0) + 0.05)


class Told:
    """Progress of a fetch, in objects, with its rate.

    Args:
        watch: who is told.
        done: objects that were there before.
    """

    def __init__(self, watch: Progress, done: int) -> None:
        self.watch, self.done, self.began = watch, done, time.monotonic()
        watch(done)

    def __call__(self, size: int) -> None:
        """Say that one more object is there, and how many bytes have come in all."""
        self.done += 1
        self.watch(self.done, f"{size / 1e6 / max(time.monotonic() - self.began, 1e-3):.1f} MB/s")


def in_loop(work: Awaitable[Answer]) -> Answer:
    """Do asynchronous work in the loop that fsspec's file systems live in."""
    from fsspec.asyn import get_loop, sync

    async def the_work() -> Answer:
        return await work

    return sync(get_loop(), the_work)
