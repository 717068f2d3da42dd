"""What a file is, by its first bytes, where it is not what its name says; how it is opened, and what identifies it."""

import hashlib
import os
import zipfile
from pathlib import Path

import xarray as xr

from hindsight.download import truncated
from hindsight.errors import UserError

NETCDF = (b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\x89HDF\r\n\x1a\n")
PACKED = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\x00", "zstd": b"\x28\xb5\x2f\xfd"}
HEAD = 512  # bytes
METADATA = ("zarr.json", ".zmetadata", ".zarray", ".zattrs", ".zgroup")


def refuse(path: Path) -> None:
    """Refuse a file that is no netCDF, or is not all there.

    Raises:
        UserError: saying what it is, and what to do.
    """
    if path.is_dir():
        return
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(NETCDF):
        if missing := truncated.lacking(path):
            raise UserError(f"{path} is cut short: {missing} bytes lack at its end; fetch it again")
    elif head.startswith(b"GRIB"):
        raise UserError(
            f"{path} is GRIB, whatever it is called; expected netCDF or Zarr: read it with download.source: grib and "
            "download.grib.files"
        )
    elif says := _what(path, head):
        raise UserError(f"{path} is {says[0]}; expected netCDF or Zarr: {says[1]}")


def refuse_as_grib(path: Path) -> None:
    """Refuse a file in which no GRIB message begins, if it is of another kind.

    Raises:
        UserError: saying what it is, and what to do.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    says = ("netCDF", "read it with download.source: local and download.files") if head.startswith(NETCDF) else None
    says = says or (_what(path, head) if head else None)
    if says and not says[0].startswith("text"):
        raise UserError(f"{path} is {says[0]}; expected GRIB: {says[1]}")


def opened(path: Path) -> xr.Dataset:
    """Open a file or a store; packed values are unpacked, times are not decoded.

    Raises:
        UserError: if it is neither netCDF nor Zarr.
    """
    undated = {"decode_times": False, "decode_timedelta": False}
    try:
        refuse(path)
        if path.is_dir():
            return xr.open_zarr(path, chunks=None, decode_coords="all", **undated)
        return xr.open_dataset(path, decode_coords="all", cache=False, **undated)
    except UserError:
        raise
    except Exception as error:  # every backend raises its own
        says = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"cannot read {path} ({says}); expected netCDF or Zarr, whole, so replace it or take it out of "
            "download.files"
        ) from None


def identity(path: Path) -> str:
    """What says that a file is still the same: its size and time; of a store, its metadata and its folders' times."""
    if path.is_file():
        return f"{path.stat().st_size} {path.stat().st_mtime_ns}"
    found = hashlib.sha256()
    for folder, _, names in sorted(os.walk(path)):
        found.update(f"{os.path.relpath(folder, path)} {os.stat(folder).st_mtime_ns}".encode())
        for name in sorted(set(names) & set(METADATA)):
            found.update(Path(folder, name).read_bytes())
    return found.hexdigest()


def _what(path: Path, head: bytes) -> tuple[str, str] | None:
    """What a file is that is neither netCDF nor GRIB, and what to do about it."""
    if not head:
        return "empty, 0 bytes", "fetch it again"
    if head.startswith(b"PK\x03\x04"):
        return f"a zip of {_contents(path)}", "unzip it, and name what comes out of it in the settings"
    if packed := next((name for name in PACKED if head.startswith(PACKED[name])), None):
        return f"compressed by {packed}", f"unpack it first ({packed} -d)"
    if head[257:262] == b"ustar":
        return "a tar", "unpack it, and name what comes out of it in the settings"
    if head.startswith(b"BUFR"):
        return "BUFR: observations, no fields", "take it out of the settings"
    return _text(head)


def _text(head: bytes) -> tuple[str, str] | None:
    """What a text is, and what to do about it; None for what is no text."""
    try:
        text = head.decode().strip()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # else a letter is cut in two where the head ends
            return None
        text = head[: error.start].decode().strip()
    if not text or any(not letter.isprintable() and not letter.isspace() for letter in text):
        return None
    kind = {"<": "a page of HTML or XML, such as a server's error", "{": "JSON, such as a server's error, or an index"}
    return f"{kind.get(text[0], 'text')} ({' '.join(text.split())[:80]!r})", "fetch it again"


def _contents(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    except zipfile.BadZipFile:
        return "something that is cut short"
    if any(Path(name).name in (".zgroup", "zarr.json", ".zattrs") for name in names):
        return "a Zarr store"
    return f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''} ({len(names)} file(s))"
