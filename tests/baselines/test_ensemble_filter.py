"""The loop of ensemble filters: which rows reach an analysis at which frame, and what is returned."""

import numpy as np
import pytest

from hindsight.baselines import ensemble_filter
from hindsight.operators.rows import Rows

SIZE, FRAMES, MEMBERS = 4, 5, 3
FIRST = np.datetime64("2009-01-01T12", "ns")
DAY = np.timedelta64(24, "h")
TIMES = FIRST + np.arange(FRAMES) * DAY


def rows(lags, offset=None):
    """A row of two values for each lag (days)."""
    count = len(lags)
    ones, point = np.ones(count), np.tile([1, 2], (count, 1))
    offset = None if offset is None else np.array(offset)
    return Rows(FIRST + np.array(lags) * DAY, point, np.ones((count, 2)), ones, ones, ones, np.arange(count), offset)


class Counting:
    """Forecasts that add one to every value."""

    def start(self, time):
        return np.zeros((MEMBERS, SIZE))

    def after(self, states, time):
        return states + 1


class Recorded:
    """An analysis that adds a hundred to the frames that it is given, and notes what it was given."""

    def __init__(self):
        self.given = []

    def analyse(self, states, rows, time):
        self.given.append((int((time - FIRST) / DAY), rows.key.tolist(), rows.point.tolist(), states.shape[1] // SIZE))
        return states + 100


def ran(given, first=0):
    method = Recorded()
    return method.given, ensemble_filter.forecast_and_analyse("letkf", method, Counting(), given, TIMES, 24, first)


def test_rows_are_analysed_at_their_frame_and_frames_without_rows_are_forecasts():
    given, found = ran(rows([0, 2, 2]))
    assert given == [(0, [0], [[1, 2]], 1), (2, [1, 2], [[1, 2]] * 2, 1)]
    assert found.shape == (MEMBERS, FRAMES, SIZE) and found.dtype == np.float32
    np.testing.assert_array_equal(found[0, :, 0], [100, 101, 202, 203, 204])


def test_the_frames_before_the_first_are_not_returned():
    _, whole = ran(rows([0, 2]))
    _, found = ran(rows([0, 2]), first=2)
    np.testing.assert_array_equal(found, whole[:, 2:])


@pytest.mark.parametrize(
    ("lag", "offset", "when", "point", "together"),
    [
        (2, [-1, 0], 2, [1, 6], 2),  # the frame before and its own
        (2, [0, 1], 3, [1, 6], 2),  # waits for the frame after
        (1, [-1, 2], 3, [1, 14], 4),
        (3, [-1, -1], 3, [1, 2], 2),  # not before its own frame
    ],
)
def test_a_row_waits_for_the_last_of_its_frames(lag, offset, when, point, together):
    given, found = ran(rows([lag], [offset]))
    assert given == [(when, [0], [point], together)]
    assert found[0, when, 0] == 100 + when and found[0, when - 1, 0] == when - 1, "an analysis knows no later row"


def test_the_members_of_earlier_frames_are_those_of_the_last_analysis():
    """Both frames are analysed together at frame 1, and again at frame 2."""
    seen = []
    method = Recorded()
    method.analyse = lambda states, rows, time: seen.append(states[0, ::SIZE].tolist()) or states + 100
    ensemble_filter.forecast_and_analyse("letkf", method, Counting(), rows([1, 2], [[-1, 0]] * 2), TIMES, 24, 0)
    assert seen == [[0, 1], [101, 102]]


def test_rows_that_depend_on_frames_beyond_the_window_are_counted(capsys):
    given, _ = ran(rows([0, 0, 4, 4, -1], [[-1, 0], [0, 0], [0, 1], [0, 0], [0, 0]]))
    assert [keys for _, keys, *_ in given] == [[1], [3]]
    assert "3 of 5 observations depend on frames outside the stretch and are not used" in capsys.readouterr().out
    ran(rows([0]))
    assert "not used" not in capsys.readouterr().out
