"""Radar composites of KNMI: HDF5 with groups `overview`, `geographic` and `image1`.

Rain amounts (mm) become the mean rate over their period, whose end is the time of the composite. The format:
KNMI HDF5 data format specification, version 3.5 (KNMI, 2005).
"""

import re
from collections.abc import Callable
from pathlib import Path

import netCDF4
import numpy as np

from hindsight.download.radar.composite import Composite, Damaged, Layout
from hindsight.download.radar.hdf5 import number, opened, text

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
FORMULA = re.compile(r"GEO\s*=\s*([-+.\deE]+)\s*\*\s*PV\s*\+?\s*([-+.\deE]+)", re.IGNORECASE)
PARAMETERS = {"ACCUMULATED_PRECIPITATION_[MM]": "mm h-1", "REFLECTIVITY_[DBZ]": "dBZ"}


def is_of(file: netCDF4.Dataset) -> bool:
    """Whether an HDF5 file is of KNMI."""
    return {"overview", "geographic", "image1"} <= set(file.groups)


def describe(path: Path) -> Composite:
    """Time and layout of a composite.

    Raises:
        Damaged: if the file is no composite of a known quantity.
    """
    with opened(path) as file:
        return Composite(_times(file)[1], _layout(file))


def values(path: Path) -> np.ndarray:
    """Reflectivities (dBZ) or rain rates (mm/h), see `composite.Values`."""
    with opened(path) as file:
        image, (start, end) = file["image1"], _times(file)
        pixels, calibration = image["image_data"][:], image["calibration"]
        factor, offset = _formula(text(calibration, "calibration_formulas"))
        found, dry = factor * pixels + offset, pixels == 0
        if _parameter(file) == "mm h-1":
            found = found / ((end - start) / np.timedelta64(1, "h"))
        found = np.where(dry, -np.inf if _parameter(file) == "dBZ" else 0.0, found)
        return np.where(np.isin(pixels, _no_data(calibration)), np.nan, found).astype(np.float32)


def _no_data(calibration: netCDF4.Group) -> list[float]:
    """Pixel values that mean no data; 0, which some files give as missing, is where nothing was detected."""
    names = ("calibration_out_of_image", "calibration_missing_data")
    found = [number(calibration, name) for name in names if name in calibration.ncattrs()]
    return [value for value in found if value != 0]


def _layout(file: netCDF4.Dataset) -> Layout:
    where, image, quantity = file["geographic"], file["image1"], _parameter(file)
    width, height = number(where, "geo_pixel_size_x"), number(where, "geo_pixel_size_y")
    if text(where, "geo_dim_pixel").upper() != "KM,KM":
        raise Damaged(f"its points are in {text(where, 'geo_dim_pixel')}, not in km")
    return Layout(
        "knmi",
        f"{text(image, 'image_product_name')} {text(image, 'image_geo_parameter')}",
        quantity,
        _in_metres(text(where["map_projection"], "projection_proj4_params")),
        number(where, "geo_column_offset") * width,
        number(where, "geo_row_offset") * height,
        abs(width),
        abs(height),
        int(number(where, "geo_number_rows")),
        int(number(where, "geo_number_columns")),
    )


def _parameter(file: netCDF4.Dataset) -> str:
    given = text(file["image1"], "image_geo_parameter").upper()
    if given not in PARAMETERS:
        raise Damaged(f"it shows {given}, and rain is made of {' or '.join(PARAMETERS)}")
    return PARAMETERS[given]


def _formula(given: str) -> tuple[float, float]:
    """Factor and offset of `GEO=0.01*PV+0.0`."""
    if not (found := FORMULA.fullmatch(given.strip())):
        raise Damaged(f"its values are {given!r}, and not a factor times the pixel plus an offset")
    return float(found[1]), float(found[2])


def _in_metres(projection: str) -> str:
    """A projection with the semi-axes or radius of the Earth in metres; KNMI gives them in km."""

    def scaled(axis: re.Match) -> str:
        return f"+{axis[1]}={float(axis[2]) * (1000 if float(axis[2]) < 10_000 else 1):.10g}"

    return re.sub(r"\+(a|b|R)=([.\d]+)", scaled, projection)


def _times(file: netCDF4.Dataset) -> tuple[np.datetime64, np.datetime64]:
    """Start and end of a composite."""
    read: Callable[[str], np.datetime64] = lambda name: _time(text(file["overview"], f"product_datetime_{name}"))  # noqa: E731
    start, end = read("start"), read("end")
    if _parameter(file) == "mm h-1" and end <= start:
        raise Damaged(f"its amounts are summed from {start} to {end}, which is no period")
    return start, end


def _time(given: str) -> np.datetime64:
    """A time such as 26-AUG-2010;00:05:00.000."""
    found = re.fullmatch(r"(\d\d)-([A-Z]{3})-(\d{4});(\d\d:\d\d:\d\d)(?:\.\d*)?", given.strip().upper())
    if not found or found[2] not in MONTHS:
        raise Damaged(f"its time is {given!r}, and not of the form 26-AUG-2010;00:05:00.000")
    return np.datetime64(f"{found[3]}-{MONTHS.index(found[2]) + 1:02d}-{found[1]}T{found[4]}", "s")
