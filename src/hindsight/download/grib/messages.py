"""Read GRIB messages through cfgrib's message layer: all headers of a file, or one message.

`walk` reads every message of a file without decoding values. It also finds damage that GRIB itself does not notice:
bytes between two messages that are neither padding nor the heading of a bulletin were once a message.
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

LONGEST_HEADING = 100  # bytes; the heading of a WMO bulletin around a message is shorter


def walk(path: Path) -> Iterator[tuple[int, int, int, "Message"]]:
    """Every field of a file: its message's offset and length (bytes), its number within the message, and the message.

    Raises:
        UserError: at the first byte that cannot be read.
    """
    end = 0
    try:
        with open_file(path) as file:
            for place, message in _stream(path).items():
                offset, field = place if isinstance(place, tuple) else (place, 0)
                if not field:
                    _check_gap(file, end, offset, path)
                    length = _length(file, offset, message)
                    end = offset + length
                yield offset, length, field, message
            _check_gap(file, end, path.stat().st_size, path)
    except EOFError:
        file_kind.check_grib(path)
        raise damaged(path, 0, "no GRIB message begins in it") from None
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({error.strerror}); check the data folder and download.grib.files"
        ) from None
    except _eccodes_error() as error:
        raise damaged(path, end, str(error)) from None


def open_file(path: Path) -> BinaryIO:
    """Open a file.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({error.strerror}); check the data folder and download.grib.files"
        ) from None


def read_message(file: BinaryIO, path: Path, offset: int, field: int = 0) -> "Message":
    """Read one message of an open file.

    Raises:
        UserError: if it is not there any more.
    """
    from cfgrib.messages import Message

    _silence_eccodes()
    try:
        return Message.from_file(file, (offset, field) if field else offset)
    except (EOFError, _eccodes_error()) as error:
        raise damaged(path, offset, str(error)) from None


def key(message: "Message", name: str, kind: type) -> int | float | str:
    """The value of one of ecCodes' keys; zero, or empty, where the message does not have it."""
    import eccodes

    try:
        return eccodes.codes_get(message.codes_id, name, kind)
    except eccodes.KeyValueNotFoundError:
        return kind()


def values(message: "Message", path: Path, offset: int) -> np.ndarray:
    """The decoded values of a message, in one row, NaN where they are missing.

    Raises:
        UserError: if they cannot be decoded.
    """
    from cfgrib.messages import MISSING_VAUE_INDICATOR

    try:
        found = np.atleast_1d(message["values"])
    except _eccodes_error() as error:
        raise damaged(path, offset, str(error)) from None
    return np.where(found == MISSING_VAUE_INDICATOR, np.nan, found)


def checksum(message: "Message") -> str:
    """A digest of the bytes of a message."""
    import eccodes

    return hashlib.blake2b(eccodes.codes_get_message(message.codes_id), digest_size=8).hexdigest()


def damaged(path: Path, offset: int, why: str) -> UserError:
    """The error for a message that cannot be read."""
    return UserError(
        f"{path} is cut short or damaged at byte {offset} ({why}); fetch the file again, or remove it from "
        "download.grib.files"
    )


def _stream(path: Path) -> object:
    from cfgrib.messages import FileStream

    _silence_eccodes()
    return FileStream(str(path), errors="raise")


def _length(file: BinaryIO, offset: int, message: "Message") -> int:
    """Bytes from GRIB to 7777; of several fields in one message, ecCodes knows only the length of each."""
    file.seek(offset)
    head = file.read(16)
    return int.from_bytes(head[8:], "big") if head[7] == 2 else message["totalLength:int"]


def _check_gap(file: BinaryIO, end: int, offset: int, path: Path) -> None:
    """Refuse bytes between two messages, or after the last, other than zeros or the heading of a bulletin."""
    file.seek(end)
    gap = file.read(max(offset - end, 0)).strip(b"\0")
    if len(gap) > LONGEST_HEADING or gap.startswith(b"G"):
        raise damaged(path, end, f"{offset - end} bytes that are no message")


@cache
def _eccodes_error() -> type[Exception]:
    from eccodes import CodesInternalError

    return CodesInternalError


@cache
def _silence_eccodes() -> object:
    """Keep ecCodes from printing errors; they are raised with more detail here."""
    import eccodes

    nowhere = open(os.devnull, "w")  # noqa: SIM115, in use until the process ends
    eccodes.codes_context_set_logging(nowhere)
    return nowhere
