"""The storm that is shown, against storms that were put there."""

from datetime import datetime

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.verify import storm
from tests.verify.worlds import BOX, GLOBE

FRAMES = 600  # more than are read at once
TIMES = np.datetime64("2009-01-01T12", "ns") + np.arange(FRAMES) * np.timedelta64(1, "D")


def fields(grid, lows, channels=("t850", "msl")):
    """A steady slope from south to north, with lows (frame, row, column, depth) in the last channel."""
    values = np.broadcast_to(-500.0 * np.arange(grid.shape[0])[:, None], (FRAMES, len(channels), *grid.shape)).copy()
    for frame, row, column, depth in lows:
        values[frame, -1, row, column] -= depth
    dims = ("time", "channel", "latitude", "longitude")
    return xr.DataArray(values, {"time": TIMES, "channel": list(channels)}, dims)


def test_the_deepest_low_of_the_period_is_found_wherever_frames_are_cut():
    for frame in (0, 255, 256, 599):
        found = storm.find(fields(BOX, [(frame, 3, 5, 900.0), (100, 2, 4, 800.0)]), BOX, None)
        assert found == storm.Storm("msl", frame, BOX.latitude[3], BOX.longitude[5])


def test_a_low_is_relative_to_the_mean_at_its_point():
    """The northernmost rows are 2500 Pa lower in every frame, and no storm."""
    assert storm.find(fields(BOX, [(7, 1, 5, 100.0)]), BOX, None).frame == 7


def test_storms_cut_by_the_edge_of_a_box_or_at_a_pole_are_passed_over():
    lows = [(5, 3, 0, 900.0), (9, 3, 5, 300.0)]
    assert storm.find(fields(BOX, lows), BOX, None).frame == 9
    assert (
        storm.find(fields(GLOBE, [(5, 20, 0, 900.0), (9, 3, 5, 300.0)]), GLOBE, None).frame == 5
    )  # a globe has no edge
    assert storm.find(fields(GLOBE, [(5, 31, 8, 900.0), (9, 3, 5, 300.0)]), GLOBE, None).frame == 9
    polar = Grid(np.arange(80.0, 88), BOX.longitude)
    assert storm.find(fields(polar, [(9, 3, 5, 300.0)]), polar, None).frame == 9


def test_the_frame_nearest_to_the_time_asked_for_is_shown():
    lows = [(5, 3, 5, 900.0), (9, 2, 4, 300.0)]
    found = storm.find(fields(BOX, lows), BOX, datetime(2009, 1, 10, 10))
    assert (found.frame, found.latitude, found.longitude) == (9, BOX.latitude[2], BOX.longitude[4])
    with pytest.raises(UserError, match="not in the test period; choose 2009-01-01T12"):
        storm.find(fields(BOX, lows), BOX, datetime(2008, 1, 1))


def test_without_pressure_the_lowest_geopotential_is_used_or_any_departure():
    assert storm.storm_channel(["z500", "z850", "t850"]) == "z850"
    assert storm.storm_channel(["t850", "q850"]) == "q850"
    assert storm.find(fields(BOX, [(5, 3, 5, -900.0), (9, 3, 5, 300.0)], ("t850",)), BOX, None).frame == 5


def test_frames_shown_are_half_a_day_or_a_part_of_the_period_apart_and_inside_it():
    one = lambda frame: storm.Storm("msl", frame, 0.0, 0.0)
    assert storm.frames_around(one(10), 600, 24).tolist() == [8, 9, 10, 11, 12]
    assert storm.frames_around(one(10), 600, 6).tolist() == [6, 8, 10, 12, 14]
    assert storm.frames_around(one(1), 3, 24).tolist() == [0, 1, 2]
    assert storm.frames_around(one(24), 48, 1 / 12).tolist() == [12, 18, 24, 30, 36]  # of four hours


@pytest.mark.parametrize(
    ("channels", "called"),
    [
        (("t850", "msl"), "the storm"),
        (("msl", "z500"), "the storm"),
        (("u850", "vorticity"), "the largest departure from the mean"),
        (("x",), "the largest departure from the mean"),
    ],
)
def test_only_pressure_and_geopotential_have_storms(channels, called):
    assert storm.find(fields(BOX, [(7, 3, 5, 900.0)], channels), BOX, None).description == called


def test_pieces_of_an_analysis_give_the_storm_that_they_give_together():
    """Shards of any length, in place of fields: the same storm, also at a time that is asked for."""
    whole = fields(BOX, [(77, 3, 5, 900.0), (400, 2, 4, 800.0)])
    pieces = lambda: (whole.isel(time=slice(k, k + 70)) for k in range(0, FRAMES, 70))
    for requested in (None, datetime(2010, 2, 5, 10)):
        assert storm.find(pieces, BOX, requested) == storm.find(whole, BOX, requested)
    assert storm.find(pieces, BOX, None).frame == 77


def test_a_storm_is_where_the_source_has_values():
    covered = np.ones(BOX.shape, bool)
    covered[3, 5] = False
    grid = Grid(BOX.latitude, BOX.longitude, covered)
    assert storm.find(fields(grid, [(5, 3, 5, 900.0), (9, 2, 4, 300.0)]), grid, None).frame == 9
