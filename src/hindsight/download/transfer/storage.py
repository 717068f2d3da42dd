"""Objects behind a URL: in a bucket, on a web server or in a folder.

Everything goes through fsspec, so whatever it reaches can be read. Nothing here imports a cloud's client before a URL
asks for it.
"""

import asyncio
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from hindsight.download.transfer.retry import Trouble, sentence, verdict
from hindsight.errors import UserError
from hindsight.settings import credentials
from hindsight.settings.lexicon import nearest

Answer = TypeVar("Answer")


class Place:
    """A folder of objects.

    Its methods raise FileNotFoundError where there is no such object, OSError where our own disk is full, and `Trouble`
    for everything else.

    Args:
        url: gs://…, https://…, a path, or what else fsspec knows.
        options: fsspec's for the protocol.
        timeout_seconds: after which a request has failed.

    Raises:
        UserError: if nothing can be opened there.
    """

    def __init__(self, url: str, options: dict, timeout_seconds: float) -> None:
        self.url, self.timeout_seconds = url.rstrip("/"), timeout_seconds
        options = credentials.check(options, "download.bucket.options")
        google = self.url.startswith(("gs://", "gcs://"))
        if google:  # else gcsfs asks over gRPC what kind of bucket it is, and where that is blocked waits for a minute
            os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
            options = {"token": "anon"} | options
            _key_there(options["token"])
        self.fs, self.root = _opened(self.url, options)
        self._at_once = {"headers": {}} if google else {}  # without headers gcsfs asks for the size first
        _ask_once(self.fs)

    async def copy(self, key: str, path: Path) -> None:
        """Stream an object to a file; little of it is in memory at a time."""
        await self._call("get_file", self._at(key), str(path), **self._at_once)

    async def read(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        """An object, or some bytes of it."""
        return await self._call("cat_file", self._at(key), start=start, end=end)

    async def about(self, key: str = "") -> dict:
        """What the server tells of an object; its `size`, if it does."""
        return await self._call("info", self._at(key))

    async def takes_ranges(self, key: str) -> bool:
        """Whether some bytes of an object can be had; of web servers, some send all of it whatever they are asked."""
        if "http" not in self.fs.protocol:
            return True
        return await self._answer(self._answers_with_a_part(self._at(key)), key)

    async def names(self, key: str = "") -> list[str]:
        """The names in a folder; none where there is no such folder, or no list of it."""
        try:
            return _last(await self._call("ls", self._at(key), detail=False))
        except FileNotFoundError:
            return []
        except Trouble as error:
            if error.means == "refused":
                return []
            raise

    async def neighbours(self, key: str = "") -> str:
        """What there is where an object should be, in words: the nearest names in the nearest folder that exists."""
        above, protocol = self._at(key), self.url[: self.url.find("://") + 3] if "://" in self.url else ""
        while "/" in above.strip("/"):
            above, missing = above.rsplit("/", 1)
            try:
                found = _last(await self._call("ls", above, detail=False))
            except (FileNotFoundError, Trouble):
                continue
            if found:
                return f"in {protocol}{above.removeprefix(protocol)} there is no {missing}; {nearest(missing, found)}"
        return "nothing above it can be listed either, so there is perhaps no such bucket or server"

    async def _call(self, method: str, path: str, *given: object, **more: object) -> object:
        """Call a method of the file system, in its own way."""
        if self.fs.async_impl:
            return await self._answer(getattr(self.fs, f"_{method}")(path, *given, **more), path)
        return await self._answer(asyncio.to_thread(getattr(self.fs, method), path, *given, **more), path)

    async def _answer(self, work: Awaitable[Answer], path: str) -> Answer:
        """Wait for an answer, and tell troubles apart."""
        try:
            return await asyncio.wait_for(work, self.timeout_seconds)
        except Exception as error:  # every protocol raises its own
            if isinstance(error.__cause__, Exception) and isinstance(error, FileNotFoundError):
                error = error.__cause__  # what fsspec's HTTP says whatever has happened
            means = verdict(error)
            if means == "full":
                raise
            if means == "absent":
                raise FileNotFoundError(path) from None
            raise Trouble(means, self._sentence(error)) from error

    async def _answers_with_a_part(self, path: str) -> bool:
        session, more = await self.fs.set_session(), dict(self.fs.kwargs)
        headers = more.pop("headers", {}) | {"Range": "bytes=0-0"}
        async with session.get(self.fs.encode_url(path), headers=headers, **more) as answer:
            answer.raise_for_status()
            return answer.status == 206

    def _sentence(self, error: Exception) -> str:
        late = f"not whole after {self.timeout_seconds:g} s, download.bucket.timeout_seconds"
        return late if isinstance(error, TimeoutError) else sentence(error)

    def _at(self, key: str) -> str:
        return f"{self.root}/{key}".rstrip("/")


def _last(paths: list[str]) -> list[str]:
    return sorted({str(path).rstrip("/").rsplit("/", 1)[-1] for path in paths})


def _opened(url: str, options: dict) -> tuple:
    import fsspec

    try:
        return fsspec.core.url_to_fs(url, **options)
    except Exception as error:  # every protocol raises its own
        said = sentence(error) if options.get("token", "anon") == "anon" else type(error).__name__  # it may be quoted
        raise UserError(
            f"cannot open {url} with the options {', '.join(options) or 'none'} ({said}); expected a URL "
            "like gs://BUCKET/STORE.zarr, and in download.bucket.options what fsspec needs for it (token: anon for a "
            "public bucket, or the path of a key file)"
        ) from None


def _key_there(token: object) -> None:
    """Refuse a key file that is not there; gcsfs would take its path for a token, and ask Google about it."""
    if isinstance(token, str) and ("/" in token or token.endswith(".json")) and not Path(token).is_file():
        raise UserError(
            f"there is no key file {token}; correct token in download.bucket.options, or set it to anon, which a "
            "public bucket wants"
        )


def _ask_once(fs: object) -> None:
    """Take away gcsfs's own six attempts with their pauses: ours are told of, and know when to stop."""
    for method in ("_request", "_get_file_request"):
        inner = getattr(getattr(type(fs), method, None), "__wrapped__", None)
        if inner is not None:
            setattr(fs, method, inner.__get__(fs))
