"""The kind of a file, by its first bytes and not by its name; opening it; and an identity that changes with it."""

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


def check_netcdf(path: Path) -> None:
    """Refuse a file that is not netCDF, or is truncated.

    Raises:
        UserError: with the kind of the file, and the remedy.
    """
    if path.is_dir():
        return
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(NETCDF):
        if missing := truncated.missing_bytes(path):
            raise UserError(f"{path} is cut short: at least {missing} bytes are missing at its end; fetch it again")
    elif head.startswith(b"GRIB"):
        raise UserError(
            f"{path} is GRIB, whatever it is called; expected netCDF or Zarr: read it with download.source: grib and "
            "download.grib.files"
        )
    elif found := _other_kind(path, head):
        raise UserError(f"{path} is {found[0]}; expected netCDF or Zarr: {found[1]}")


def check_grib(path: Path) -> None:
    """Refuse a file without a GRIB message if it is of another kind.

    Raises:
        UserError: with the kind of the file, and the remedy.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    found = ("netCDF", "read it with download.source: local and download.files") if head.startswith(NETCDF) else None
    found = found or (_other_kind(path, head) if head else None)
    if found and not found[0].startswith("text"):
        raise UserError(f"{path} is {found[0]}; expected GRIB: {found[1]}")


def open_dataset(path: Path) -> xr.Dataset:
    """Open a file or a store; packed values are unpacked, times are not decoded.

    Raises:
        UserError: if it is neither netCDF nor Zarr, or is damaged.
    """
    undated = {"decode_times": False, "decode_timedelta": False}
    try:
        check_netcdf(path)
        if path.is_dir():
            return xr.open_zarr(path, chunks=None, decode_coords="all", **undated)
        return xr.open_dataset(path, decode_coords="all", cache=False, **undated)
    except UserError:
        raise
    except Exception as error:  # every backend raises its own
        found = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"cannot read {path} ({found}); expected complete netCDF or Zarr, so replace it or remove it from "
            "download.files"
        ) from None


def identity(path: Path) -> str:
    """A text that changes with a file: its size and time; of a store, its metadata and the times of its folders."""
    if path.is_file():
        return f"{path.stat().st_size} {path.stat().st_mtime_ns}"
    found = hashlib.sha256()
    for folder, _, names in sorted(os.walk(path)):
        found.update(f"{os.path.relpath(folder, path)} {os.stat(folder).st_mtime_ns}".encode())
        for name in sorted(set(names) & set(METADATA)):
            found.update(Path(folder, name).read_bytes())
    return found.hexdigest()


def _other_kind(path: Path, head: bytes) -> tuple[str, str] | None:
    """The kind of a file that is neither netCDF nor GRIB, and the remedy."""
    if not head:
        return "empty, 0 bytes", "fetch it again"
    if head.startswith(b"PK\x03\x04"):
        return f"a zip of {_zip_contents(path)}", "unzip it, and name what comes out of it in the settings"
    if packed := next((name for name in PACKED if head.startswith(PACKED[name])), None):
        return f"compressed by {packed}", f"unpack it first ({packed} -d)"
    if head[257:262] == b"ustar":
        return "a tar", "unpack it, and name what comes out of it in the settings"
    if head.startswith(b"BUFR"):
        return "BUFR: observations, no fields", "remove it from the settings"
    return _text_kind(head)


def _text_kind(head: bytes) -> tuple[str, str] | None:
    """The kind of a text file, and the remedy; None if it is not text."""
    try:
        text = head.decode().strip()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # else the head ends within a letter
            return None
        text = head[: error.start].decode().strip()
    if not text or any(not letter.isprintable() and not letter.isspace() for letter in text):
        return None
    kind = {"<": "a page of HTML or XML, such as a server's error", "{": "JSON, such as a server's error, or an index"}
    return f"{kind.get(text[0], 'text')} ({' '.join(text.split())[:80]!r})", "fetch it again"


def _zip_contents(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    except zipfile.BadZipFile:
        return "something that is cut short"
    if any(Path(name).name in (".zgroup", "zarr.json", ".zattrs") for name in names):
        return "a Zarr store"
    return f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''} ({len(names)} file(s))"
