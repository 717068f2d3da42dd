"""The scores of the benchmark of nowcasts, on fields for which they are known."""

import sys

import numpy as np
import pytest
import xarray as xr

from tests.workflow import runs

TIMES = np.datetime64("2010-08-26T05:00", "ns") + np.arange(30) * np.timedelta64(5, "m")


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(runs.ROOT / "benchmarks"))
    import rain

    yield rain
    sys.path.remove(str(runs.ROOT / "benchmarks"))


def band(rows, rate, points=20):
    """Rain in some rows of a square."""
    field = np.zeros((points, points))
    field[rows] = rate
    return field


def test_scores_of_a_single_field_are_counted_by_hand(benchmark):
    """Two starts and leads: rain of 2 in 4 rows; forecast in 4 rows, half of them right, and then in all of them."""
    truth = np.tile(band(slice(8, 12), 2.0), (2, 2, 1, 1))
    forecast = np.stack([band(slice(10, 14), 2.0), band(slice(8, 12), 0.5)])[None, None].repeat(2, 0)
    found = benchmark.scores(forecast, truth, np.ones(truth.shape, bool))
    assert found["csi"]["0.1"] == pytest.approx([2 / 6, 1]) and found["csi"]["1"] == pytest.approx([2 / 6, 0])
    assert found["crps_by_lead"] == pytest.approx([4 / 20 * 2, 4 / 20 * 1.5]) and "spread_skill" not in found
    assert found["crps"] == pytest.approx((0.4 + 0.3) / 2)
    assert found["fss"]["1"][1] == 0 and found["fss"]["0.1"][1] == pytest.approx(1) and 0.5 < found["fss"]["1"][0] < 1


def test_points_that_are_not_known_change_no_score(benchmark):
    generator = np.random.default_rng(0)
    truth, members = generator.gamma(0.5, size=(2, 3, 12, 12)), generator.gamma(0.5, size=(2, 5, 3, 12, 12))
    known = np.ones(truth.shape, bool)
    known[..., 8:, :] = False
    expected = benchmark.scores(members, truth, known)
    members[..., 8:, :], truth[..., 9:, :] = np.nan, 99.0
    found = benchmark.scores(members, truth, known)
    assert found == expected
    inside = benchmark.scores(members[..., :8, :], truth[..., :8, :], known[..., :8, :])
    for name in ("crps_by_lead", "spread_skill"):
        assert found[name] == pytest.approx(inside[name])
    assert found["csi"]["1"] == pytest.approx(inside["csi"]["1"])


def test_an_ensemble_from_the_distribution_of_the_truth_is_calibrated_and_has_its_crps(benchmark):
    """Of normal numbers: E|x - y| / 2 = 1 / sqrt(pi) for two draws, and fair."""
    generator = np.random.default_rng(1)
    truth, members = generator.standard_normal((3, 2, 60, 60)), generator.standard_normal((3, 10, 2, 60, 60))
    found = benchmark.scores(members, truth, np.ones(truth.shape, bool))
    assert found["crps"] == pytest.approx(1 / np.sqrt(np.pi), rel=0.02)
    assert found["spread_skill"] == pytest.approx([1, 1], rel=0.02)


def test_starts_leave_room_for_all_leads(benchmark):
    found = benchmark.starts(TIMES, 4, np.datetime64("2010-08-26T05:35"))
    assert found[0] == 7 and found[-1] + benchmark.LEADS == len(TIMES) - 1 and len(found) == 4
    assert benchmark.starts(TIMES, 99, np.datetime64("2010-08-26T05:35")) == list(range(7, 18))


def test_every_point_of_known_frames_is_an_observation(benchmark):
    axes = {"time": TIMES[:2], "latitude": [0.0, 0.5], "longitude": [0.0, 0.5, 1.0]}
    rain = xr.DataArray(np.arange(12.0).reshape(2, 2, 3), axes, tuple(axes))
    table = benchmark.known_points(rain)
    assert len(table) == 12 and (table["error"] == benchmark.ERROR).all() and (table["channel"] == "rain").all()
    row = table[(table["time"] == TIMES[1]) & (table["latitude"] == 0.5) & (table["longitude"] == 1.0)]
    assert row["value"].tolist() == [11.0]
