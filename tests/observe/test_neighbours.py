"""Groups of rows that are judged together, and the matrix of errors; the estimates themselves are in `test_screen`."""

import numpy as np
import pandas as pd

from hindsight.fields.grid import great_circle
from hindsight.observe import neighbours
from hindsight.observe.neighbours import Neighbours
from hindsight.operators.rows import Rows, normalise
from hindsight.settings.quality import Quality
from tests.diffusion.test_zonal_covariance import fitted
from tests.observe.test_screen import ERROR, GRID, SCALING, TIMES, prior, reports


def judge(**settings):
    table = reports().query("time <= @TIMES[4]").reset_index(drop=True)
    rows = normalise(table, ["msl"], GRID, SCALING, 24)
    return Neighbours(prior(), Quality(**settings), table, rows, 24), table


def test_rows_are_halved_until_groups_are_small_and_every_row_is_in_one():
    generator = np.random.default_rng(0)
    latitude, longitude = generator.uniform(-60, 60, 2000), generator.uniform(-180, 180, 2000)
    groups = list(neighbours._halved(np.arange(2000), latitude, longitude))
    assert max(map(len, groups)) <= neighbours.TOGETHER and sorted(np.concatenate(groups)) == list(range(2000))
    width = [np.ptp(latitude[g]) for g in groups]
    assert max(width) < 70  # a group is a neighbourhood


def test_frames_have_their_own_rows():
    of, table = judge()
    for first, last in ((0, 1), (2, 5), (-3, 2), (4, 90), (7, 9)):
        expected = table.index[(table["time"] >= TIMES[max(first, 0)]) & (table["time"] < TIMES[min(last, 99)])]
        assert sorted(of.of_frames(first, last)) == sorted(expected)


def test_errors_of_a_frame_have_a_common_share_that_falls_with_distance():
    of, table = judge(correlated_share=0.6, correlated_km=300.0)
    around = of.of_frames(0, 2)
    errors = of.errors(around, np.full(len(around), ERROR))
    place = table.loc[around, ["latitude", "longitude"]].to_numpy()
    distance = great_circle(place[:, :1], place[:, 1:], place[:, 0], place[:, 1])
    together = (table["time"].to_numpy()[around][:, None] == table["time"].to_numpy()[around]) * 0.6
    expected = np.where(np.eye(len(around), dtype=bool), 1.0, together * np.exp(-distance / 300)) * ERROR**2
    np.testing.assert_allclose(errors, expected)


def test_on_a_globe_the_covariances_of_groups_are_those_of_all_modes():
    """Reports between points and frames, in groups that are not in the order of their latitudes."""
    process, generator = fitted("few modes and the rest")[0], np.random.default_rng(2)
    count = 40
    table = pd.DataFrame(
        {
            "time": TIMES[generator.integers(0, 3, count)],
            "latitude": generator.uniform(-90, 90, count),
            "longitude": generator.uniform(0, 359, count),
            "channel": generator.choice(["z", "t"], count),
            "station": [f"S{k}" for k in range(count)],
        }
    )
    point = generator.integers(0, process.size, (count, 4))
    weight, offset = generator.uniform(0.1, 1, (count, 4)), generator.integers(0, 2, (count, 4))
    blank = np.zeros(count)
    rows = Rows(table["time"].to_numpy(), point, weight, blank, blank + 0.1, blank, blank, offset)
    judge = Neighbours(process, Quality(), table, rows, 24)
    groups = [(np.arange(k, k + 5), np.arange(k, k + 20)) for k in (0, 12, 5, 20)]
    found = list(judge.with_covariances(groups))
    assert sorted(int(own[0]) for (own, _), _ in found) == [0, 5, 12, 20]
    latitudes = [table["latitude"][own].mean() for (own, _), _ in found]
    assert latitudes == sorted(latitudes)
    for (_, around), covariance in found:
        np.testing.assert_allclose(covariance, judge.covariance(around), rtol=0, atol=3e-6 * covariance.max())
