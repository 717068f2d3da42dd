"""The messages of each frame: amounts against all possible ways, tried one by one."""

import numpy as np
import pandas as pd
import pytest

from hindsight.download import assembly

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


def amount(messages: pd.DataFrame, one: assembly.Sum) -> float:
    """The amount of a sum of messages, for rain that falls as x**1.5 from 100 hours before the day."""
    law = lambda time: ((time - hours(-100)) / pd.Timedelta(hours=1)) ** 1.5
    return sum(sign * (law(messages["valid"][row]) - law(messages["begin"][row])) for row, sign in one)


HOURLY = [(6 * (k // 6), k, k + 1) for k in range(-30, 30)]
SINCE_MIDNIGHT = [(24 * d, 24 * d, 24 * d + k) for d in (-1, 0) for k in range(1, 25)]
FORECASTS = [(b, b, b + k) for b in (-24, -12, 0, 12) for k in (3, 6, 9, 12)]


@pytest.mark.parametrize("rows", [HOURLY, SINCE_MIDNIGHT, FORECASTS, HOURLY[::2] + SINCE_MIDNIGHT[::2]])
@pytest.mark.parametrize("window", [1, 3, 6, 12, 24])
def test_amounts_are_those_of_the_window_or_empty(rows, window):
    messages, ends = table(rows), range(0, 25)
    law = lambda k: (k + 100) ** 1.5
    found = assembly.amounts(messages, times(*ends), window)
    for end, one in zip(ends, found):
        assert bool(one) == possible({r[1:] for r in rows}, {(r[0], r[2]) for r in rows if r[0] == r[1]}, end, window)
        if one:
            assert amount(messages, one) == pytest.approx(law(end) - law(end - window), abs=1e-9)


def possible(whole: set, since: set, end: int, window: int) -> bool:
    """By brute force, over whole hours: is the window made of equal pieces, each a message or a difference?"""

    def piece(a, b):
        return (a, b) in whole or any((s, a) in since and (s, b) in since for s in range(-30, 30))

    lengths = [n for n in range(1, window + 1) if window % n == 0]
    return any(all(piece(end - k - n, end - k) for k in range(0, window, n)) for n in lengths)


def test_one_message_is_better_than_two_and_a_late_forecast_than_an_early_one():
    messages = table([(0, 0, 6), (0, 0, 3), (0, 3, 6), (-6, -6, 3), (-6, -6, 6), (0, 0, 12)])
    assert assembly.amounts(messages, times(6), 6) == [[(0, 1)]]
    assert assembly.amounts(messages.drop(2), times(6), 3) == [[(0, 1), (1, -1)]]
    assert assembly.amounts(messages.drop([0, 2]), times(6), 3) == [[(4, 1), (3, -1)]]


def test_periods_may_be_shorter_than_an_hour_and_a_missing_one_leaves_the_sum_empty():
    messages = table([(0, k / 4, (k + 1) / 4) for k in range(8)])
    assert len(assembly.amounts(messages, times(2), 1)[0]) == 4
    assert assembly.amounts(messages.drop(5), times(1, 2), 1)[1] == []


def test_old_grib_without_a_period_means_since_the_start():
    messages = table([(0, 6, 6), (0, 12, 12)], stepType="instant")
    assert assembly.amounts(messages, times(6, 12), 6) == [[(0, 1)], [(1, 1), (0, -1)]]
    assert assembly.amounts(table([(0, 0, 6)], stepType="avg"), times(6), 6) == [[]]


def test_analyses_come_before_forecasts_short_before_long_final_before_preliminary():
    rows = [(0, 12, 12), (6, 12, 12), (12, 12, 12), (12, 12, 12), (12, 12, 12)]
    kinds = {"dataType": ["fc", "fc", "an", "an", "an"], "expver": ["0001", "0001", "0005", "0001", "0001"]}
    messages = table(rows, **kinds | {"stepType": [*4 * ["instant"], "avgua"]})
    order = [3, 2, 1, 0, 4]
    for best in range(5):
        kept = messages.drop(order[:best])
        for shuffled in (kept, kept.iloc[::-1]):
            assert assembly.instants(shuffled, times(6, 12)) == [[], [(order[best], 1)]]
    assert assembly.preliminary(messages).tolist() == [False, False, True, False, False]
