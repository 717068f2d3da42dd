"""Time axes and frame numbers."""

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import calendar
from hindsight.settings import Comparison, Domain


def axis(days):
    return np.datetime64("2000-01-01T12", "ns") + np.array(days) * np.timedelta64(1, "D")


def test_frame_numbers_do_not_depend_on_the_job():
    here, there = axis(range(10)), axis(range(5, 8))
    np.testing.assert_array_equal(calendar.frame_number(here, 24)[5:8], calendar.frame_number(there, 24))


def test_phases_are_turns():
    assert np.isclose(calendar.day_phase(axis([0]))[0], 0.5)
    assert np.isclose(calendar.year_phase(axis([0]))[0], 0.5 / 365.2425)


def test_the_time_of_year_goes_on_evenly_over_leap_years_and_centuries():
    """Four centuries, six-hourly: always a quarter of a day on, and after them the same as before."""
    times = np.datetime64("1800-01-01T00", "ns") + np.arange(4 * 146097 + 1) * np.timedelta64(6, "h")
    phase = calendar.year_phase(times)
    assert ((phase >= 0) & (phase < 1)).all()
    steps = (np.diff(phase) + 0.5) % 1 - 0.5
    np.testing.assert_allclose(steps, 0.25 / 365.2425, rtol=1e-6)
    assert np.isclose((phase[-1] - phase[0] + 0.5) % 1, 0.5)
    march = times[(times.astype("datetime64[M]").astype(int) % 12 == 2) & (times == times.astype("datetime64[M]"))]
    assert np.ptp(calendar.year_phase(march)) < 2.5 / 365.2425  # a date stays in its season


def segments(days, known=None, breaks=()):
    times = axis(days)
    known = np.ones(len(times), bool) if known is None else np.array(known, bool)
    return calendar.segments(times, known, axis(breaks) if len(breaks) else ()).tolist()


def test_consecutive_frames_are_one_segment():
    assert segments(range(5)) == [0] * 5 and segments([0]) == [0] and segments([]) == []


def test_a_break_a_masked_frame_and_a_gap_each_begin_another_segment():
    assert segments(range(6), breaks=[2, 5]) == [0, 0, 1, 1, 1, 2]
    assert segments(range(6), breaks=[5, -3, 2, 9]) == [0, 0, 1, 1, 1, 2]  # in any order, some where there is no frame
    assert segments([0, 2, 4, 6], breaks=[3]) == [0, 0, 1, 1]  # between two frames
    assert segments(range(6), [1, 1, 0, 0, 1, 1]) == [0, 0, -1, -1, 2, 2]
    assert segments([0, 1, 3, 4]) == [0, 0, 1, 1]
    found = segments(range(5), [0, 1, 0, 1, 1], breaks=[4])
    assert found[0] == found[2] == -1 and len({*found}) == 4


def test_windows_lie_within_one_segment():
    segment = np.array([0, 0, 0, -1, -1, 2, 2, 3, 3, 3, 3])
    for frames in (1, 2, 3, 4, 5, 12):
        inside = lambda part: len({*part}) == 1 and part[0] >= 0
        expected = [k for k in range(len(segment) - frames + 1) if inside(segment[k : k + frames].tolist())]
        assert calendar.window_starts(segment, frames).tolist() == expected
    assert calendar.window_starts(segment, 5).tolist() == []


def test_without_a_mask_all_frames_are_available():
    dataset = xr.Dataset(coords={"time": axis(range(3))})
    assert calendar.available(dataset).tolist() == [True] * 3
    assert calendar.available(dataset.assign(available=("time", [True, False, True]))).tolist() == [True, False, True]


def test_a_test_period_without_fields_must_only_continue_the_steps():
    domain = Domain(
        train={"start": "2000-01-01T12", "end": "2000-01-05T12"},
        validation={"start": "2000-02-01T12", "end": "2000-02-02T12"},
        test={"start": "1950-01-01T12", "end": "1950-01-02T12"},
    )
    times = axis([*range(5), 31, 32])
    calendar.check_splits(domain, times, "it", Comparison(against="none").splits(domain))
    with pytest.raises(UserError, match="no frame from 1950-01-01"):
        calendar.check_splits(domain, times, "it")
    with pytest.raises(
        UserError, match="2000-01-02T09:00 is not a whole number of steps of 24 h from domain.test.start"
    ):
        calendar.check_splits(domain, times - np.timedelta64(3, "h"), "it", Comparison(against="none").splits(domain))


def test_frame_numbers_count_minutes_too():
    times = np.array(["2010-08-26T00:00", "2010-08-26T00:05", "2010-08-26T01:00"], "datetime64[ns]")
    assert np.diff(calendar.frame_number(times, 1 / 12)).tolist() == [1, 11]
    hour = calendar.frame_number(times[[0, 2]], 1)
    assert np.diff(hour).tolist() == [1] and hour[0] * 12 == calendar.frame_number(times, 1 / 12)[0]


def test_keys_of_times_differ_and_those_of_full_hours_are_hours():
    times = np.arange("1969-12-31", "1970-01-02", 5, dtype="datetime64[m]").astype("datetime64[ns]")
    keys = calendar.time_key(times)
    assert len(np.unique(keys)) == len(times)
    full = times.astype("datetime64[h]") == times
    np.testing.assert_array_equal(keys[full], times[full].astype("datetime64[h]").astype(int))


def test_times_are_written_to_the_minute_where_they_are_no_full_hours():
    assert calendar.text(np.datetime64("2010-08-26T06:00", "ns")) == "2010-08-26T06"
    assert calendar.text(np.datetime64("2010-08-26T06:05", "ns")) == "2010-08-26T06:05"


def test_ends_of_segments_say_which_frames_lie_in_them():
    times, segment = axis([0, 1, 2, 4, 5, 9]), np.array([0, 0, -1, 1, 1, 2])
    ends = calendar.segment_ends(times, segment)
    assert ends[0] == ["2000-01-01T12:00", "2000-01-02T12:00"] and ends[2] == ["2000-01-10T12:00"] * 2
    every = axis(range(11))
    inside = calendar.within(every, ends)
    np.testing.assert_array_equal(np.flatnonzero(inside), [0, 1, 4, 5, 9])
    assert not calendar.within(every, []).any()
