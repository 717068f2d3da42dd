"""Source `local`."""

import numpy as np
import pytest
import xarray as xr

from hindsight.download import local
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.settings import Download


def gather(tmp_path, files, **settings):
    local.run(Download(title="a source", licence="free", **settings), files=files, raw=tmp_path / "raw.zarr")
    return store.read(tmp_path / "raw.zarr")


def test_one_file_a_variable_and_one_file_a_year_come_to_the_same(source, tmp_path):
    by_variable = [tmp_path / f"{name}.nc" for name in ("z", "t")]
    for path in by_variable:
        source[[path.stem]].to_netcdf(path)
    by_year = [tmp_path / "2001.nc", tmp_path / "2000.nc"]  # given out of order
    for path in by_year:
        source.sel(time=path.stem).to_netcdf(path)
    one = gather(tmp_path, by_variable).load()
    two = gather(tmp_path, by_year).load()
    xr.testing.assert_allclose(one.drop_attrs(), two.drop_attrs())
    assert one["z"].attrs["units"] == "m**2 s**-2" and one.attrs["source_title"] == "a source"


def test_packed_values_are_decoded_and_a_zarr_store_is_a_source(source, tmp_path):
    source.to_netcdf(
        tmp_path / "packed.nc",
        encoding={"z": {"dtype": "int16", "scale_factor": 0.5, "add_offset": 54000, "_FillValue": -32767}},
    )
    found = gather(tmp_path, [tmp_path / "packed.nc"])
    assert np.abs(found["z"] - source["z"]).max() <= 0.25 + 1e-6
    source.to_zarr(tmp_path / "s.zarr")
    xr.testing.assert_equal(gather(tmp_path, [tmp_path / "s.zarr"]).load().drop_attrs(), source.drop_attrs())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda s, p: (p / "a.nc").write_text("no netCDF"), "cannot read .*a.nc.*expected netCDF or Zarr"),
        (lambda s, p: None, "there is no .*a.nc"),
        (lambda s, p: s.isel(time=0, drop=True).to_netcdf(p / "a.nc"), "no time dimension"),
        (lambda s, p: s.assign_coords(time=np.arange(425)).to_netcdf(p / "a.nc"), "not dates"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused_in_words(source, tmp_path, make, says):
    make(source, tmp_path)
    with pytest.raises(UserError, match=says):
        gather(tmp_path, [tmp_path / "a.nc"])
    assert not (tmp_path / "raw.zarr").exists()


def test_files_of_two_grids_do_not_fit(source, tmp_path):
    source[["z"]].to_netcdf(tmp_path / "z.nc")
    source[["t"]].isel(lat=slice(1, None)).to_netcdf(tmp_path / "t.nc")
    with pytest.raises(UserError, match="do not fit together"):
        gather(tmp_path, [tmp_path / "z.nc", tmp_path / "t.nc"])


def test_a_disk_without_room_is_refused(source, tmp_path):
    source.to_netcdf(tmp_path / "a.nc")
    with pytest.raises(UserError, match="GB are free"):
        gather(tmp_path, [tmp_path / "a.nc"], minimum_free_gb=1e9)
