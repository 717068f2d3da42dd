"""A public checker on what is published: CF 1.11 and ACDD 1.3, by the compliance checker of IOOS."""

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hindsight.archive import netcdf
from hindsight.archive.metadata import FROM_SETTINGS
from hindsight.settings import Archive
from tests.archive.conftest import Small

DOCS = Path(__file__).parents[2] / "docs/how-to/archive.md"
CHECKER = shutil.which("compliance-checker")
pytestmark = pytest.mark.skipif(CHECKER is None, reason="no compliance-checker here; pip install compliance-checker")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The netCDF copies of a small archive: values at a time, sums and means, on a level, at heights and without."""
    small = Small(tmp_path_factory.mktemp("compliance"), channels=["z500", "msl", "t2m", "u10", "tp6", "tp24"])
    days = {"method": "mean", "start_hours": -12, "end_hours": 12}
    small.archive_settings |= {name: "A" for name in FROM_SETTINGS.values()} | {"time_cells": {"t2m": days}}
    small.archive_settings |= {
        name: "https://example.org" for name in ("creator_url", "publisher_url", "metadata_link")
    }
    small.make()
    netcdf.run(Archive(netcdf="members"), layout=small.layout, markers=small.markers, archive=small.archive,
               folder=small.folder / "netcdf", marker=small.folder / "netcdf.json")  # fmt: skip
    return small.folder / "netcdf"


def report(path, standard):
    """The checker's report on a file, as the dictionary it writes."""
    out = path.with_suffix(f".{standard.replace(':', '')}.json")
    words = [CHECKER, "--test", standard, "--criteria", "strict", "--format", "json", "--output", out, path]
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
@pytest.mark.parametrize("standard", ["cf:1.11", "acdd:1.3"])
def test_every_warning_is_explained_in_the_docs(files, kind, standard):
    found = report(files / f"{kind}-2009.nc", standard)
    messages = [m for level in ("medium_priorities", "low_priorities") for f in found[level] for m in f["msgs"]]
    assert [m for m in messages if not any(pattern.fullmatch(m) for pattern in explanations().values())] == []


def explanations():
    """Warnings that the guide to the archive explains, in the first column of a table, and what each matches."""
    _, section = DOCS.read_text().split("### Warnings of checkers\n")
    rows = re.findall(r"^\| (`.*?) \|", section.split("\n#")[0], re.M)
    texts = [text for row in rows for text in re.findall(r"`(.*?)`", row)]
    return {text: re.compile(re.escape(text).replace("VARIABLE", r"\w+")) for text in texts}


def test_every_explained_warning_is_one_that_the_checker_gives(files):
    given = set()
    for kind, standard in itertools.product(["members", "mean"], ["cf:1.11", "acdd:1.3"]):
        found = report(files / f"{kind}-2009.nc", standard)
        given |= {m for level in ("medium_priorities", "low_priorities") for f in found[level] for m in f["msgs"]}
    assert [text for text, pattern in explanations().items() if not any(map(pattern.fullmatch, given))] == []


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
