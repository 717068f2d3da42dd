"""Files of another kind than their name says."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest

from hindsight.download import file_kind
from hindsight.errors import UserError
from tests.download.local.local_files import field, variable


def zipped(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")


def tarred(path, name):
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: zipped(path, "instant.nc", "accum.nc"), r"a zip of instant.nc, accum.nc \(2 file"),
        (lambda path: zipped(path, "a.zarr/zarr.json"), "a zip of a Zarr store.*unzip"),
        (lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "cut short"),
        (lambda path: path.write_bytes(gzip.compress(b"x")), "compressed by gzip.*gzip -d"),
        (lambda path: path.write_bytes(bz2.compress(b"x")), "compressed by bzip2"),
        (lambda path: path.write_bytes(lzma.compress(b"x")), "compressed by xz"),
        (lambda path: tarred(path, "instant.nc"), "a tar"),
        (lambda path: path.write_text('{"message": "no licence"}'), 'JSON.*"no licence".*fetch it again'),
        (lambda path: path.write_text("time,t2m\nä" * 200), "text .'time,t2m"),
        (lambda path: path.write_bytes(b"GRIB\x00\x01"), "download.source: grib"),
        (lambda path: path.write_bytes(b"BUFR\x00\x01"), "observations, no fields"),
        (lambda path: path.write_text("\n <html><body>503 Service Unavailable"), "503 Service Unavailable"),
        (lambda path: path.write_bytes(b""), "empty, 0 bytes"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_its_kind(tmp_path, make, says):
    make(tmp_path / "a.nc")
    with pytest.raises(UserError, match=f"a.nc is .*{says}"):
        file_kind.check_netcdf(tmp_path / "a.nc")


@pytest.mark.parametrize("form", ["NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF4"])
def test_netcdf_is_accepted_unless_it_is_truncated(tmp_path, form):
    path = tmp_path / "a.nc"
    variable(field()).to_netcdf(path, format=form)
    file_kind.check_netcdf(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        UserError, match=r"a.nc is cut short: at least (9[7-9]|100) bytes are missing at its end; fetch it again"
    ):
        file_kind.check_netcdf(path)


def test_stores_and_unknown_bytes_are_accepted(tmp_path):
    (tmp_path / "a.nc").write_bytes(bytes(range(256)))
    file_kind.check_netcdf(tmp_path / "a.nc")
    file_kind.check_netcdf(tmp_path)


def test_a_file_without_grib_is_refused_by_its_kind(tmp_path):
    path = tmp_path / "a.grib"
    variable(field()).to_netcdf(path)
    with pytest.raises(UserError, match=r"a.grib is netCDF; expected GRIB: read it with download.source: local"):
        file_kind.check_grib(path)
    for content, says in ((gzip.compress(b"x"), "compressed by gzip"), (b"<html>404</html>", "a page of HTML .*404")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"a.grib is {says}.*; expected GRIB"):
            file_kind.check_grib(path)
    path.write_bytes(bytes(100))
    file_kind.check_grib(path)


def test_the_identity_of_a_store_is_that_of_its_metadata_and_its_chunks(tmp_path):
    variable(field()).to_zarr(tmp_path / "a.zarr", consolidated=False)
    before = file_kind.identity(tmp_path / "a.zarr")
    assert file_kind.identity(tmp_path / "a.zarr") == before
    next((tmp_path / "a.zarr/t2m/c").rglob("0")).rename(tmp_path / "away")
    assert file_kind.identity(tmp_path / "a.zarr") != before
