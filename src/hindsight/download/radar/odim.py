"""Radar composites in the format of OPERA: HDF5 with groups `what`, `where` and `dataset1`.

Read are reflectivities (TH, DBZH), rain rates (RATE) and rain amounts (ACRR), which become the mean rate over their
period, whose end is then the time of the composite; for others it is the nominal time. The format: Michelson et al.
(2021), EUMETNET OPERA weather radar information model for implementation with the HDF5 file format, version 2.4.
"""

import re
from pathlib import Path

import netCDF4
import numpy as np
from pyproj import Transformer

from hindsight.download.radar.composite import Composite, Damaged, Layout
from hindsight.download.radar.hdf5 import number, opened, text
from hindsight.fields.plane import reference_system

QUANTITIES = {"RATE": "mm h-1", "ACRR": "mm h-1", "DBZH": "dBZ", "TH": "dBZ"}  # the preferred one first
OBJECTS = ("COMP", "IMAGE")
ALIKE = np.timedelta64(60, "s")  # a period that ends this close to the nominal time ends there: 00:04:59 is 00:05


def is_of(file: netCDF4.Dataset) -> bool:
    """Whether an HDF5 file is of ODIM."""
    return {"what", "where", "dataset1"} <= set(file.groups)


def describe(path: Path) -> Composite:
    """Time and layout of a composite.

    Raises:
        Damaged: if the file is no composite of a known quantity.
    """
    with opened(path) as file:
        what = file["what"]
        if (kind := text(what, "object")) not in OBJECTS:
            raise Damaged(f"it is an ODIM object {kind}, and not a composite ({' or '.join(OBJECTS)})")
        nominal, (quantity, groups) = _time(text(what, "date"), text(what, "time")), _chosen(file)
        end = _period(groups)[1] if quantity == "ACRR" else nominal
        return Composite(nominal if abs(end - nominal) < ALIKE else end, _layout(file))


def values(path: Path) -> np.ndarray:
    """Reflectivities (dBZ) or rain rates (mm/h), see `composite.Values`."""
    with opened(path) as file:
        quantity, groups = _chosen(file)
        pixels = groups[0]["data"][:]
        found = pixels * _number(groups, "gain", 1.0) + _number(groups, "offset", 0.0)
        if quantity == "ACRR":
            start, end = _period(groups)
            found = found / ((end - start) / np.timedelta64(1, "h"))
        dry = -np.inf if QUANTITIES[quantity] == "dBZ" else 0.0
        found = np.where(pixels == _number(groups, "undetect", np.nan), dry, found)
        return np.where(pixels == _number(groups, "nodata", np.nan), np.nan, found).astype(np.float32)


def _chosen(file: netCDF4.Dataset) -> tuple[str, list[netCDF4.Group]]:
    """The preferred quantity, and the groups that describe it, the innermost first."""
    found: dict[str, list[netCDF4.Group]] = {}
    for name in sorted(name for name in file.groups if re.fullmatch(r"dataset\d+", name)):
        for inner in sorted(inner for inner in file[name].groups if re.fullmatch(r"data\d+", inner)):
            groups = [file[name][inner], file[name]]
            found.setdefault(_text(groups, "quantity"), groups)
    quantity = next((one for one in QUANTITIES if one in found), None)
    if quantity is None:
        raise Damaged(f"it holds {', '.join(sorted(found)) or 'no data'}, and rain is made of {', '.join(QUANTITIES)}")
    return quantity, found[quantity]


def _holder(groups: list[netCDF4.Group], name: str) -> netCDF4.Group | None:
    """The innermost `what` that has an attribute."""
    described = (group["what"] for group in groups if "what" in group.groups)
    return next((what for what in described if name in what.ncattrs()), None)


def _text(groups: list[netCDF4.Group], name: str) -> str:
    what = _holder(groups, name)
    return text(what, name) if what is not None else ""


def _number(groups: list[netCDF4.Group], name: str, default: float) -> float:
    what = _holder(groups, name)
    return number(what, name) if what is not None else default


def _period(groups: list[netCDF4.Group]) -> tuple[np.datetime64, np.datetime64]:
    """Start and end of the time over which an amount is summed."""
    start, end = (_time(_text(groups, f"{side}date"), _text(groups, f"{side}time")) for side in ("start", "end"))
    if end <= start:
        raise Damaged(f"its amounts are summed from {start} to {end}, which is no period")
    return start, end


def _layout(file: netCDF4.Dataset) -> Layout:
    (quantity, _), where = _chosen(file), file["where"]
    projection = text(where, "projdef")
    rows, columns = int(number(where, "ysize")), int(number(where, "xsize"))
    width, height = number(where, "xscale") / 1000, number(where, "yscale") / 1000
    crs = reference_system(projection)
    to_plane = Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)
    west, south = to_plane.transform(number(where, "LL_lon"), number(where, "LL_lat"))
    # `source` names the radar in a file of one radar, so that these differ; in a composite the centre that made it
    product = f"{text(file['what'], 'source')} {quantity}"
    north = south / 1000 + rows * height
    return Layout("odim", product, QUANTITIES[quantity], projection, west / 1000, north, width, height, rows, columns)


def _time(date: str, clock: str) -> np.datetime64:
    """A time of a date 20100826 and a time of day 000500."""
    if not (re.fullmatch(r"\d{8}", date) and re.fullmatch(r"\d{6}", clock)):
        raise Damaged(f"its time is {date!r}, {clock!r}, and not of the form 20100826, 000500")
    return np.datetime64(f"{date[:4]}-{date[4:6]}-{date[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:]}", "s")
