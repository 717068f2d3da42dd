"""The rows near a frame, and random draws that do not depend on the shard."""

import numpy as np
import pandas as pd
import pytest

from hindsight.baselines import each_frame
from hindsight.operators.rows import Rows
from hindsight.settings import Product

TIME = np.datetime64("2009-01-01T12", "ns")
DAY = np.timedelta64(24, "h")
SIZE = 10


def rows(lags, offset=None):
    """A row of two values for each lag (days)."""
    count = len(lags)
    ones, point = np.ones(count), np.tile([3, 4], (count, 1))
    offset = None if offset is None else np.array(offset)
    return Rows(TIME + np.array(lags) * DAY, point, np.ones((count, 2)), ones, ones, ones, np.arange(count), offset)


def test_observations_between_frames_are_left_out():
    table = pd.DataFrame({"time": [TIME + np.timedelta64(3, "h"), TIME - DAY], "value": [1.0, 2.0]})
    np.testing.assert_array_equal(each_frame._at_frames(table, TIME, 24)["value"], [2.0])


def test_the_rows_of_the_span_have_points_in_their_own_frame():
    found = each_frame.of_span(rows([-2, -1, 0, 1, 2]), TIME, 3, 24, SIZE)
    np.testing.assert_array_equal(found.key, [1, 2, 3])
    np.testing.assert_array_equal(found.point, [[3, 4], [13, 14], [23, 24]])


def test_the_rows_of_a_window_count_its_frames_from_the_first():
    found = each_frame.of_frames(rows([-1, 0, 1, 2]), TIME, 2, 24, SIZE)
    np.testing.assert_array_equal(found.key, [1, 2])
    np.testing.assert_array_equal(found.point, [[3, 4], [13, 14]])


def test_rows_that_need_a_frame_beyond_the_span_are_left_out():
    given = rows([0, 0, 1, 1], offset=[[-1, 1], [0, 2], [0, 1], [-1, 0]])
    found = each_frame.of_span(given, TIME, 3, 24, SIZE)
    np.testing.assert_array_equal(found.key, [0, 3])
    np.testing.assert_array_equal(found.point, [[3, 24], [13, 24]])


@pytest.mark.parametrize(
    ("span", "says"), [(1, "2 of 3 observations depend on more frames"), (2, "1 of 3"), (3, ""), (5, "")]
)
def test_rows_that_no_span_of_frames_holds_are_counted(span, says):
    note = each_frame.unused_note(rows([0, 0, 0], offset=[[0, 0], [-1, 0], [0, 2]]), span)
    assert note.startswith(says) and bool(says) == bool(note)


def test_a_draw_is_a_function_of_seed_member_frame_and_purpose():
    found = each_frame.draw(Product(members=3), 5 << 32, 7, 4)
    np.testing.assert_array_equal(found[:2], each_frame.draw(Product(members=2), 5 << 32, 7, 4))
    others = [
        each_frame.draw(Product(members=3, seed=9), 5 << 32, 7, 4),
        each_frame.draw(Product(members=3), 6 << 32, 7, 4),
    ]
    others.append(each_frame.draw(Product(members=3), 5 << 32, 8, 4))
    assert len(np.unique([found, *others])) == 4 * found.size


def test_draws_are_standard_normal():
    found = each_frame.draw(Product(members=200), 5 << 32, 7, 500)
    assert abs(found.mean()) < 4.5 / np.sqrt(found.size) and abs(found.var() - 1) < 4.5 * np.sqrt(2 / found.size)
