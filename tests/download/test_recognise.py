"""Files that are not what their name says."""

import gzip
import zipfile

import pytest

from hindsight.download import recognise
from hindsight.errors import UserError
from tests.download.local_files import field, variable


def zipped(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: zipped(path, "instant.nc", "accum.nc"), r"a zip of instant.nc, accum.nc \(2 file"),
        (lambda path: zipped(path, "a.zarr/zarr.json"), "a zip of a Zarr store.*unzip"),
        (lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "cut short"),
        (lambda path: path.write_bytes(gzip.compress(b"x")), "gunzip"),
        (lambda path: path.write_bytes(b"GRIB\x00\x01"), "download.source: grib"),
        (lambda path: path.write_bytes(b"BUFR\x00\x01"), "observations, no fields"),
        (lambda path: path.write_text("\n <html><body>503 Service Unavailable"), "503 Service Unavailable"),
        (lambda path: path.write_bytes(b""), "empty, 0 bytes"),
    ],
)
def test_what_a_file_is_is_said(tmp_path, make, says):
    make(tmp_path / "a.nc")
    with pytest.raises(UserError, match=f"a.nc is .*{says}"):
        recognise.refuse(tmp_path / "a.nc")


def test_netcdf_of_either_kind_and_stores_are_left_to_those_who_read_them(tmp_path):
    for head in (b"CDF\x01", b"CDF\x02", b"\x89HDF\r\n\x1a\n"):
        (tmp_path / "a.nc").write_bytes(head)
        recognise.refuse(tmp_path / "a.nc")
    recognise.refuse(tmp_path)


def test_the_identity_of_a_store_is_that_of_its_metadata_and_its_chunks(tmp_path):
    variable(field()).to_zarr(tmp_path / "a.zarr", consolidated=False)
    before = recognise.identity(tmp_path / "a.zarr")
    assert recognise.identity(tmp_path / "a.zarr") == before
    next((tmp_path / "a.zarr/t2m/c").rglob("0")).rename(tmp_path / "away")
    assert recognise.identity(tmp_path / "a.zarr") != before
