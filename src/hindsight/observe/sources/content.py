"""The bytes of an observation file, plain, gzipped or zipped; of a truncated gzip file those before the cut."""

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from hindsight.errors import UserError

Warn = Callable[[str], None]  # is given a sentence on what was lost of a file
GZIP, ZIP = b"\x1f\x8b", b"PK"
BLOCK = 1 << 16  # bytes


def read(path: Path, warn: Warn = print) -> bytes:
    """Read a file, and decompress it if it is gzipped or zipped (all files of a zip, in the order of their names).

    Of a truncated gzip file the part before the cut is right, and is returned with a warning; where a checksum is
    wrong, any value may be wrong, and the file is refused.

    Raises:
        UserError: if the file cannot be read, is empty, or is damaged.
    """
    raw = _raw(path)
    try:
        if raw[:2] == GZIP:
            return _gunzipped(raw, path, warn)
        if raw[:2] == ZIP:
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                return b"".join(archive.read(name) for name in sorted(archive.namelist()))
    except (zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise UserError(f"{path} cannot be read, it is damaged ({error}); fetch it again") from None
    return raw


def lines(path: Path, warn: Warn = print) -> list[bytes]:
    """The lines of a text file that are not empty; the last line of a truncated gzip file, which is cut, is left out.

    Raises:
        UserError: as `read`.
    """
    cut: list[str] = []
    content = read(path, cut.append)
    for sentence in cut:
        warn(sentence)
    whole = content[: content.rfind(b"\n") + 1] if cut else content
    return [line for line in whole.splitlines() if line]


def _raw(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); correct `files`, or make it readable") from None
    if not raw:
        raise UserError(f"{path} is empty; fetch it again, or remove it")
    return raw


def _gunzipped(raw: bytes, path: Path, warn: Warn) -> bytes:
    """Decompress all members of a gzip file."""
    parts = []
    while raw[:2] == GZIP:
        stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        parts += [stream.decompress(raw[at : at + BLOCK]) for at in range(0, len(raw), BLOCK)]
        if not stream.eof:
            warn(f"{path} is truncated: {sum(map(len, parts))} bytes before the cut were decompressed; fetch it again")
            break
        raw = stream.unused_data
    return b"".join(parts)
