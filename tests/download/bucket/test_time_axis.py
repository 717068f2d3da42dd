"""Time axes of stores."""

import numpy as np
import pytest

from hindsight.download.bucket.time_axis import TimeAxis, hours_before, validity
from hindsight.errors import UserError
from hindsight.settings.lexicon import CHANNELS

START = np.datetime64("2000-01-01T00", "ns")


def hours(*numbers):
    return START + np.array(numbers) * np.timedelta64(1, "h")


def test_rows_are_those_of_the_times_whatever_their_order():
    times = hours(12, 0, 6, 6, 24)
    axis = TimeAxis.of(times, {}, None)
    rows = axis.rows(hours(0, 3, 6, 12, 18, 24, 30))
    assert rows.tolist() == [1, -1, 2, 0, -1, 4, -1]
    assert (times[rows[rows >= 0]] == hours(0, 6, 12, 24)).all()


def test_a_date_in_the_attributes_means_all_of_the_day():
    attributes = {
        "valid_time_start": "2000-01-01",
        "valid_time_stop": "2000-01-02",
        "valid_time_stop_era5t": "2000-01-03T06:00",
    }
    axis = TimeAxis.of(hours(*range(-24, 240, 6)), attributes, None)
    wanted = hours(*range(-12, 84, 6))
    assert wanted[axis.rows(wanted) >= 0].tolist() == hours(*range(0, 60, 6)).tolist()
    assert axis.preliminary_times(wanted).tolist() == hours(48, 54).tolist()
    assert validity(attributes, hours(0, 30)) == {
        "valid_time_start": "2000-01-01T00:00",
        "valid_time_stop": "2000-01-02T06:00",
        "valid_time_stop_era5t": "2000-01-02T06:00",
    }


def test_attributes_that_are_not_times_are_ignored():
    axis = TimeAxis.of(hours(0, 6), {"valid_time_stop": "soon"}, None)
    assert axis.rows(hours(0, 6)).tolist() == [0, 1] and not len(axis.preliminary_times(hours(0, 6)))


@pytest.mark.parametrize("versions", [[1, 1, 5], ["0001", "0001", "0005"], [b"1", b"1", b"5"], [1.0, 1.0, 5.0]])
def test_versions_mark_preliminary_times(versions):
    axis = TimeAxis.of(hours(0, 6, 12), {}, np.array(versions))
    assert axis.preliminary_times(hours(0, 6, 12, 18)).tolist() == hours(12).tolist()


def test_frames_outside_the_time_axis_are_refused_and_a_gap_is_not():
    axis = TimeAxis.of(hours(0, 6, 12, 24), {}, None)
    axis.check(hours(6, 12, 18, 24), "here")
    with pytest.raises(
        UserError, match="here has no frame from 2000-01-02T06:00 to 2000-01-02T12:00; it has frames from"
    ):
        axis.check(hours(30, 36), "here")
    with pytest.raises(UserError, match="has a frame every 6 h, and the settings need one every 4 h"):
        axis.check(hours(0, 4), "here")


def test_hours_to_sum_over_are_those_of_the_longest_channel():
    axis = TimeAxis.of(hours(0, 1, 2), {}, None)
    assert hours_before([CHANNELS["tp3"], CHANNELS["tp6"]], {}, axis, "here", 1).tolist() == [0, 1, 2, 3, 4, 5]
    assert hours_before([CHANNELS["tp6"]], {"accumulated_hours": 3}, axis, "here").tolist() == [0, 3]
    with pytest.raises(UserError, match="accumulations of 6 h every 1 h, which do not fill the 3 h of tp3; choose tp6"):
        hours_before([CHANNELS["tp3"]], {"accumulated_hours": 6}, axis, "here")
    with pytest.raises(UserError, match="accumulations of 1 h every 6 h, which do not fill the 6 h of tp6; choose tp1"):
        hours_before([CHANNELS["tp6"]], {}, TimeAxis.of(hours(0, 6), {}, None), "here", 1)
    with pytest.raises(UserError, match="does not say over how many hours.*download.accumulated: {tp6: 1}"):
        hours_before([CHANNELS["tp6"]], {}, axis, "here")
    with pytest.raises(UserError, match="running sums from 00 UTC cannot be read"):
        hours_before([CHANNELS["tp6"]], {}, axis, "here", "since_midnight")
