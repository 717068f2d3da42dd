"""What a file is, by its first bytes, where it is not what its name says; how it is opened, and what identifies it."""

import hashlib
import os
import zipfile
from pathlib import Path

import xarray as xr

from hindsight.errors import UserError

NETCDF = "expected netCDF or Zarr"
METADATA = ("zarr.json", ".zmetadata", ".zarray", ".zattrs", ".zgroup")


def refuse(path: Path) -> None:
    """Refuse a file that is no netCDF.

    Raises:
        UserError: saying what it is, and what to do.
    """
    if path.is_dir():
        return
    with path.open("rb") as file:
        head = file.read(512)
    if says := _what(path, head):
        raise UserError(f"{path} {says}")


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


def _what(path: Path, head: bytes) -> str | None:
    if not head:
        return f"is empty, 0 bytes; {NETCDF}: fetch it again"
    if head.startswith(b"PK\x03\x04"):
        return f"is a zip of {_contents(path)}; {NETCDF}: unzip it, and name what comes out of it in download.files"
    if head.startswith(b"\x1f\x8b"):
        return f"is compressed by gzip; {NETCDF}: unpack it first (gunzip)"
    if head.startswith(b"GRIB"):
        return f"is GRIB, whatever it is called; {NETCDF}: read it with download.source: grib and download.grib.files"
    if head.startswith(b"BUFR"):
        return f"is BUFR: observations, no fields; {NETCDF}"
    if head.lstrip()[:1] == b"<":
        text = head.decode("utf-8", "replace").strip().replace("\n", " ")[:80]
        return f"is a page of HTML or XML, such as a server's error ({text!r}); {NETCDF}: fetch it again"
    return None


def _contents(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    except zipfile.BadZipFile:
        return "something that is cut short"
    if any(Path(name).name in (".zgroup", "zarr.json", ".zattrs") for name in names):
        return "a Zarr store"
    return f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''} ({len(names)} file(s))"
