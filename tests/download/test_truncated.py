"""Whether a netCDF file is all there: files of every format, cut at every place where it matters."""

import netCDF4
import numpy as np
import pytest

from hindsight.download.truncated import lacking

FORMATS = ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA", "NETCDF4", "NETCDF4_CLASSIC")


def written(path, form, frames, moving=("t", "u"), dtype="i2"):
    """A file with fixed and moving variables, attributes of odd lengths, and sizes that need padding."""
    with netCDF4.Dataset(path, "w", format=form) as file:
        file.title, file.numbers = "odd", np.array([1.0, 2.0, 3.0])
        file.createDimension("time", frames)
        file.createDimension("x", 5)
        x = file.createVariable("x", "f4", ("x",))
        x.units, x[:] = "degrees_east", np.arange(5)
        file.createVariable("scalar", "i1", ())[...] = 7
        for name in moving:
            variable = file.createVariable(name, dtype, ("time", "x"))
            variable.scale_factor = np.float32(0.5)
            variable.set_auto_maskandscale(False)
            variable[:] = np.ones((3, 5), dtype)
    return path


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("frames", [None, 3])
@pytest.mark.parametrize(("moving", "dtype"), [(("t", "u"), "i2"), (("t",), "i2"), (("t",), "f8"), ((), "i2")])
def test_a_whole_file_lacks_nothing_and_a_cut_one_what_was_cut(tmp_path, form, frames, moving, dtype):
    path = written(tmp_path / "a.nc", form, frames, moving, dtype)
    assert lacking(path) == 0
    whole = path.read_bytes()
    path.write_bytes(whole + b"more")
    assert lacking(path) == 0
    for cut in (5, 12, 20):
        path.write_bytes(whole[:-cut])
        assert cut - 3 <= lacking(path) <= cut  # the last value may be padded


def test_a_file_cut_in_its_head_lacks_something(tmp_path):
    whole = written(tmp_path / "a.nc", "NETCDF3_CLASSIC", 3).read_bytes()
    (tmp_path / "a.nc").write_bytes(whole[:100])
    assert lacking(tmp_path / "a.nc") > 0


def test_what_is_no_netcdf_lacks_nothing(tmp_path):
    for content in (b"", b"CDF", b"GRIB" * 9, b"PK\x03\x04" * 9):
        (tmp_path / "a").write_bytes(content)
        assert lacking(tmp_path / "a") == 0
