"""Hours in settings, whole or parts of an hour."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from hindsight.fields import intervals
from hindsight.settings import Domain, Download, Reanalyse
from hindsight.settings.hours import in_frames, in_full, in_words, is_whole, iso_duration, minutes


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (6, 6), (6.0, 6), ("6", 6), ("6 h", 6), ("60 min", 1), (0.25, 0.25), ("1/12", 1 / 12), ("5 min", 1 / 12),
        (0.08333333333, 1 / 12), ("0.5", 0.5), (1.5, 1.5), ("90 min", 1.5),
    ],
)  # fmt: skip
def test_a_step_is_read_and_settings_files_keep_it(given, expected):
    found = Domain(step_hours=given)
    assert found.step_hours == expected and isinstance(found.step_hours, type(expected))
    again = Domain.model_validate(json.loads(found.model_dump_json()))
    assert again.step_hours == found.step_hours and again.model_dump_json() == found.model_dump_json()


def test_a_whole_step_is_written_as_it_always_was():
    assert '"step_hours":6' in Domain(step_hours=6).model_dump_json()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (0, "more than 0"), (-1, "more than 0"), (0.0833, "4.998 minutes"), ("1/7", "8.57143 minutes"),
        ("5 min.", "not a number of hours"), ("5 s", "not a number of hours"), ("1/0", "not a number of hours"),
        (True, "not a number of hours"), ([6], "not a number of hours"), (1e12, "not a number of hours"),
        (float("nan"), "not a number of hours"),
    ],
)  # fmt: skip
def test_other_steps_are_refused_with_a_sentence(given, says):
    with pytest.raises(ValidationError, match=says):
        Domain(step_hours=given)


def test_a_lag_may_be_zero_and_may_not_be_negative():
    assert Reanalyse(regime="fixed_lag", lag_hours=0).lag_frames(1 / 12) == 0
    with pytest.raises(ValidationError, match="must not be negative"):
        Reanalyse(regime="fixed_lag", lag_hours=-1)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 10, 12, 15, 20, 30, 45, 60, 90, 360, 1440])
@pytest.mark.parametrize("count", [1, 3, 11, 12, 13, 288])
def test_frames_are_counted_without_rounding(step, count):
    hours = Domain(step_hours=f"{step} min").step_hours
    assert in_frames(count * hours, hours) == count and is_whole(count * hours, hours)
    assert in_frames(f := minutes(count * hours) / 60 - 1 / 60, hours) == count - 1 or f <= 0


def test_hours_in_words():
    assert [in_words(1 / 12), in_words(6), in_words(1.5)] == ["5 min", "6 h", "90 min"]
    assert [in_full(1 / 12), in_full(6), iso_duration(0.25), iso_duration(24)] == [
        "5 minutes",
        "6 hours",
        "PT15M",
        "PT24H",
    ]


def test_frames_of_minutes_have_exact_times():
    period = {"start": "2010-08-26", "end": "2010-08-26T07:35"}
    found = intervals.parts(
        Download.model_validate(
            {"source": "bucket", "bucket": {"url": "a"}, "periods": [period], "step_hours": "5 min", "part_frames": 40}
        )
    )
    times = np.concatenate([one.times for one in found])
    np.testing.assert_array_equal(times, np.arange("2010-08-26", "2010-08-26T07:40", 5, dtype="datetime64[m]"))
    assert [one.name for one in found] == ["20100826T00_40", "20100826T0320_40", "20100826T0640_12"]
    for one in found:
        again = intervals.parse(one.name, 1 / 12)
        assert (again.times == one.times).all() and again.last == one.last
