"""Parts of a source: complete or not written, made once, and summarised."""

import json

import numpy as np
import pytest

from hindsight.download import part

REQUEST = {"url": "gs://a/b.zarr", "part": "20000101T12_425"}


@pytest.fixture
def written(source, tmp_path):
    """A part with one hole, and where it lies."""
    spoilt = source.assign(t=source["t"].where(source["time"] != source["time"][7]))
    raw, marker = tmp_path / "a.zarr/zarr.json", tmp_path / "a.json"
    part.write(spoilt, raw, marker, REQUEST, {"url": "gs://a/b.zarr"})
    return spoilt, raw, marker


def test_the_marker_lists_contents_and_missing_values(written):
    spoilt, _, marker = written
    found = json.loads(marker.read_text())
    assert (found["frames"], found["first"], found["steps_hours"]) == (425, "2000-01-01T12:00:00", [24.0])
    t = found["variables"]["t"]
    assert t["holes"] == ["2000-01-08T12:00:00"] and t["nan"] == 48 and t["units"] == "degC"
    assert t["lowest"] == pytest.approx(float(spoilt["t"].min())) and found["variables"]["z"]["holes"] == []
    assert found["request"] == REQUEST and found["source"] == {"url": "gs://a/b.zarr"}


def test_a_part_is_made_once_and_again_only_for_another_request(written):
    _, raw, marker = written
    before = marker.read_text()
    marker.unlink()
    assert part.reuse(raw, marker, REQUEST) and marker.read_text() == before
    assert not part.reuse(raw, marker, REQUEST | {"url": "gs://a/c.zarr"})
    raw.unlink()
    assert not part.reuse(raw, marker, REQUEST)


def test_frames_that_are_all_missing_have_no_range(source):
    found = part.inspect((source * np.nan).isel(time=slice(3)))[0]["variables"]["z"]
    assert (found["lowest"], found["highest"], len(found["holes"])) == (None, None, 3)
