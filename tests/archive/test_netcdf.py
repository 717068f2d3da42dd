"""Copies as netCDF."""

import json

import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr

from hindsight.archive import netcdf
from hindsight.errors import UserError
from hindsight.settings import Archive, Domain
from tests.archive.conftest import Small


def copy(small, kind="members"):
    netcdf.run(Archive(netcdf=kind), layout=small.layout, markers=small.markers[::-1], archive=small.archive,
               folder=small.folder / "netcdf", marker=small.folder / "netcdf.json")  # fmt: skip
    return json.loads((small.folder / "netcdf.json").read_text())


@pytest.fixture
def newyear(tmp_path, monkeypatch):
    """An archive whose second shard lies in two years."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    made = Small(tmp_path, end="2010-01-04T12:00")
    monkeypatch.setattr(Small, "domain", property(lambda self: domain_across_new_year(self)))
    made.make()
    return made


def domain_across_new_year(small):
    return Domain(channels=["z500", "msl"], test={"start": "2009-12-15T12:00", "end": small.end})


def test_the_yearly_files_together_equal_the_archive_bit_for_bit(newyear):
    made = copy(newyear)
    assert sorted(made["files"]) == [
        f"{kind}-{year}.nc" for kind in ("mean", "members", "spread") for year in (2009, 2010)
    ]
    for kind, group in (("members", None), ("mean", "mean"), ("spread", "spread")):
        years = [xr.load_dataset(newyear.folder / f"netcdf/{kind}-{year}.nc") for year in (2009, 2010)]
        assert [year.sizes["time"] for year in years] == [17, 4]
        found, archive = (
            xr.concat(years, "time", data_vars="minimal"),
            xr.open_zarr(newyear.archive, group=group).load(),
        )
        for name in ("z500", "msl", "time", "latitude", "level_500"):
            np.testing.assert_array_equal(found[name].values, archive[name].values)
        assert found["z500"].attrs == archive["z500"].attrs and found["z500"].dtype == np.float32


def test_a_file_has_attributes_of_the_time_it_covers(newyear):
    copy(newyear, "mean")
    about = xr.load_dataset(newyear.folder / "netcdf/mean-2010.nc").attrs
    assert (
        about["time_coverage_start"] == "2010-01-01T12:00:00Z" and about["time_coverage_end"] == "2010-01-04T12:00:00Z"
    )
    assert about["time_coverage_duration"] == "P3DT0H" and about["title"] == "Ensemble mean of Small"
    assert not (newyear.folder / "netcdf/members-2010.nc").exists()


def test_finished_years_are_not_rewritten_when_the_archive_grows(newyear):
    before = copy(newyear)
    old = (newyear.folder / "netcdf/members-2009.nc").stat()
    newyear.end = "2010-01-20T12:00"
    newyear.make()
    after = copy(newyear)
    assert (newyear.folder / "netcdf/members-2009.nc").stat().st_mtime_ns == old.st_mtime_ns
    assert after["files"]["members-2009.nc"] == before["files"]["members-2009.nc"]
    assert xr.load_dataset(newyear.folder / "netcdf/mean-2010.nc").sizes["time"] == 20


def test_a_truncated_file_is_written_again_with_the_same_bytes(newyear):
    before, path = copy(newyear), newyear.folder / "netcdf/spread-2009.nc"
    path.write_bytes(path.read_bytes()[:500])
    assert copy(newyear) == before


def test_a_copy_that_is_killed_leaves_no_file(newyear, monkeypatch):
    def cut(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(netcdf, "_variable", cut)
    with pytest.raises(KeyboardInterrupt):
        copy(newyear)
    assert not list((newyear.folder / "netcdf").glob("*.nc")) and not (newyear.folder / "netcdf.json").exists()


def test_a_folder_that_cannot_be_written_is_a_clear_error(newyear):
    (newyear.folder / "netcdf").write_text("")
    with pytest.raises(UserError, match="cannot write .*mean-2009.nc"):
        copy(newyear)


def test_only_one_shard_is_in_memory_at_a_time(newyear, monkeypatch):
    """Nothing longer than a shard is ever read."""
    read, real = [], zarr.Array.__getitem__
    monkeypatch.setattr(zarr.Array, "__getitem__", lambda self, key: read.append(real(self, key)) or read[-1])
    copy(newyear)
    assert max(np.shape(values)[-3] for values in read if np.ndim(values) > 2) <= 10


def test_netcdf4_reads_it_without_xarray(newyear):
    copy(newyear, "mean")
    with netCDF4.Dataset(newyear.folder / "netcdf/mean-2009.nc") as file:
        assert file["z500"].coordinates == "level_500" and file["time"].dtype == np.int32
        assert file["z500"].chunking() == [5, 5, 6] and file["z500"].filters()["zlib"]


def test_attributes_of_a_variable_that_change_are_copied_too(small):
    """`archive.time_cells` changes nothing else, neither objects nor global attributes."""
    small.make()
    before = copy(small)["files"]
    array = zarr.open_array(small.archive / "z500", mode="r+")
    array.attrs["cell_methods"] = "time: mean"
    after = copy(small)["files"]
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"members-2009.nc"}
    with netCDF4.Dataset(small.folder / "netcdf/members-2009.nc") as file:
        assert file["z500"].cell_methods == "time: mean"


def test_integers_in_attributes_are_as_long_as_those_of_variables():
    found = netcdf._short({"flag_values": [0, 1], "kept": 7, "name": "covered", "share": 0.5})
    assert found["flag_values"].dtype == "i4" and found["kept"].dtype == "i4"
    assert found["name"] == "covered" and found["share"] == 0.5
