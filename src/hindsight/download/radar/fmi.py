"""Radar composites of FMI: portable grey maps (PGM), perhaps compressed by gzip, with their description in comments.

Pixels p are reflectivities of p / 2 - 32 dBZ; 0 is no echo and the largest number no data (open data of FMI).
"""

import gzip
import re
import zlib
from pathlib import Path

import numpy as np
from pyproj import Transformer

from hindsight.download.radar.composite import Composite, Damaged, Layout
from hindsight.fields.plane import reference_system

RADIUS = 6371288  # m, of the sphere of FMI's projection
SIZE_TOLERANCE = 1e-3  # of the size of a point: how far the header and the corners may disagree
GZIP = b"\x1f\x8b"
HEADER = re.compile(rb"P5\s+((?:#[^\n]*\n\s*)*)(\d+)\s+(\d+)\s+(\d+)\s")
LONGEST_HEADER = 1 << 16  # bytes
DBZ_STEP, LOWEST_DBZ = 0.5, -32.0  # p / 2 - 32


def is_of(head: bytes) -> bool:
    """Whether the beginning of a file, unpacked, is that of a composite of FMI."""
    return head.startswith(b"P5") and b"# obstime" in head


def describe(path: Path) -> Composite:
    """Time and layout of a composite.

    Raises:
        Damaged: if the file is no composite of reflectivities.
    """
    about, columns, rows, _ = _header(unpacked(path, LONGEST_HEADER))
    if "reflectivity" not in about.get("param", "").lower():
        raise Damaged(f"it shows {about.get('param') or 'an unnamed quantity'}, and rain is made of reflectivity")
    product = " ".join(about.get(name, "") for name in ("composite_area", "projection_name", "productname", "param"))
    return Composite(_time(about.get("obstime", "")), _layout(about, product, rows, columns))


def values(path: Path) -> np.ndarray:
    """Reflectivities (dBZ), see `composite.Values`."""
    content = unpacked(path)
    _, columns, rows, largest = _header(content)
    kind = np.dtype(np.uint8 if largest < 256 else ">u2")
    data = content[_header_length(content) :]
    if len(data) < (needed := rows * columns * kind.itemsize):
        raise Damaged(f"it has {len(data)} bytes of pixels, and {rows} x {columns} pixels need {needed}")
    pixels = np.frombuffer(data, kind, rows * columns).reshape(rows, columns).astype(np.float32)
    found = np.where(pixels == 0, -np.inf, pixels * DBZ_STEP + LOWEST_DBZ)
    return np.where(pixels == largest, np.nan, found).astype(np.float32)


def unpacked(path: Path, length: int = -1) -> bytes:
    """The first bytes of a file, unpacked if it is compressed.

    Raises:
        Damaged: if it cannot be unpacked.
    """
    with path.open("rb") as file:
        packed = file.read(len(GZIP)) == GZIP
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            return file.read(length)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Damaged(f"it cannot be unpacked ({error})") from None


def _header_length(content: bytes) -> int:
    if not (found := HEADER.match(content)):
        raise Damaged("its header is not that of a binary PGM (P5)")
    return found.end()


def _header(content: bytes) -> tuple[dict[str, str], int, int, int]:
    """The comments, by their first word; columns, rows and the largest value of a pixel."""
    _header_length(content)
    comments, *numbers = HEADER.match(content[:LONGEST_HEADER]).groups()
    lines = (line.strip("# ").split(None, 1) for line in comments.decode("latin-1").splitlines() if line.strip("# "))
    about = {words[0]: words[1].strip() if len(words) > 1 else "" for words in lines}
    return about, *map(int, numbers)


def _layout(about: dict[str, str], product: str, rows: int, columns: int) -> Layout:
    if about.get("type") != "stereographic":
        raise Damaged(f"its projection is {about.get('type') or 'not given'}, and only stereographic is known")
    try:
        lat_0, lon_0, lat_ts = (float(about[name]) for name in ("centrallatitude", "centrallongitude", "truelatitude"))
        corners = [[float(word) for word in about[name].split()] for name in ("bottomleft", "topright")]
        sizes = [float(about[f"metersperpixel_{axis}"]) / 1000 for axis in "xy"]
    except (KeyError, ValueError) as error:
        raise Damaged(f"its projection lacks a number ({error})") from None
    projection = f"+proj=stere +lat_0={lat_0:g} +lon_0={lon_0:g} +lat_ts={lat_ts:g} +R={RADIUS} +units=m"
    crs = reference_system(projection)
    x, y = Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True).transform(*zip(*corners))
    width, height = (x[1] - x[0]) / columns / 1000, (y[1] - y[0]) / rows / 1000
    if not np.allclose([width, height], sizes, rtol=SIZE_TOLERANCE, atol=0):
        raise Damaged(
            f"its points are {sizes[0]:g} x {sizes[1]:g} km by its header, and {width:g} x {height:g} km by its corners"
        )
    return Layout("fmi", product, "dBZ", projection, x[0] / 1000, y[1] / 1000, width, height, rows, columns)


def _time(given: str) -> np.datetime64:
    """A time such as 201609281445."""
    if not re.fullmatch(r"\d{12}", given):
        raise Damaged(f"its time is {given!r}, and not of the form 201609281445")
    return np.datetime64(f"{given[:4]}-{given[4:6]}-{given[6:8]}T{given[8:10]}:{given[10:]}", "s")
