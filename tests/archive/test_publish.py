"""The landing page and the entry for catalogues."""

import json
import os
import re
import subprocess
import sys

import pytest

from hindsight.archive import observations, publish
from hindsight.settings import Archive
from tests.archive.test_observations import sections, tables

SAID = [("2009-01-01T12:00:00", "stream", "a stream starts"), ("2009-01-11T12:00:00", "seam", "the first frame"),
        ("2009-01-11T12:00:00", "network", "msl from ship: 40 a day, then 0")]  # fmt: skip
ROW = {"channel": "msl", "hour": 12, "inside": 90, "seams": 9, "change": 80.0}
BREAKS = {
    "break_points": [dict(zip(("time", "kind", "what"), one)) for one in SAID],
    "changes": [ROW | {"ratio": 1.234, "lower": 1.1, "upper": 1.4},
                ROW | {"hour": 0, "seams": 0, "ratio": None, "lower": None, "upper": None}],
    "confidence": 0.9,
}  # fmt: skip


@pytest.fixture
def published(small):
    issue = {"title": "calm winds", "start": "2009-01-03", "end": "2009-01-04", "channels": ["z500"]}
    small.archive_settings |= {"creator_name": "A. Person", "licence": "CC-BY-4.0", "version": "1.0"}
    small.archive_settings["known_issues"] = [issue]
    small.lay_out()
    small.check()
    page, catalogue = small.archive.with_name("README.md"), small.archive.with_name("stac.json")
    marker = small.archive.with_name("observations.json")
    page.with_name("explore.html").touch()  # of another step
    observations.run(
        *sections(2), feedback=tables(small.folder / "from"), folder=marker.with_name("feedback"), marker=marker
    )
    breaks = page.with_name("break_points.json")
    breaks.write_text(json.dumps(BREAKS))
    publish.run(Archive(**small.archive_settings), layout=small.layout, check=small.result, tables=[marker],
                breaks=breaks, revisions=page.with_name("revisions"), register=page.with_name("revisions.json"),
                page=page, catalogue=catalogue)  # fmt: skip
    return small


def test_the_code_on_the_page_runs_in_the_folder_of_the_page(published):
    text = published.archive.with_name("README.md").read_text()
    code = "".join(re.findall(r"^    (.*\n)", text, re.M))
    done = subprocess.run([sys.executable, "-c", code], cwd=published.archive.parent, capture_output=True, text=True)
    assert done.returncode == 0 and "[[" in done.stdout, done.stderr


def test_known_issues_are_on_the_page_and_in_the_register(published):
    text = published.archive.with_name("README.md").read_text()
    assert "| calm winds | z500 | 2009-01-03T00:00:00 | 2009-01-04T23:59:59 |" in text
    register = json.loads(published.archive.with_name("revisions.json").read_text())
    assert [one["title"] for one in register["known_issues"]] == ["calm winds"] and register["revisions"] == []


def test_the_page_agrees_with_the_metadata(published):
    text = published.archive.with_name("README.md").read_text()
    checked = json.loads(published.result.read_text())
    assert (
        text.startswith("# Small\n")
        and "| `z500` | geopotential at 500 hPa | geopotential | m2 s-2 | 15 of 23 |" in text
    )
    assert (
        f"{100 * checked['rounding_error']['z500']['rms']:.2g} %" in text
        and "25 frames" in text
        and "`sparse10`" in text
    )
    assert "> A. Person (2026). Small. version 1.0. hindsight-" in text and "doi" not in text.lower()
    assert "None" not in text and "\n\n\n" not in text


def test_the_page_lists_break_points_and_changes_at_seams(published):
    text = published.archive.with_name("README.md").read_text()
    assert "| 2009-01-11T12:00:00 | network | msl from ship: 40 a day, then 0 |" in text
    assert "with 1 first frames of shards" in text and "the first frame |" not in text
    assert (
        "| `msl` | 12 | 9 | 1.23 | 1.10 to 1.40 |" in text and "| `msl` | 0 |" not in text and "90 % interval" in text
    )


def test_the_entry_has_what_stac_requires(published):
    entry = json.loads(published.archive.with_name("stac.json").read_text())
    required = {"type", "stac_version", "id", "description", "license", "extent", "links"}
    assert required <= set(entry) and entry["license"] == "CC-BY-4.0"
    assert entry["extent"] == {
        "spatial": {"bbox": [[-3.0, 40.0, 2.0, 44.0]]},
        "temporal": {"interval": [["2009-01-01T12:00:00Z", "2009-01-25T12:00:00Z"]]},
    }
    for asset in entry["assets"].values():
        assert (published.archive.parent / asset["href"]).exists(), asset
    assert set(entry["cube:variables"]["msl"]["dimensions"]) == set(entry["cube:dimensions"])


def test_the_entry_is_valid_by_the_schemas_of_stac(published):
    """The schemas of STAC itself lie in pystac; those of extensions are on the web."""
    pystac = pytest.importorskip("pystac", reason="no pystac here; pip install pystac")
    validation = pytest.importorskip("pystac.validation")
    entry = json.loads(published.archive.with_name("stac.json").read_text())
    core = entry | {"stac_extensions": []}
    assert validation.validate_dict(core)
    with pytest.raises(pystac.STACValidationError):
        validation.validate_dict({k: v for k, v in core.items() if k != "license"})
    assert pystac.Collection.from_dict(entry).extent.spatial.bboxes == [[-3.0, 40.0, 2.0, 44.0]]


@pytest.mark.parametrize(
    ("west", "east", "step", "found"),
    [(0.0, 354.375, "5.625 degrees", (-180.0, 180.0)), (170.0, 190.0, "1 degrees", (170.0, -170.0)),
     (190.0, 200.0, "1 degrees", (-170.0, -160.0)), (-20.0, 14.5, "1.5 degrees", (-20.0, 14.5))],
)  # fmt: skip
def test_boxes_are_those_of_geojson(west, east, step, found):
    about = {"geospatial_lon_min": west, "geospatial_lon_max": east, "geospatial_lon_resolution": step,
             "geospatial_lat_min": 0.0, "geospatial_lat_max": 1.0}  # fmt: skip
    assert publish.bounding_box(about) == [found[0], 0.0, found[1], 1.0]


def test_an_unknown_creator_is_not_invented():
    about = {"title": "T", "id": "hindsight-1", "date_modified": "2026-01-01"}
    assert publish.citation(about) == "T (2026). hindsight-1."
    assert publish.citation(about | {"institution": "I", "publisher_name": "P"}) == "I (2026). T. P. hindsight-1."


def test_publishing_again_changes_no_file(published):
    page = published.archive.with_name("README.md")
    before = page.stat().st_mtime_ns
    marker = page.with_name("observations.json")
    publish.run(Archive(**published.archive_settings), layout=published.layout, check=published.result, page=page,
                tables=[marker], breaks=page.with_name("break_points.json"), revisions=page.with_name("revisions"),
                register=page.with_name("revisions.json"),
                catalogue=published.archive.with_name("stac.json"))  # fmt: skip
    assert page.stat().st_mtime_ns == before and os.listdir(page.parent).count("README.md") == 1
