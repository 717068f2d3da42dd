"""Read objects behind a URL: in a bucket, on a web server or in a folder.

All access goes through fsspec, so every protocol of fsspec works. A cloud's client is imported only for its URLs.
"""

import asyncio
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

from hindsight.errors import UserError
from hindsight.settings import credentials
from hindsight.settings.lexicon import nearest
from hindsight.transfer_errors import TransferError, classify, first_line

Answer = TypeVar("Answer")


class Storage:
    """A folder of objects.

    Its methods raise FileNotFoundError where the object does not exist, OSError where the local disk is full, and
    `TransferError` for every other failure.

    Args:
        url: gs://…, https://…, a path, or another URL of fsspec.
        options: fsspec's options for the protocol.
        timeout_seconds: time after which a request has failed.
        setting: the section of settings that has options and timeout, for messages.

    Raises:
        UserError: if the URL or the options cannot be used.
    """

    def __init__(self, url: str, options: dict, timeout_seconds: float, setting: str = "download.bucket") -> None:
        self.url, self.timeout_seconds, self.setting = url.rstrip("/"), timeout_seconds, setting
        options = credentials.check(options, f"{setting}.options")
        google = self.url.startswith(("gs://", "gcs://"))
        if google:  # else gcsfs asks over gRPC for the kind of bucket, and waits a minute where gRPC is blocked
            os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
            options = {"token": "anon"} | options
            _check_key_file(options["token"], setting)
        self.fs, self.root = _open(self.url, options, setting)
        self._no_size_request = {"headers": {}} if google else {}  # without headers gcsfs asks for the size first
        _disable_gcsfs_retries(self.fs)

    async def copy(self, key: str, path: Path) -> None:
        """Stream an object to a file; memory holds little of it at a time."""
        await self._call("get_file", self._at(key), str(path), **self._no_size_request)

    async def read(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        """The bytes of an object, or those from `start` to `end`."""
        return await self._call("cat_file", self._at(key), start=start, end=end)

    async def info(self, key: str = "") -> dict:
        """The server's information about an object; `size` in bytes is in it if the server knows."""
        return await self._call("info", self._at(key))

    async def accepts_ranges(self, key: str) -> bool:
        """Whether a range of bytes can be requested; some web servers always send the whole object."""
        if "http" not in self.fs.protocol:
            return True
        return await self._answer(self._answers_partially(self._at(key)), key)

    async def list_names(self, key: str = "") -> list[str]:
        """The names in a folder; an empty list if the folder does not exist or cannot be listed."""
        try:
            return _last(await self._call("ls", self._at(key), detail=False))
        except FileNotFoundError:
            return []
        except TransferError as error:
            if error.kind == "refused":
                return []
            raise

    async def nearest_names(self, key: str = "") -> str:
        """For error messages: the names nearest to a missing one, in the nearest folder that exists."""
        above, protocol = self._at(key), self.url[: self.url.find("://") + 3] if "://" in self.url else ""
        while "/" in above.strip("/"):
            above, missing = above.rsplit("/", 1)
            try:
                found = _last(await self._call("ls", above, detail=False))
            except (FileNotFoundError, TransferError):
                continue
            if found:
                return f"in {protocol}{above.removeprefix(protocol)} there is no {missing}; {nearest(missing, found)}"
        return "no folder above it can be listed either, so perhaps there is no such bucket or server"

    async def _call(self, method: str, path: str, *given: object, **more: object) -> Any:  # noqa: ANN401 of any method
        """Call a method of the file system, in a thread if it is not asynchronous."""
        if self.fs.async_impl:
            return await self._answer(getattr(self.fs, f"_{method}")(path, *given, **more), path)
        return await self._answer(asyncio.to_thread(getattr(self.fs, method), path, *given, **more), path)

    async def _answer(self, work: Awaitable[Answer], path: str) -> Answer:
        """Wait for an answer, and classify its error."""
        try:
            return await asyncio.wait_for(work, self.timeout_seconds)
        except Exception as error:  # every protocol raises its own
            if isinstance(error.__cause__, Exception) and isinstance(error, FileNotFoundError):
                error = error.__cause__  # fsspec's HTTP raises FileNotFoundError for every failure
            kind = classify(error)
            if kind == "full":
                raise
            if kind == "missing":
                raise FileNotFoundError(path) from None
            raise TransferError(kind, self._reason(error)) from error

    async def _answers_partially(self, path: str) -> bool:
        session, more = await self.fs.set_session(), dict(self.fs.kwargs)
        headers = more.pop("headers", {}) | {"Range": "bytes=0-0"}
        async with session.get(self.fs.encode_url(path), headers=headers, **more) as answer:
            answer.raise_for_status()
            return answer.status == 206

    def _reason(self, error: Exception) -> str:
        late = f"not complete after {self.timeout_seconds:g} s, {self.setting}.timeout_seconds"
        return late if isinstance(error, TimeoutError) else first_line(error)

    def _at(self, key: str) -> str:
        return f"{self.root}/{key}".rstrip("/")


def _last(paths: list[str]) -> list[str]:
    return sorted({str(path).rstrip("/").rsplit("/", 1)[-1] for path in paths})


def _open(url: str, options: dict, setting: str) -> tuple:
    import fsspec

    try:
        return fsspec.core.url_to_fs(url, **options)
    except Exception as error:  # every protocol raises its own
        reason = (
            first_line(error) if options.get("token", "anon") == "anon" else type(error).__name__
        )  # the text may quote the key
        raise UserError(
            f"cannot open {url} with the options {', '.join(options) or 'none'} ({reason}); expected a URL "
            f"like gs://BUCKET/STORE.zarr, and in {setting}.options what fsspec needs for it (token: anon for a "
            "public bucket, or the path of a key file)"
        ) from None


def _check_key_file(token: object, setting: str) -> None:
    """Refuse a key file that does not exist; gcsfs would take its path for a token and ask Google about it."""
    if isinstance(token, str) and ("/" in token or token.endswith(".json")) and not Path(token).is_file():
        raise UserError(
            f"there is no key file {token}; correct token in {setting}.options, or set it to anon, which a public "
            "bucket wants"
        )


def _disable_gcsfs_retries(fs: object) -> None:
    """Remove gcsfs's own six attempts with pauses; `Fetcher` retries, reports it and knows when to stop."""
    for method in ("_request", "_get_file_request"):
        inner = getattr(getattr(type(fs), method, None), "__wrapped__", None)
        if inner is not None:
            setattr(fs, method, inner.__get__(fs))


def run_async(work: Awaitable[Answer]) -> Answer:
    """Run asynchronous work in the event loop of fsspec's file systems, and wait for its result."""
    from fsspec.asyn import get_loop, sync

    async def awaited() -> Answer:
        return await work

    return sync(get_loop(), awaited)
