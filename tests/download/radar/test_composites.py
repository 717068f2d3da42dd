"""The list of composites: formats by content, times in order, and what is refused or left out with a reason."""

import numpy as np
import pytest

from hindsight.download.radar import composites
from hindsight.errors import UserError
from hindsight.settings import Download
from tests.download.radar import radar_files

PIXELS = np.full((12, 10), 20)


def listed(folder, files=None):
    settings = Download.model_validate({"source": "radar", "radar": {"files": ["*"]}})
    composites.run(settings, files=sorted(files or folder.iterdir()), composites=folder.parent / "list.json")
    return composites.read(folder.parent / "list.json")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.mark.parametrize("kind", ["knmi", "odim", "fmi"])
def test_formats_are_known_by_content_and_files_are_in_order_of_time(folder, kind):
    for name, minute in (("b", 0), ("a", 10), ("c", 5)):
        if kind == "fmi":
            radar_files.fmi(folder / name, PIXELS, f"2016092814{minute:02d}")
        else:
            getattr(radar_files, kind)(folder / name, PIXELS, f"2010-08-26T00:{minute:02d}")
    found = listed(folder)
    assert found.layout.format == kind and [one.path[-1] for one in found.files] == ["b", "c", "a"]
    assert [one.time[14:16] for one in found.files] == ["00", "05", "10"] and not found.unreadable


def test_files_that_cannot_be_read_are_listed_with_the_reason(folder, capsys):
    good = radar_files.odim(folder / "good.h5", PIXELS)
    (folder / "README.md").write_text("composites of August")
    (folder / "empty.h5").touch()
    (folder / "cut.h5").write_bytes(good.read_bytes()[:2000])
    (folder / "inner").mkdir()
    radar_files.odim(folder / "volume.h5", PIXELS, object="PVOL")
    found = listed(folder)
    assert [one.path for one in found.files] == [str(good)] and len(found.unreadable) == 5
    said = {name.rsplit("/", 1)[-1]: why for name, why in found.unreadable.items()}
    assert said["README.md"].startswith("it is no HDF5") and said["empty.h5"] == "it is empty, 0 bytes"
    assert "PVOL" in said["volume.h5"] and said["inner"] == "it is a folder" and said["cut.h5"]
    assert "left out: " in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        {"projection": radar_files.PROJECTION.replace("lon_0=0", "lon_0=5")},
        {"source": "ORG:78"},
        {"quantity": "RATE"},
    ],
)
def test_mixed_radars_projections_and_quantities_are_refused(folder, change):
    radar_files.odim(folder / "a.h5", PIXELS)
    radar_files.odim(folder / "b.h5", PIXELS, "2010-08-26T00:10")
    radar_files.odim(folder / "c.h5", PIXELS, "2010-08-26T00:15", **change)
    with pytest.raises(UserError, match=r"make no series:\n  2 file\(s\) like b.h5: .*\n  1 file\(s\) like c.h5"):
        listed(folder)


def test_other_sizes_and_formats_are_refused(folder):
    radar_files.knmi(folder / "a", PIXELS)
    radar_files.knmi(folder / "b", PIXELS[1:], "2010-08-26T00:10")
    radar_files.fmi(folder / "c", PIXELS)
    with pytest.raises(UserError, match="11 x 10") as error:
        listed(folder)
    assert "(FMI)" in str(error.value) and "name the files of one of them" in str(error.value)


def test_two_files_of_a_time_are_refused(folder):
    for name in "abc":
        radar_files.knmi(folder / name, PIXELS)
    with pytest.raises(UserError, match=r"2 time\(s\) have two composites: .*a and .*b \(2010-08-26T00:05"):
        listed(folder)


def test_no_composite_at_all_is_refused(folder):
    (folder / "a.txt").write_text("none")
    with pytest.raises(UserError, match=r"no radar composite among 1 file\(s\):\n  .*a.txt: it is no HDF5"):
        listed(folder)
