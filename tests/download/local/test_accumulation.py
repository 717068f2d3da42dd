"""The period of each value of a sum."""

import numpy as np
import pandas as pd
import pytest

from hindsight.download.local import accumulation
from hindsight.download.local.accumulation import HOUR, hours_of, is_running_sum
from hindsight.errors import UserError
from hindsight.settings.lexicon import CHANNELS

HOURS = pd.date_range("2023-01-01T01:00", periods=240, freq="h").to_numpy()
RAIN = np.random.default_rng(0).gamma(0.2, 1.0, (240, 3))
RUNNING = RAIN.reshape(10, 24, 3).cumsum(1).reshape(240, 3)


def of(hours=None, attributes=None, bounds=None, valid=HOURS, channel="tp6"):
    return accumulation.periods(valid, hours, attributes or {}, bounds, CHANNELS[channel], "it")


def test_hours_are_counted_back_from_the_end():
    begin, end = of(hours=3)
    np.testing.assert_array_equal(begin, HOURS - np.timedelta64(3, "h"))
    np.testing.assert_array_equal(end, HOURS)


def test_a_running_sum_begins_at_the_last_midnight_before_its_end():
    begin, _ = of(hours="since_midnight", valid=HOURS[[0, 22, 23, 24]])
    days = np.array(["2023-01-01", "2023-01-01", "2023-01-01", "2023-01-02"], "datetime64[ns]")
    np.testing.assert_array_equal(begin, days)


def test_bounds_are_taken_as_they_are_unless_the_settings_say_otherwise():
    bounds = np.stack([HOURS - np.timedelta64(90, "m"), HOURS - np.timedelta64(30, "m")], 1)
    np.testing.assert_array_equal(np.stack(of(bounds=bounds), 1), bounds)
    np.testing.assert_array_equal(of(hours=1, bounds=bounds)[1], HOURS)


@pytest.mark.parametrize(
    ("methods", "every", "hours"),
    [
        ("time: sum (interval: 1 hour)", 1, 1),
        ("area: mean time: sum (interval: 3 hours)", 3, 3),
        ("time: sum (interval: 1 day)", 24, 24),
        ("time: sum (interval: 1 hour)", 3, None),  # of what was summed, or of each value?
        ("time: mean (interval: 1 hour)", 1, None),
    ],
)
def test_an_interval_is_used_if_it_equals_the_time_step(methods, every, hours):
    valid = HOURS[every - 1 :: every]
    if hours:
        assert (of(attributes={"cell_methods": methods}, valid=valid, channel="tp24")[0] == valid - hours * HOUR).all()
    else:
        with pytest.raises(UserError, match="does not say over how many hours"):
            of(attributes={"cell_methods": methods}, valid=valid, channel="tp24")


def test_a_running_sum_is_recognised_by_its_values_unless_it_is_dry_or_constant():
    assert is_running_sum(HOURS, RUNNING) is True
    assert is_running_sum(HOURS[2::3], RUNNING[2::3]) is True
    assert is_running_sum(HOURS, RAIN) is False
    assert is_running_sum(HOURS, np.zeros((240, 3))) is None
    assert is_running_sum(HOURS, np.full((240, 3), 1e-3)) is None
    assert is_running_sum(HOURS[23::24], RUNNING[23::24]) is None
    noise = 1e-6 * np.random.default_rng(1).standard_normal((240, 3))
    assert is_running_sum(HOURS, np.float32(RUNNING) + noise) is True


def test_amounts_that_are_largest_before_a_midnight_are_not_taken_for_a_running_sum():
    evening = pd.date_range("2023-01-01T18:00", periods=3, freq="6h").to_numpy()
    assert is_running_sum(evening, np.repeat([[0.1], [2.0], [1.0]], 9, 1)) is None  # at nine points


@pytest.mark.parametrize(("every", "days"), [(1, 1), (3, 2), (6, 4)])
def test_a_running_sum_needs_a_dozen_rises_whatever_its_step(every, days):
    rain = np.repeat(RAIN[:, :1] + 0.1, 9, 1)  # alike at nine points
    sums, times = rain.reshape(10, 24, 9).cumsum(1).reshape(240, 9)[every - 1 :: every], HOURS[every - 1 :: every]
    for count, says in ((days, True), (days - 1, None)):
        first = slice(0, count * 24 // every + 1)
        assert is_running_sum(times[first], sums[first]) is says


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"hours": 1, "attributes": {"running_sum": True}},
            "is a running sum from 00 UTC.*download.accumulated say 1",
        ),
        ({"hours": 24, "attributes": {"running_sum": True}}, "is a running sum from 00 UTC.*say 24"),
        ({"hours": "since_midnight", "attributes": {"running_sum": False}}, "decreases within a day"),
        ({"hours": 4}, "sums over 4 h every 1 h, which do not cover the 6 h"),
        ({"hours": 12}, "sums over 12 h"),
        ({"hours": 1, "valid": HOURS[5::6]}, "sums over 1 h every 6 h"),
        ({"bounds": np.stack([HOURS[5::6] - HOUR, HOURS[5::6]], 1)}, "sums over 1 h every 6 h"),
    ],
)
def test_contradictions_are_refused(given, says):
    with pytest.raises(UserError, match=says):
        of(**given)


def test_names_imply_hours():
    assert [hours_of(name) for name in ("tp6", "total_precipitation_24hr", "tp", "z500")] == [
        6,
        24,
        None,
        None,
    ]
