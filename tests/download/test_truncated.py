"""Truncated netCDF files of every format, cut at every critical place."""

import netCDF4
import numpy as np
import pytest

from hindsight.download.truncated import missing_bytes

FORMATS = ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA", "NETCDF4", "NETCDF4_CLASSIC")


def written(path, form, frames, over_time=("t", "u"), dtype="i2"):
    """A file with variables with and without time, attributes of odd lengths, and sizes that need padding."""
    with netCDF4.Dataset(path, "w", format=form) as file:
        file.title, file.numbers = "odd", np.array([1.0, 2.0, 3.0])
        file.createDimension("time", frames)
        file.createDimension("x", 5)
        x = file.createVariable("x", "f4", ("x",))
        x.units, x[:] = "degrees_east", np.arange(5)
        file.createVariable("scalar", "i1", ())[...] = 7
        for name in over_time:
            variable = file.createVariable(name, dtype, ("time", "x"))
            variable.scale_factor = np.float32(0.5)
            variable.set_auto_maskandscale(False)
            variable[:] = np.ones((3, 5), dtype)
    return path


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("frames", [None, 3])
@pytest.mark.parametrize(("over_time", "dtype"), [(("t", "u"), "i2"), (("t",), "i2"), (("t",), "f8"), ((), "i2")])
def test_missing_bytes_are_those_that_were_cut_off(tmp_path, form, frames, over_time, dtype):
    path = written(tmp_path / "a.nc", form, frames, over_time, dtype)
    assert missing_bytes(path) == 0
    whole = path.read_bytes()
    path.write_bytes(whole + b"more")
    assert missing_bytes(path) == 0
    for cut in (5, 12, 20):
        path.write_bytes(whole[:-cut])
        assert cut - 3 <= missing_bytes(path) <= cut  # the last value may be padded


def test_a_file_cut_in_its_header_has_missing_bytes(tmp_path):
    whole = written(tmp_path / "a.nc", "NETCDF3_CLASSIC", 3).read_bytes()
    (tmp_path / "a.nc").write_bytes(whole[:100])
    assert missing_bytes(tmp_path / "a.nc") > 0


def test_other_files_have_no_missing_bytes(tmp_path):
    for content in (b"", b"CDF", b"GRIB" * 9, b"PK\x03\x04" * 9):
        (tmp_path / "a").write_bytes(content)
        assert missing_bytes(tmp_path / "a") == 0
