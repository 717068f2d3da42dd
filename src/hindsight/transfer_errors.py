"""What an error of a transfer means: try again, wait or give up. Also the error message of a full disk."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from hindsight.errors import UserError

Kind = Literal["missing", "busy", "silent", "refused", "full"]
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
BUSY = {408, 425, 429}  # and 5xx: the server asks clients to wait
SILENT = {"ClientConnectionError", "ConnectionError", "TransportError", "EndpointConnectionError"}
FAULTY = {"TimeoutError", "ReadTimeout", "ClientPayloadError", "ChunkedEncodingError", "ProxyError", "ChecksumError"}


class TransferError(Exception):
    """A request to a server has failed; `kind` is what `classify` says of the cause."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def classify(error: BaseException) -> Kind:
    """Classify an error of a file system by what to do about it.

    `missing`: there is no such object. `busy`: the server answered wrongly or too late; another attempt may succeed.
    `silent`: no answer at all. `refused`: another attempt is of no use. `full`: the local disk is full.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    status = str(getattr(error, "status", None) or getattr(error, "code", None))
    if getattr(error, "errno", None) in FULL:
        return "full"
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError) or status in ("404", "410"):
        return "missing"
    if status.isdigit():
        return "busy" if int(status) in BUSY or int(status) >= 500 else "refused"
    if names & FAULTY:
        return "busy"
    return "silent" if names & SILENT else "refused"


@contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk into a `UserError` that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"no room is left in {folder} ({error.strerror}); free some disk, or ask for fewer channels, frames or a "
            "smaller region, and run again: what has been fetched is kept"
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error, or its class where it has no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
