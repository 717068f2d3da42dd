"""Small GRIB files, written with ecCodes: what the tests of the source `grib` read."""

import tempfile
from datetime import datetime
from pathlib import Path

import eccodes
import numpy as np

BITS = 24
LATITUDE = np.linspace(90, -90, 19)  # every 10 degrees, as GRIB has it by default: from the north
LONGITUDE = np.arange(0, 360, 10.0)
DAY = datetime(2020, 1, 1)
PRECISION = 2.0 ** -(BITS - 1)  # of the range of a message; what packing may move a value


def field(seed: int, amplitude: float = 20.0, offset: float = 280.0) -> np.ndarray:
    """A field on the grid, from the north to the south."""
    generator = np.random.default_rng(seed)
    waves = np.cos(np.deg2rad(LONGITUDE) * (1 + seed % 4))[None] * np.cos(np.deg2rad(LATITUDE))[:, None]
    return offset + amplitude * (waves + 0.1 * generator.standard_normal((len(LATITUDE), len(LONGITUDE))))


def message(values: np.ndarray, **keys) -> bytes:
    """One message.

    Args:
        values: (latitude, longitude) from north to south and west to east, NaN for none.
        keys: `edition` (1), `time` of the analysis or forecast, `parameter` (130), `level` in hPa, or none at the
            surface, `steps` (start, end) in hours, `accumulated`, `kind` (an), `member`, `expver`; `scanning` has the
            flags `iScansNegatively`, `jScansPositively`, `jPointsAreConsecutive`, `alternativeRowScanning`; `west`,
            `south` and `spacing` are the grid's; others are ecCodes'.
    """
    keys = {"edition": 1, "time": DAY, "parameter": 130, "level": 500, "steps": (0, 0), "kind": "an"} | keys
    name = f"regular_ll_{'sfc' if keys['level'] is None else 'pl'}_grib{keys.pop('edition')}"
    handle = eccodes.codes_grib_new_from_samples(name)
    try:
        scanning = keys.pop("scanning", {})
        _grid(
            handle, values.shape, scanning, keys.pop("west", 0.0), keys.pop("south", -90.0), keys.pop("spacing", 10.0)
        )
        _who(handle, keys.pop("kind"), keys.pop("member", None), keys.pop("expver", "0001"))
        _when(handle, keys.pop("time"), keys.pop("steps"), keys.pop("accumulated", False))
        parameter, level = keys.pop("parameter"), keys.pop("level")
        for key, value in keys.items():
            eccodes.codes_set(handle, key, value)
        _what(handle, parameter, level)
        _values(handle, scanned(values, **scanning))
        return eccodes.codes_get_message(handle)
    finally:
        eccodes.codes_release(handle)


def scanned(values, iScansNegatively=0, jScansPositively=0, jPointsAreConsecutive=0, alternativeRowScanning=0):  # noqa: N803
    """Values in the order that scanning flags ask for, point after point: the loop that the standard describes."""
    height, width = values.shape
    rows = range(height)[::-1] if jScansPositively else range(height)
    columns = range(width)[::-1] if iScansNegatively else range(width)
    outer, inner = (columns, rows) if jPointsAreConsecutive else (rows, columns)
    found = []
    for count, one in enumerate(outer):
        line = list(inner)[::-1] if alternativeRowScanning and count % 2 else list(inner)
        found += [values[other, one] if jPointsAreConsecutive else values[one, other] for other in line]
    return np.array(found)


def file(path: Path, *messages: bytes) -> Path:
    """A file of messages."""
    path.write_bytes(b"".join(messages))
    return path


def reduced_gaussian(time: int = 1200) -> bytes:
    """A message on a reduced Gaussian grid."""
    handle = eccodes.codes_grib_new_from_samples("reduced_gg_pl_32_grib2")
    for key, value in (("dataDate", 20200101), ("dataTime", time), ("paramId", 130), ("level", 500)):
        eccodes.codes_set(handle, key, value)
    return eccodes.codes_get_message(handle)


def _grid(handle, shape, scanning, west, south, spacing):
    height, width = shape
    latitudes = [south + spacing * (height - 1), south][:: -1 if scanning.get("jScansPositively") else 1]
    longitudes = [west, west + spacing * (width - 1)][:: -1 if scanning.get("iScansNegatively") else 1]
    for key, value in {
        "Ni": width,
        "Nj": height,
        "latitudeOfFirstGridPointInDegrees": latitudes[0],
        "latitudeOfLastGridPointInDegrees": latitudes[1],
        "longitudeOfFirstGridPointInDegrees": longitudes[0],
        "longitudeOfLastGridPointInDegrees": longitudes[1],
        "iDirectionIncrementInDegrees": spacing,
        "jDirectionIncrementInDegrees": spacing,
        **{flag: 1 for flag, is_set in scanning.items() if is_set},
    }.items():
        eccodes.codes_set(handle, key, value)


def _who(handle, kind, member, expver):
    eccodes.codes_set(handle, "setLocalDefinition", 1)
    if eccodes.codes_get(handle, "edition") == 2 and member is not None:
        eccodes.codes_set(handle, "productDefinitionTemplateNumber", 1)
    eccodes.codes_set(handle, "dataType", kind)
    eccodes.codes_set(handle, "expver", expver)
    if member is not None:
        eccodes.codes_set(handle, "number", member)
        eccodes.codes_set(handle, "totalNumber", 10)


def _when(handle, time, steps, accumulated):
    eccodes.codes_set(handle, "dataDate", int(f"{time:%Y%m%d}"))
    eccodes.codes_set(handle, "dataTime", int(f"{time:%H%M}"))
    if accumulated:
        if eccodes.codes_get(handle, "edition") == 2:
            eccodes.codes_set(handle, "productDefinitionTemplateNumber", 8)
        eccodes.codes_set(handle, "stepType", "accum")
        eccodes.codes_set(handle, "startStep", steps[0])
    eccodes.codes_set(handle, "endStep", steps[1])


def _what(handle, parameter, level):
    eccodes.codes_set(handle, "paramId", parameter)
    if level is not None:
        eccodes.codes_set(handle, "level", level)


def _values(handle, values):
    eccodes.codes_set(handle, "bitsPerValue", BITS)
    if np.isnan(values).any():
        eccodes.codes_set(handle, "bitmapPresent", 1)
        eccodes.codes_set(handle, "missingValue", 1e20)
        values = np.where(np.isnan(values), 1e20, values)
    eccodes.codes_set_values(handle, values.astype(float))


def spectral() -> bytes:
    """A message of spherical harmonics."""
    return eccodes.codes_get_message(eccodes.codes_grib_new_from_samples("sh_pl_grib2"))


def several_fields(*parts: bytes) -> bytes:
    """One message of GRIB 2 with several fields, as American centres write wind."""
    multi = eccodes.codes_grib_multi_new()
    for part in parts:
        eccodes.codes_grib_multi_append(eccodes.codes_new_from_message(part), 4, multi)
    with tempfile.TemporaryFile() as file:
        eccodes.codes_grib_multi_write(multi, file)
        file.seek(0)
        return file.read()
