"""Time axes of stores."""

import numpy as np
import pytest

from hindsight.download.bucket.time_axis import Clock, summed, validity
from hindsight.errors import UserError
from hindsight.settings.lexicon import CHANNELS

START = np.datetime64("2000-01-01T00", "ns")


def hours(*numbers):
    return START + np.array(numbers) * np.timedelta64(1, "h")


def test_rows_are_those_of_the_times_whatever_their_order():
    times = hours(12, 0, 6, 6, 24)
    clock = Clock.of(times, {}, None)
    rows = clock.rows(hours(0, 3, 6, 12, 18, 24, 30))
    assert rows.tolist() == [1, -1, 2, 0, -1, 4, -1]
    assert (times[rows[rows >= 0]] == hours(0, 6, 12, 24)).all()


def test_a_date_in_the_attributes_means_all_of_the_day():
    attributes = {
        "valid_time_start": "2000-01-01",
        "valid_time_stop": "2000-01-02",
        "valid_time_stop_era5t": "2000-01-03T06:00",
    }
    clock = Clock.of(hours(*range(-24, 240, 6)), attributes, None)
    wanted = hours(*range(-12, 84, 6))
    assert wanted[clock.rows(wanted) >= 0].tolist() == hours(*range(0, 60, 6)).tolist()
    assert clock.provisional(wanted).tolist() == hours(48, 54).tolist()
    assert validity(attributes, hours(0, 30)) == {
        "valid_time_start": "2000-01-01T00:00",
        "valid_time_stop": "2000-01-02T06:00",
        "valid_time_stop_era5t": "2000-01-02T06:00",
    }


def test_attributes_that_are_no_times_are_passed_over():
    clock = Clock.of(hours(0, 6), {"valid_time_stop": "soon"}, None)
    assert clock.rows(hours(0, 6)).tolist() == [0, 1] and not len(clock.provisional(hours(0, 6)))


@pytest.mark.parametrize("versions", [[1, 1, 5], ["0001", "0001", "0005"], [b"1", b"1", b"5"], [1.0, 1.0, 5.0]])
def test_versions_tell_what_is_preliminary(versions):
    clock = Clock.of(hours(0, 6, 12), {}, np.array(versions))
    assert clock.provisional(hours(0, 6, 12, 18)).tolist() == hours(12).tolist()


def test_frames_that_cannot_be_had_are_refused_and_a_gap_is_not():
    clock = Clock.of(hours(0, 6, 12, 24), {}, None)
    clock.check(hours(6, 12, 18, 24), "here")
    with pytest.raises(
        UserError, match="here has no frame from 2000-01-02T06:00 to 2000-01-02T12:00; it has them from"
    ):
        clock.check(hours(30, 36), "here")
    with pytest.raises(UserError, match="has a frame every 6 h, and one is asked for every 4 h"):
        clock.check(hours(0, 4), "here")


def test_hours_to_sum_over_are_those_of_the_longest_channel():
    clock = Clock.of(hours(0, 1, 2), {}, None)
    assert summed([CHANNELS["tp3"], CHANNELS["tp6"]], {}, clock, "here", 1).tolist() == [0, 1, 2, 3, 4, 5]
    assert summed([CHANNELS["tp6"]], {"accumulated_hours": 3}, clock, "here").tolist() == [0, 3]
    with pytest.raises(UserError, match="accumulations of 6 h every 1 h, which do not fill the 3 h of tp3; choose tp6"):
        summed([CHANNELS["tp3"]], {"accumulated_hours": 6}, clock, "here")
    with pytest.raises(UserError, match="accumulations of 1 h every 6 h, which do not fill the 6 h of tp6; choose tp1"):
        summed([CHANNELS["tp6"]], {}, Clock.of(hours(0, 6), {}, None), "here", 1)
    with pytest.raises(UserError, match="does not say over how many hours.*download.accumulated: {tp6: 1}"):
        summed([CHANNELS["tp6"]], {}, clock, "here")
    with pytest.raises(UserError, match="cannot be taken apart"):
        summed([CHANNELS["tp6"]], {}, clock, "here", "since_midnight")
