"""What an error means for whoever asked for an object: try again, wait, or give up. And what to say of a full disk."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from hindsight.errors import UserError

Verdict = Literal["absent", "busy", "silent", "refused", "full"]
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
BUSY = {408, 425, 429}  # and 5xx: the server asks for patience
SILENT = {"ClientConnectionError", "ConnectionError", "TransportError", "EndpointConnectionError"}
FAULTY = {"TimeoutError", "ReadTimeout", "ClientPayloadError", "ChunkedEncodingError", "ProxyError", "ChecksumError"}


class Trouble(Exception):
    """A failure of whoever keeps the objects; `means` is its verdict."""

    def __init__(self, means: Verdict, text: str) -> None:
        super().__init__(text)
        self.means = means


def verdict(error: BaseException) -> Verdict:
    """What an error of a file system means for whoever asked.

    `absent`: there is no such object. `busy`: the server has answered, wrongly or not in time; it may do better next
    time. `silent`: nobody answers. `refused`: no use in asking again. `full`: it is our own disk.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    status = str(getattr(error, "status", None) or getattr(error, "code", None))
    if getattr(error, "errno", None) in FULL:
        return "full"
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError) or status in ("404", "410"):
        return "absent"
    if status.isdigit():
        return "busy" if int(status) in BUSY or int(status) >= 500 else "refused"
    if names & FAULTY:
        return "busy"
    return "silent" if names & SILENT else "refused"


@contextmanager
def room_in(folder: Path) -> Iterator[None]:
    """Say it in words where a disk fills up meanwhile."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"no room is left in {folder} ({error.strerror}); free some disk, or ask for fewer channels, frames or a "
            "smaller region, and run again: what has been fetched is kept"
        ) from error


def sentence(error: BaseException) -> str:
    """The first line of an error, or its kind where it has no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
