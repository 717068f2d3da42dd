"""Scores with intervals."""

import numpy as np
import pytest
import xarray as xr

from hindsight.scores import ensemble
from hindsight.settings import Domain, Verify
from hindsight.verify import score
from hindsight.verify.compare import WHOLE

FRAMES = 200


@pytest.fixture
def statistics():
    generator = np.random.default_rng(0)
    base = generator.uniform(0.5, 1.5, (1, 1, FRAMES, 1))
    shape = (3, 2, FRAMES, 1)  # analysis, region, time, channel
    data = {
        name: (("analysis", "region", "time", "channel"), np.broadcast_to(base, shape).copy())
        for name in ensemble.STATISTICS
    }
    data["squared_error"][1][2] *= 4  # the third analysis is twice as wrong, in every frame
    data["squared_error"][1][:, 1, ::2] = np.nan  # a region without observations every other day
    maps = (("analysis", "channel", "latitude", "longitude"), np.full((3, 1, 2, 2), 4.0 * FRAMES))
    return xr.Dataset(
        data
        | {
            "rank": (("analysis", "time", "channel", "rank"), np.full((3, FRAMES, 1, 5), 0.2)),
            "sum_squared_error": maps,
            "sum_variance": maps,
            "count": ((), FRAMES),
            "sum_power": (("analysis", "kind", "channel", "wavenumber"), np.ones((3, 3, 1, 2)) * FRAMES),
        },
        coords={
            "analysis": ["diffusion", "optimal_interpolation", "climatology"],
            "region": [WHOLE, "withheld"],
            "channel": ["z500"],
            "time": np.arange(FRAMES),
            "kind": ["truth", "mean", "member"],
        },
        attrs={"members": 4},
    )


def test_scores_are_functions_of_time_means(statistics):
    found = score.score(statistics, Domain(channels=["z500"]), Verify(resamples=50))
    expected = np.sqrt(statistics["squared_error"].sel(region=WHOLE).mean("time"))
    np.testing.assert_allclose(found["score"].sel(metric="rmse"), expected)
    np.testing.assert_allclose(found["rmse_map"], 2.0)
    np.testing.assert_allclose(found["rank_histogram"], 0.2)


def test_frames_without_observations_count_for_nothing(statistics):
    found = score.score(statistics, Domain(channels=["z500"]), Verify(resamples=50))
    expected = np.sqrt(statistics["squared_error"].sel(region="withheld").mean("time", skipna=True))
    np.testing.assert_allclose(found["regional_score"].sel(region="withheld", metric="rmse"), expected)


def test_a_ratio_is_resampled_together_so_that_what_is_common_cancels(statistics):
    """Twice as wrong in every frame: the ratio is exactly 2 however the frames are drawn, the scores are not."""
    found = score.score(statistics, Domain(channels=["z500"]), Verify(resamples=200))
    pick = {"compared": "rmse", "analysis": "climatology", "channel": "z500"}
    for name in ("ratio", "ratio_lower", "ratio_upper"):
        assert np.isclose(found[name].sel(pick), 2.0)
    one = {"metric": "rmse", "analysis": "climatology", "channel": "z500"}
    assert found["upper"].sel(one) - found["lower"].sel(one) > 0.01
    assert found["lower"].sel(one) < found["score"].sel(one) < found["upper"].sel(one)


@pytest.mark.filterwarnings("error")
def test_a_network_that_withholds_nothing_has_scores_all_the_same(statistics):
    for name in ensemble.STATISTICS:
        statistics[name].loc[{"region": "withheld"}] = np.nan
    found = score.score(statistics, Domain(channels=["z500"]), Verify(resamples=50))
    assert np.isfinite(found["score"]).all()
    assert np.isnan(found["regional_score"].sel(region="withheld")).all()
