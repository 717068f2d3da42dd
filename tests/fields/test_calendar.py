"""Time axes and frame numbers."""

import numpy as np
import pytest

from hindsight.errors import UserError
from hindsight.fields import calendar


def axis(days):
    return np.datetime64("2000-01-01T12", "ns") + np.array(days) * np.timedelta64(1, "D")


@pytest.mark.parametrize(
    ("days", "what"),
    [
        ([0, 1, 3], "a gap"),
        ([0, 1, 1, 2], "a repeated time"),
        ([0, 2, 1], "a gap|out of order"),
        ([0, 1, 1.5], "closer"),
    ],
)
def test_a_time_axis_that_is_not_even_is_refused_with_the_place(days, what):
    times = np.datetime64("2000-01-01T12", "ns") + (np.array(days) * 24).astype(int) * np.timedelta64(1, "h")
    with pytest.raises(UserError, match=what):
        calendar.check_axis(times, 24, "x.nc")


def test_an_even_axis_passes():
    calendar.check_axis(axis(range(10)), 24, "x.nc")


def test_frame_numbers_do_not_depend_on_the_job():
    here, there = axis(range(10)), axis(range(5, 8))
    np.testing.assert_array_equal(calendar.frame_number(here, 24)[5:8], calendar.frame_number(there, 24))


def test_phases_are_turns():
    assert np.isclose(calendar.day_phase(axis([0]))[0], 0.5)
    assert np.isclose(calendar.year_phase(axis([0]))[0], 0.5 / 365.2425)
