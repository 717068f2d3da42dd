"""Files of radar composites as KNMI, FMI and OPERA write them."""

import gzip
from pathlib import Path

import netCDF4
import numpy as np

ROWS, COLUMNS = 12, 10
PROJECTION = "+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378137 +b=6356752 +x_0=0 +y_0=0"
KNMI_PROJECTION = PROJECTION.replace("6378137", "6378.137").replace("6356752", "6356.752")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def knmi(path: Path, pixels: np.ndarray, end: str = "2010-08-26T00:05", minutes: int = 5, **changes) -> Path:
    """A rain amount, 0.01 mm a step; 65535: no data."""
    given = {
        "parameter": "ACCUMULATED_PRECIPITATION_[MM]", "formula": "GEO=0.01*PV+0.0", "product": "RAD_NL25",
        "out": 65535, "offset": 3650.0, "dimension": "KM,KM", "projection": KNMI_PROJECTION,
    } | changes  # fmt: skip
    end_time = np.datetime64(end, "s")
    with netCDF4.Dataset(path, "w") as file:
        overview, where, image = (file.createGroup(name) for name in ("overview", "geographic", "image1"))
        overview.product_datetime_start = _knmi_time(end_time - np.timedelta64(minutes, "m"))
        overview.product_datetime_end = _knmi_time(end_time)
        where.geo_number_rows, where.geo_number_columns = np.int32(pixels.shape[0]), np.int32(pixels.shape[1])
        where.geo_pixel_size_x, where.geo_pixel_size_y = np.float32(1), np.float32(-1)
        where.geo_column_offset, where.geo_row_offset = np.float32(100), np.float32(given["offset"])
        where.geo_dim_pixel = given["dimension"]
        where.createGroup("map_projection").projection_proj4_params = given["projection"]
        image.image_product_name, image.image_geo_parameter = given["product"], given["parameter"]
        calibration = image.createGroup("calibration")
        calibration.calibration_formulas = given["formula"]
        calibration.calibration_missing_data = calibration.calibration_out_of_image = np.int32(given["out"])
        _pixels(image, "image_data", pixels.astype("u2"))
    return path


def _knmi_time(time: np.datetime64) -> str:
    date, clock = str(time).split("T")
    year, month, day = date.split("-")
    return f"{day}-{MONTHS[int(month) - 1]}-{year};{clock}.000"


def odim(path: Path, pixels: np.ndarray, end: str = "2010-08-26T00:05", quantity: str = "DBZH", **changes) -> Path:
    """A quantity of gain 0.5 and offset -32; 255: no data, 0: nothing detected."""
    given = {"gain": 0.5, "offset": -32.0, "nodata": 255.0, "undetect": 0.0, "object": "COMP", "minutes": 5}
    given |= {"projection": PROJECTION, "source": "ORG:247", "nominal": end} | changes
    time = np.datetime64(end, "s")
    start, stop = _odim_time(time - np.timedelta64(given["minutes"], "m")), _odim_time(time)
    date, clock = _odim_time(np.datetime64(given["nominal"], "s"))
    with netCDF4.Dataset(path, "w") as file:
        what, where, dataset = (file.createGroup(name) for name in ("what", "where", "dataset1"))
        file.Conventions = "ODIM_H5/V2_3"
        what.object, what.date, what.time, what.source = given["object"], date, clock, given["source"]
        where.projdef, where.xscale, where.yscale = given["projection"], 1000.0, 1000.0
        where.ysize, where.xsize = (np.int64(size) for size in pixels.shape)
        where.LL_lon, where.LL_lat = 0.0, 55.0
        about = dataset.createGroup("what")
        about.startdate, about.starttime, about.enddate, about.endtime = *start, *stop
        about.gain, about.offset = 9.0, 9.0  # overridden by those of data1
        data = dataset.createGroup("data1")
        inner = data.createGroup("what")
        inner.quantity = quantity
        for name in ("gain", "offset", "nodata", "undetect"):
            setattr(inner, name, given[name])
        _pixels(data, "data", pixels.astype("u1"))
    return path


def _odim_time(time: np.datetime64) -> list[str]:
    return str(time).replace("-", "").replace(":", "").split("T")


def _pixels(group: netCDF4.Group, name: str, pixels: np.ndarray) -> None:
    for side, size in zip("yx", pixels.shape):
        group.createDimension(side, size)
    group.createVariable(name, pixels.dtype, ("y", "x"), zlib=True)[:] = pixels


def fmi(path: Path, pixels: np.ndarray, time: str = "201609281445", pack: bool = True, **changes) -> Path:
    """Reflectivities of the composite of Finland; `corners` as the file has them."""
    about = {
        "composite_area": "FIN", "obstime": time, "param": "CorrectedReflectivity", "productname": "LOWEST",
        "type": "stereographic", "centrallongitude": "25", "centrallatitude": "90", "truelatitude": "60",
        "bottomleft": "18.600000 57.930000", "topright": "34.903000 69.005000",
        "metersperpixel_x": f"{759752.28 / pixels.shape[1]}", "metersperpixel_y": f"{1225544.65 / pixels.shape[0]}",
    } | changes  # fmt: skip
    comments = "".join(f"# {name} {value}\n" for name, value in about.items() if value is not None)
    head = f"P5\n{comments}{pixels.shape[1]} {pixels.shape[0]}\n255\n".encode()
    content = head + pixels.astype("u1").tobytes()
    path.write_bytes(gzip.compress(content) if pack else content)
    return path
