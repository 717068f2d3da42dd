"""Seasons."""

import numpy as np
import pandas as pd

from hindsight.scores import seasons

MONTHS = {"DJF": (12, 1, 2), "MAM": (3, 4, 5), "JJA": (6, 7, 8), "SON": (9, 10, 11)}


def test_every_frame_of_a_year_is_in_the_season_of_its_month():
    times = pd.date_range("1969-11-03", "1971-01-15", freq="6h")
    found = seasons.by_season(times.values)
    assert list(found) == list(seasons.SEASONS)
    for name, inside in found.items():
        assert inside.tolist() == [time.month in MONTHS[name] for time in times]


def test_a_season_of_few_days_is_left_out_however_many_frames_they_have():
    times = pd.date_range("2009-01-01", "2009-03-19T18", freq="6h").values
    assert list(seasons.by_season(times)) == ["DJF"]
    assert list(seasons.by_season(np.append(times, np.datetime64("2009-03-20")))) == ["DJF", "MAM"]
