"""GRIB messages, through cfgrib's message layer: walk a file, or take one message out of it; what is wrong in words.

A file is walked whole, each message read and none of its values decoded. What GRIB itself does not notice is noticed
here: bytes between two messages that are neither padding nor a bulletin's heading were a message once.
"""

import hashlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from hindsight.download import file_kind
from hindsight.errors import UserError

if TYPE_CHECKING:
    from cfgrib.messages import Message

HEADING = 100  # bytes; what telecommunication wraps round a message is shorter


def walk(path: Path) -> Iterator[tuple[int, int, int, "Message"]]:
    """Every field of a file: its message's offset and length (bytes), its number within the message, and itself.

    Raises:
        UserError: at the first byte that cannot be read, naming it.
    """
    end = 0
    try:
        with opened(path) as file:
            for place, message in _stream(path).items():
                offset, field = place if isinstance(place, tuple) else (place, 0)
                if not field:
                    _nothing_between(file, end, offset, path)
                    length = _length(file, offset, message)
                    end = offset + length
                yield offset, length, field, message
            _nothing_between(file, end, path.stat().st_size, path)
    except EOFError:
        file_kind.refuse_as_grib(path)
        raise broken(path, 0, "no GRIB message begins in it") from None
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({error.strerror}); check the data folder and download.grib.files"
        ) from None
    except _codes_error() as error:
        raise broken(path, end, str(error)) from None


def opened(path: Path) -> BinaryIO:
    """A file, open.

    Raises:
        UserError: if it cannot be.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({error.strerror}); check the data folder and download.grib.files"
        ) from None


def take(file: BinaryIO, path: Path, offset: int, field: int = 0) -> "Message":
    """One message out of an open file.

    Raises:
        UserError: if it is not there any more.
    """
    from cfgrib.messages import Message

    _quiet()
    try:
        return Message.from_file(file, (offset, field) if field else offset)
    except (EOFError, _codes_error()) as error:
        raise broken(path, offset, str(error)) from None


def key(message: "Message", name: str, kind: type) -> int | float | str:
    """A key of ecCodes; zero, or nothing, where a message has not got it."""
    import eccodes

    try:
        return eccodes.codes_get(message.codes_id, name, kind)
    except eccodes.KeyValueNotFoundError:
        return kind()


def values(message: "Message", path: Path, offset: int) -> np.ndarray:
    """The values of a message as they are packed, in one row, NaN where it has none.

    Raises:
        UserError: if they cannot be decoded.
    """
    from cfgrib.messages import MISSING_VAUE_INDICATOR

    try:
        found = np.atleast_1d(message["values"])
    except _codes_error() as error:
        raise broken(path, offset, str(error)) from None
    return np.where(found == MISSING_VAUE_INDICATOR, np.nan, found)


def checksum(message: "Message") -> str:
    """A digest of the bytes of a message."""
    import eccodes

    return hashlib.blake2b(eccodes.codes_get_message(message.codes_id), digest_size=8).hexdigest()


def broken(path: Path, offset: int, why: str) -> UserError:
    """What to say of a message that cannot be read."""
    return UserError(
        f"{path} is cut short or damaged at byte {offset} ({why}); fetch the file again, or take it out of "
        "download.grib.files"
    )


def _stream(path: Path) -> object:
    from cfgrib.messages import FileStream

    _quiet()
    return FileStream(str(path), errors="raise")


def _length(file: BinaryIO, offset: int, message: "Message") -> int:
    """Bytes from GRIB to 7777; of several fields in one message ecCodes tells only the length of each."""
    file.seek(offset)
    head = file.read(16)
    return int.from_bytes(head[8:], "big") if head[7] == 2 else message["totalLength:int"]


def _nothing_between(file: BinaryIO, end: int, offset: int, path: Path) -> None:
    """Between two messages, or after the last, there are zeros, or a bulletin's heading, or nothing."""
    file.seek(end)
    between = file.read(max(offset - end, 0)).strip(b"\0")
    if len(between) > HEADING or between.startswith(b"G"):
        raise broken(path, end, f"{offset - end} bytes that are no message")


@cache
def _codes_error() -> type[Exception]:
    from eccodes import CodesInternalError

    return CodesInternalError


@cache
def _quiet() -> object:
    """Keep ecCodes from printing what is said better here."""
    import eccodes

    nowhere = open(os.devnull, "w")  # noqa: SIM115, the library's for as long as it lives
    eccodes.codes_context_set_logging(nowhere)
    return nowhere
