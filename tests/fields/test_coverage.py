"""Which points a source covers, counted by hand."""

import json

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import coverage

TIMES = np.datetime64("2010-08-26T00:00", "ns") + np.arange(100) * np.timedelta64(5, "m")
AXES = {"latitude": [0.0, 0.1, 0.2], "longitude": [0.0, 0.1, 0.2, 0.3]}


def source(holes, frames=100):
    """Rain everywhere but at points (frames, row, column)."""
    values = np.ones((frames, 3, 4), "float32")
    for when, row, column in holes:
        values[when, row, column] = np.nan
    return xr.DataArray(values, {"time": TIMES[:frames], **AXES}, ("time", *AXES))


def test_a_point_that_lacks_more_than_the_share_is_not_covered_and_others_leave_holes():
    found = source([(slice(None), 0, 0), (slice(0, 11), 2, 3), (slice(40, 50), 1, 1)])
    covered, holes = coverage.find([found], TIMES, 0.1)
    assert np.argwhere(~covered).tolist() == [[0, 0], [2, 3]]
    assert list(holes) == list(TIMES[40:50])
    covered, holes = coverage.find([found], TIMES, 0.0)
    assert np.argwhere(~covered).tolist() == [[0, 0], [1, 1], [2, 3]] and not holes


def test_a_wedge_that_grows_is_masked_as_far_as_the_share_and_its_later_frames_are_holes():
    """The wedge has column 0 from frame 20 on, column 1 from frame 60 on, column 2 in frames 95 to 99."""
    wedge = source([(slice(20, None), slice(None), 0), (slice(60, None), slice(None), 1), (slice(95, None), 0, 2)])
    covered, holes = coverage.find([wedge], TIMES, 0.1)
    assert covered.tolist() == [[False, False, True, True]] * 3 and list(holes) == list(TIMES[95:])


def test_frames_without_any_value_are_holes_and_do_not_count_for_points():
    """Of 50 frames with values, 5 lack a point: a tenth, and no more; of all 100 it would be 55."""
    found = source([(slice(50, None), slice(None), slice(None)), (slice(0, 5), 0, 0)])
    covered, holes = coverage.find([found], TIMES, 0.1)
    assert covered.all() and list(holes) == [*TIMES[:5], *TIMES[50:]]
    assert not coverage.find([found], TIMES, 0.09)[0][0, 0]


def test_parts_levels_and_times_that_do_not_count():
    """As one part or two, by levels or not; frames that no period needs do not count."""
    found = source([(slice(0, 30), 0, 0), (slice(90, 99), 1, 2)])
    levels = xr.concat([source([]), found], "level").transpose("time", "latitude", "level", "longitude")
    for parts in ([found], [found[:70], found[70:]], [levels]):
        covered, holes = coverage.find(parts, TIMES, 0.2)
        assert np.argwhere(~covered).tolist() == [[0, 0]] and list(holes) == list(TIMES[90:99])
    covered, holes = coverage.find([found], TIMES[30:], 0.2)
    assert covered.all() and list(holes) == list(TIMES[90:99])


def test_a_mask_comes_back_from_a_file():
    generator = np.random.default_rng(0)
    for covered in (generator.random((3, 4)) > 0.4, ~np.eye(3, 4, dtype=bool), np.zeros((3, 4), bool)):
        text = json.dumps(coverage.encode(covered))
        plain = source([]).to_dataset(name="rain_rate")
        for given in (plain, plain.isel(latitude=slice(None, None, -1))):  # from the north: it is sorted first
            found = coverage.marked(given, json.loads(text), "radar")
            np.testing.assert_array_equal(found["covered"].values, covered)
            assert found["latitude"].values.tolist() == AXES["latitude"]
    assert coverage.encode(np.ones((3, 4), bool)) is None
    assert coverage.marked(plain, None, "radar") is plain
    assert coverage.encode(np.array([[True, False, False, True], [False] * 4]))["runs"] == [[1, 2], [4, 4]]


def test_a_mask_of_another_grid_is_refused():
    listed = coverage.encode(np.eye(5, dtype=bool))
    with pytest.raises(UserError, match="radar has 3 x 4 points, and the manifest lists which of 25 are masked"):
        coverage.marked(source([]).to_dataset(name="rain_rate"), listed, "radar")
