"""Which messages make which frames: amounts against all ways there are, tried one by one."""

import numpy as np
import pandas as pd
import pytest

from hindsight.download import choice
from hindsight.errors import UserError
from hindsight.settings.lexicon import CHANNELS

DAY = pd.Timestamp("2020-01-01")


def hours(number: float) -> pd.Timestamp:
    return DAY + pd.Timedelta(hours=number)


def table(rows: list[tuple], **columns) -> pd.DataFrame:
    """Messages: (base, begin, valid) in hours from a day's beginning."""
    found = pd.DataFrame([[hours(k) for k in row] for row in rows], columns=["base", "begin", "valid"])
    usual = {
        "stepType": "accum",
        "dataType": "fc",
        "expver": "0001",
        "file": "a",
        "offset": range(len(rows)),
        "field": 0,
    }
    return found.assign(**usual | columns)


def times(*numbers: float) -> np.ndarray:
    return np.array([hours(k) for k in numbers], "datetime64[ns]")


def told(messages: pd.DataFrame, one: choice.Sum) -> float:
    """The amount that a sum of messages tells of rain that falls by the law x**1.5 from 100 hours before the day."""
    law = lambda time: ((time - hours(-100)) / pd.Timedelta(hours=1)) ** 1.5
    return sum(sign * (law(messages["valid"][row]) - law(messages["begin"][row])) for row, sign in one)


HOURLY = [(6 * (k // 6), k, k + 1) for k in range(-30, 30)]
SINCE_MIDNIGHT = [(24 * d, 24 * d, 24 * d + k) for d in (-1, 0) for k in range(1, 25)]
FORECASTS = [(b, b, b + k) for b in (-24, -12, 0, 12) for k in (3, 6, 9, 12)]


@pytest.mark.parametrize("rows", [HOURLY, SINCE_MIDNIGHT, FORECASTS, HOURLY[::2] + SINCE_MIDNIGHT[::2]])
@pytest.mark.parametrize("window", [1, 3, 6, 12, 24])
def test_amounts_are_those_of_the_window_wherever_there_are_any(rows, window):
    messages, ends = table(rows), range(0, 25)
    law = lambda k: (k + 100) ** 1.5
    found = choice.amounts(messages, times(*ends), window)
    for end, one in zip(ends, found):
        assert bool(one) == possible({r[1:] for r in rows}, {(r[0], r[2]) for r in rows if r[0] == r[1]}, end, window)
        if one:
            assert told(messages, one) == pytest.approx(law(end) - law(end - window), abs=1e-9)


def possible(whole: set, since: set, end: int, window: int) -> bool:
    """By brute force, over whole hours: is the window made of equal pieces, each a message or a difference?"""

    def piece(a, b):
        return (a, b) in whole or any((s, a) in since and (s, b) in since for s in range(-30, 30))

    lengths = [n for n in range(1, window + 1) if window % n == 0]
    return any(all(piece(end - k - n, end - k) for k in range(0, window, n)) for n in lengths)


def test_one_message_is_better_than_two_and_a_late_forecast_than_an_early_one():
    messages = table([(0, 0, 6), (0, 0, 3), (0, 3, 6), (-6, -6, 3), (-6, -6, 6), (0, 0, 12)])
    assert choice.amounts(messages, times(6), 6) == [[(0, 1)]]
    assert choice.amounts(messages.drop(2), times(6), 3) == [[(0, 1), (1, -1)]]
    assert choice.amounts(messages.drop([0, 2]), times(6), 3) == [[(4, 1), (3, -1)]]


def test_pieces_may_be_shorter_than_an_hour_and_a_missing_one_is_a_hole():
    messages = table([(0, k / 4, (k + 1) / 4) for k in range(8)])
    assert len(choice.amounts(messages, times(2), 1)[0]) == 4
    assert choice.amounts(messages.drop(5), times(1, 2), 1)[1] == []


def test_old_grib_that_says_nothing_of_the_period_means_since_the_start():
    messages = table([(0, 6, 6), (0, 12, 12)], stepType="instant")
    assert choice.amounts(messages, times(6, 12), 6) == [[(0, 1)], [(1, 1), (0, -1)]]
    assert choice.amounts(table([(0, 0, 6)], stepType="avg"), times(6), 6) == [[]]


def test_analyses_come_before_forecasts_short_before_long_final_before_preliminary():
    rows = [(0, 12, 12), (6, 12, 12), (12, 12, 12), (12, 12, 12), (12, 12, 12)]
    kinds = {"dataType": ["fc", "fc", "an", "an", "an"], "expver": ["0001", "0001", "0005", "0001", "0001"]}
    messages = table(rows, **kinds | {"stepType": [*4 * ["instant"], "avgua"]})
    order = [3, 2, 1, 0, 4]
    for best in range(5):
        kept = messages.drop(order[:best])
        for shuffled in (kept, kept.iloc[::-1]):
            assert choice.instants(shuffled, times(6, 12)) == [[], [(order[best], 1)]]
    assert choice.provisional(messages).tolist() == [False, False, True, False, False]


def inventory(*series: tuple) -> pd.DataFrame:
    names = ["paramId", "shortName", "cfVarName", "typeOfLevel", "level", "member"]
    return pd.DataFrame(series, columns=names)


LEVELS = [(130, "t", "t", "isobaricInhPa", level, -1) for level in (500.0, 850.0)]
TWO_METRES = [(167, "2t", "t2m", "heightAboveGround", 2.0, -1)]
MEMBERS = [(130, "t", "t", "isobaricInhPa", 500.0, member) for member in range(3)]


def test_a_channel_is_found_by_parameter_and_level_or_by_a_name():
    held = inventory(*LEVELS, *TWO_METRES, (228228, "tp", "tp", "surface", 0.0, -1), (131, "u", "u", "hybrid", 1.0, -1))
    found = choice.series(held, [CHANNELS[name] for name in ("t850", "t2m", "tp6")], None)
    assert {name: rows.index.tolist() for name, rows in found.items()} == {"t850": [1], "t2m": [2], "tp6": [3]}


@pytest.mark.parametrize(
    ("asked", "series", "member"), [(None, MEMBERS, 0), (2, MEMBERS, 2), (None, MEMBERS + LEVELS, -1)]
)
def test_the_member_is_the_one_asked_for_or_deterministic_or_the_control(asked, series, member):
    found = choice.series(inventory(*series), [CHANNELS["t500"]], asked)
    assert found["t500"]["member"].tolist() == [member]


@pytest.mark.parametrize(
    ("series", "channels", "member", "says"),
    [
        (
            TWO_METRES,
            ["d2m"],
            None,
            r"no variable for channel d2m \(parameter 168, 2d or tdps or d2m.*did you mean.*2t.*\?\); add",
        ),
        (LEVELS, ["msl"], None, r"no variable for channel msl .*they have t\)"),
        (
            LEVELS,
            ["t300"],
            None,
            "'t', but not at level 300 hPa, for channel t300 .*InhPa 500, isobaricInhPa 850",
        ),
        ([(134, "sp", "sp", "hybrid", 1.0, -1)], ["sp"], None, "'sp', but not at the surface or near it"),
        (MEMBERS, ["t500"], 7, r"no member 7 \(they have members 0, 1, 2\); set download.grib.member"),
        (MEMBERS[1:], ["t500"], None, "no deterministic fields and no control .*members 1, 2"),
        (LEVELS, ["t500"], 3, "no member 3 .*deterministic ones.*which is null"),
        (MEMBERS + TWO_METRES, ["t500", "t2m"], 1, "no member 1 of channel t2m .*deterministic ones"),
        (MEMBERS + TWO_METRES, ["t500", "t2m"], None, "no deterministic field of channel t500 .*members 0, 1, 2"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(series, channels, member, says):
    with pytest.raises(UserError, match=says):
        choice.series(inventory(*series), [CHANNELS[name] for name in channels], member)
