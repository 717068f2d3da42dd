"""A public checker on what is published: CF 1.11 and ACDD 1.3, by the compliance checker of IOOS."""

import json
import shutil
import subprocess

import pytest

from hindsight.archive import netcdf
from hindsight.settings import Archive

CHECKER = shutil.which("compliance-checker")
pytestmark = pytest.mark.skipif(CHECKER is None, reason="no compliance-checker here; pip install compliance-checker")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The netCDF copies of a small archive."""
    from tests.archive.conftest import Small

    small = Small(tmp_path_factory.mktemp("compliance"))
    small.archive_settings |= {"licence": "CC0-1.0", "creator_name": "A", "naming_authority": "org.example"}
    small.make()
    netcdf.run(Archive(netcdf="members"), layout=small.layout, markers=small.markers, archive=small.archive,
               folder=small.folder / "netcdf", marker=small.folder / "netcdf.json")  # fmt: skip
    return small.folder / "netcdf"


def report(path, standard):
    """The checker's report on a file, as the dictionary it writes."""
    out = path.with_suffix(f".{standard.replace(':', '')}.json")
    words = [CHECKER, "--test", standard, "--criteria", "lenient", "--format", "json", "--output", out, path]
    subprocess.run(words, capture_output=True, text=True, timeout=300)
    return json.loads(out.read_text())[standard]


@pytest.mark.parametrize("kind", ["members", "mean", "spread"])
@pytest.mark.parametrize("standard", ["cf:1.11", "acdd:1.3"])
def test_there_is_no_error_of_high_priority(files, kind, standard):
    found = report(files / f"{kind}-2009.nc", standard)
    messages = [message for fault in found["high_priorities"] for message in fault["msgs"]]
    assert messages == [] and found["high_count"] == 0
    assert found["possible_points"] > 20  # it has looked


@pytest.mark.parametrize("kind", ["members", "mean", "spread"])
def test_the_only_cf_warning_is_that_the_mean_has_no_members(files, kind):
    found = report(files / f"{kind}-2009.nc", "cf:1.11")
    messages = [m for level in ("medium_priorities", "low_priorities") for f in found[level] for m in f["msgs"]]
    assert [m for m in messages if "cell_methods name component realization" not in m] == []


def test_the_checker_finds_what_is_wrong(files, tmp_path):
    """A file with units that are none, and without a title."""
    import netCDF4

    path = shutil.copy(files / "mean-2009.nc", tmp_path / "wrong.nc")
    with netCDF4.Dataset(path, "a") as file:
        file["z500"].units = "parsec per fortnight squared"
        file.delncattr("title")
    assert (
        report(tmp_path / "wrong.nc", "cf:1.11")["high_count"] + report(tmp_path / "wrong.nc", "acdd:1.3")["high_count"]
    )
