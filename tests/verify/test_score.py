"""Scores with intervals."""

import numpy as np
import pytest
import xarray as xr

from hindsight.fields.grid import Grid
from hindsight.scores import ensemble, seams
from hindsight.settings import Verify
from hindsight.verify import compare, score
from hindsight.verify.regions import WHOLE
from tests.verify.worlds import walk

FRAMES = 200
TIMES = np.datetime64("2009-01-01T12", "ns") + np.arange(FRAMES) * np.timedelta64(1, "D")


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
    by_distance = ("analysis", "distance", "time", "channel")
    data |= {f"transition_{name}": (by_distance[::2] + ("channel",), np.ones((3, FRAMES, 1))) for name in seams.SERIES}
    return xr.Dataset(
        data
        | {
            "rank": (("analysis", "time", "channel", "rank"), np.full((3, FRAMES, 1, 5), 0.2)),
            "sum_squared_error": maps,
            "sum_variance": maps,
            "count": ((), FRAMES),
            "distance_squared_error": (
                by_distance,
                np.stack([base[0, 0]] * 3)[:, None] * np.array([1, 4])[:, None, None],
            ),
            "distance_variance": (by_distance, np.full((3, 2, FRAMES, 1), 9.0)),
            "distance_edge": ("limit", [0.0, 100.0, 200.0]),
            "seam": (("analysis", "time"), np.zeros((3, FRAMES), "int8")),
            "sum_power": (("analysis", "kind", "channel", "wavenumber"), np.ones((3, 3, 1, 2)) * FRAMES),
        },
        coords={
            "analysis": ["diffusion", "optimal_interpolation", "climatology"],
            "region": [WHOLE, "withheld"],
            "channel": ["z500"],
            "time": TIMES,
            "kind": ["truth", "mean", "member"],
        },
        attrs={"members": 4, "antithetic": 0},
    )


def test_scores_are_functions_of_time_means(statistics):
    found = score.network_scores(statistics, Verify(resamples=50))
    expected = np.sqrt(statistics["squared_error"].sel(region=WHOLE).mean("time"))
    np.testing.assert_allclose(found["score"].sel(metric="rmse"), expected)
    np.testing.assert_allclose(found["rmse_map"], 2.0)
    np.testing.assert_allclose(found["rank_histogram"], 0.2)


def test_frames_without_observations_have_no_weight(statistics):
    found = score.network_scores(statistics, Verify(resamples=50))
    expected = np.sqrt(statistics["squared_error"].sel(region="withheld").mean("time", skipna=True))
    np.testing.assert_allclose(found["regional_score"].sel(region="withheld", metric="rmse"), expected)


def test_common_errors_cancel_in_a_ratio(statistics):
    """Twice as wrong in every frame: the ratio is exactly 2 however the frames are weighed, the scores are not."""
    found = score.network_scores(statistics, Verify())
    pick = {"compared": "rmse", "analysis": "climatology", "channel": "z500"}
    for name in ("ratio", "ratio_lower", "ratio_upper"):
        assert np.isclose(found[name].sel(pick), 2.0)
    one = {"metric": "rmse", "analysis": "climatology", "channel": "z500"}
    assert found["upper"].sel(one) - found["lower"].sel(one) > 0.01
    assert found["lower"].sel(one) < found["score"].sel(one) < found["upper"].sel(one)


@pytest.mark.filterwarnings("error")
def test_a_network_without_withheld_observations_has_scores(statistics):
    for name in ensemble.STATISTICS:
        statistics[name].loc[{"region": "withheld"}] = np.nan
    found = score.network_scores(statistics, Verify(resamples=50))
    assert np.isfinite(found["score"]).all()
    assert np.isnan(found["regional_score"].sel(region="withheld")).all()


def test_a_season_is_scored_as_its_frames_alone_would_be(statistics):
    """200 days from January: winter has 59, spring 92, summer 49, and the ratio of common errors stays 2."""
    found = score.network_scores(statistics, Verify(resamples=50))
    assert found["season"].values.tolist() == ["DJF", "MAM", "JJA"]
    squares = statistics["squared_error"].sel(region=WHOLE)
    for name, months in {"DJF": [12, 1, 2], "MAM": [3, 4, 5], "JJA": [6, 7, 8]}.items():
        alone = np.sqrt(squares.isel(time=squares["time"].dt.month.isin(months).values).mean("time"))
        ours = found["seasonal_score"].sel(season=name, metric="rmse")
        np.testing.assert_allclose(ours, alone.transpose(*ours.dims))
    one = {"metric": "rmse", "analysis": "climatology", "channel": "z500"}
    assert (found["seasonal_lower"].sel(one) < found["seasonal_score"].sel(one)).all()
    for name in ("seasonal_ratio", "seasonal_ratio_lower", "seasonal_ratio_upper"):
        np.testing.assert_allclose(found[name].sel(compared="rmse", analysis="climatology"), 2.0)


def test_the_interval_of_a_season_is_that_of_its_frames_alone(statistics):
    found = score.network_scores(statistics, Verify(resamples=50))
    march = statistics.isel(time=statistics["time"].dt.month.isin([3, 4, 5]).values)
    alone = score.network_scores(march, Verify(resamples=50))
    for name in ("lower", "upper"):
        ours = found[f"seasonal_{name}"].sel(season="MAM")
        np.testing.assert_allclose(ours, alone[name].transpose(*ours.dims))


def test_a_month_and_less_has_scores_and_no_interval(statistics):
    found = score.network_scores(statistics.isel(time=slice(0, 29)), Verify(resamples=50))
    assert np.isfinite(found["score"]).all() and np.isnan(found["lower"]).all() and np.isnan(found["ratio_upper"]).all()
    assert np.isfinite(score.network_scores(statistics.isel(time=slice(0, 30)), Verify(resamples=50))["lower"]).all()


def test_the_interval_of_a_bias_covers_the_bias_as_often_as_it_says(statistics):
    """Errors that remember: what every step from the file of statistics to the limits does, on a known truth."""
    generator, covered = np.random.default_rng(5), []
    for _ in range(16):
        statistics["error"].values[:] = 3.0 + walk(generator, FRAMES, (3, 2, 1), 0.9).transpose(1, 2, 0, 3)
        found = score.network_scores(statistics, Verify(resamples=5)).sel(metric="bias")
        covered.append((found["lower"] < 3) & (found["upper"] > 3))
    assert 0.86 < np.mean(covered) < 1


def test_errors_by_distance_are_roots_of_time_means(statistics):
    found = score.network_scores(statistics, Verify(resamples=50)).sel(channel="z500")
    near, far = found["distance_score"].sel(quantity="rmse", analysis="diffusion").values
    assert np.isclose(near**2, statistics["distance_squared_error"][0, 0, :, 0].mean()) and np.isclose(far, 2 * near)
    np.testing.assert_allclose(found["distance_score"].sel(quantity="spread"), 3.0)
    assert (found["distance_lower"] <= found["distance_score"]).all()


def transitions_of(values, shard):
    """Passages of an ensemble and its truth (frames, 1 + members, rows, columns), read shard by shard."""
    grid = Grid(np.arange(-19.5, 20), np.arange(40.0))
    dims = ("time", "realization", "channel", "latitude", "longitude")
    times = TIMES[: len(values)]
    whole = xr.Dataset(
        {"analysis": (dims, values[:, 1:, None]), "truth": (("time", *dims[2:]), values[:, :1])},
        {"time": times, "channel": ["z500"]},
    ).transpose("realization", ...)
    parts, last = [], None
    for k in range(0, len(values), shard):
        piece = whole.isel(time=slice(k, k + shard))
        parts.append(compare.transitions(piece, last, grid))
        last = piece.isel(time=[-1])
    return xr.concat(parts, "time").expand_dims(analysis=["diffusion"])


RHO, MEMBERS = 0.8, 6
SHAPE = (1 + MEMBERS, 40, 40)


def test_a_walk_cut_into_shards_has_no_seam():
    found = score.seam_ratios(transitions_of(walk(np.random.default_rng(0), 80, SHAPE, RHO), 16), Verify(resamples=50))
    assert found["seams"] == 4
    np.testing.assert_allclose(found["seam_ratio"], 1, atol=0.03)
    correlation = found["seam_inside"].sel(measure="correlation")
    np.testing.assert_allclose(correlation, RHO, atol=0.02)


def test_independent_shards_have_the_seams_of_the_closed_form():
    """Frames a step apart differ by sqrt(2 - 2 rho); frames of shards that know nothing of each other by sqrt(2)."""
    generator = np.random.default_rng(1)
    apart = np.concatenate([walk(generator, 16, SHAPE, RHO) for _ in range(5)])
    truth = walk(generator, 80, SHAPE[1:], RHO)
    apart[:, 0] = truth
    found = score.seam_ratios(transitions_of(apart, 16), Verify(resamples=50)).sel(analysis="diffusion", channel="z500")
    jump = np.sqrt(2 / (2 - 2 * RHO))
    for name in ("members", "mean"):
        assert np.isclose(found["seam_ratio"].sel(measure=name), jump, rtol=0.04)
    assert np.isclose(found["seam_ratio"].sel(measure="truth"), 1, rtol=0.04)
    assert np.isclose(found["seam_ratio"].sel(measure="correlation"), 0, atol=0.04)
    assert found["seam_ratio"].sel(measure="spread") > 1.5
    outside = (found["seam_ratio"] < found["seam_lower"]) | (found["seam_ratio"] > found["seam_upper"])
    assert outside.sel(measure=["members", "mean", "correlation", "spread"]).all()


def test_one_shard_has_no_seam_and_one_seam_has_an_interval():
    values = walk(np.random.default_rng(2), 30, SHAPE, RHO)
    assert "seam_ratio" not in score.seam_ratios(transitions_of(values, 30), Verify(resamples=20))
    found = score.seam_ratios(transitions_of(values, 15), Verify(resamples=200))
    assert found["seams"] == 1 and (found["seam_lower"] < found["seam_upper"]).all()


def test_without_seams_ratios_lie_in_their_interval_as_often_as_it_says():
    """Passages drawn alike everywhere, their sizes as uneven as the weather's; seams anywhere among them."""
    generator, inside, trials = np.random.default_rng(3), [], 150
    for _ in range(trials):
        values = {name: generator.gamma(2.0, 1.0, (1, 300, 1)) for name in seams.SERIES}
        seam = np.zeros((1, 300), "int8")
        seam[0, generator.choice(np.arange(1, 300), 7, replace=False)] = 1
        dims = ("analysis", "time", "channel")
        data = {f"transition_{name}": (dims, value) for name, value in values.items()} | {"seam": (dims[:2], seam)}
        statistics = xr.Dataset(data, {"analysis": ["diffusion"], "channel": ["z500"]})
        found = score.seam_ratios(statistics, Verify(resamples=200, confidence=0.9))
        inside.append((found["seam_ratio"] > found["seam_lower"]) & (found["seam_ratio"] < found["seam_upper"]))
    assert 0.86 < np.mean(inside) < 0.94


def test_networks_with_and_without_withheld_stations_stand_side_by_side(statistics):
    """The first has none; the names of the second's regions are not cut to the length of the first's."""
    settings = Verify(resamples=50)
    longer = statistics.assign_coords(region=[WHOLE, compare.WITHHELD])
    parts = [score.network_scores(s, settings) for s in (statistics.sel(region=[WHOLE]), longer)]
    found = score.join_networks([part.expand_dims(network=[name]) for part, name in zip(parts, ("none", "some"))])
    assert found["region"].values.tolist() == [WHOLE, "withheld observations"]
    at_withheld = found["regional_score"].sel(region=compare.WITHHELD).notnull()
    assert at_withheld.sel(network="some").all() and not at_withheld.sel(network="none").any()
    for part, name in zip(parts, ("none", "some")):
        np.testing.assert_array_equal(found["score"].sel(network=name), part["score"])


def of_a_reference(statistics):
    """The statistics, with those of a reference at withheld observations."""
    series = {"squared_error": np.arange(1.0, FRAMES + 1), "error": np.ones(FRAMES), "member_error": np.ones(FRAMES)}
    found = statistics.assign({f"reference_{k}": (("time", "channel"), v[:, None]) for k, v in series.items()})
    return found.assign_attrs(against="reference", compared_with="ERA-Interim")


def test_a_reference_has_scores_and_intervals_of_its_own_departures(statistics):
    found = score.network_scores(of_a_reference(statistics), Verify(resamples=50))
    expected = np.sqrt(np.mean(np.arange(1, FRAMES + 1)))
    np.testing.assert_allclose(found["reference_score"][:, 0], [expected, 1.0, 1.0])
    pick = {"withheld_metric": "rmse", "channel": "z500"}
    assert found["reference_lower"].sel(pick) < expected < found["reference_upper"].sel(pick)
    assert "reference_score" not in score.network_scores(statistics, Verify(resamples=50))


def test_scores_against_a_reference_call_nothing_truth(statistics):
    statistics["seam"][:, 50] = 1
    for name in ("", "anomaly_truth", "transition_truth"):
        assert name in ("", *statistics)  # what is renamed is there
    found = score.network_scores(of_a_reference(statistics), Verify(resamples=50))
    assert found["kind"].values.tolist() == ["reference", "mean", "member"]
    assert "members_to_reference" in found["measure"].values and "truth" not in str(found.to_dict())


def without_fields(statistics):
    """The statistics of a period without fields: those of the whole domain are NaN, but for the spread."""
    for name in set(ensemble.STATISTICS) - {"variance", "mean_difference"}:
        statistics[name].loc[{"region": WHOLE}] = np.nan
    statistics["transition_truth"][:] = np.nan
    statistics["sum_squared_error"] = statistics["sum_squared_error"] * np.nan
    statistics["rank"][:] = np.nan
    statistics["withheld_rank"] = (("analysis", "time", "channel", "rank"), np.full((3, FRAMES, 1, 5), 0.2))
    names = [WHOLE, "withheld observations"]
    return statistics.assign_coords(region=names).assign_attrs(against="none", compared_with="")


def test_without_fields_the_scores_are_those_at_withheld_observations(statistics):
    statistics["seam"][:, 50] = 1
    found = score.network_scores(without_fields(statistics), Verify(resamples=50))
    expected = found["regional_score"].sel(region="withheld observations", drop=True)
    assert expected.notnull().all()
    np.testing.assert_array_equal(found["score"], expected.transpose(*found["score"].dims))
    np.testing.assert_allclose(found["ratio"].sel(compared="rmse", analysis="climatology"), 2.0)
    assert found["seasonal_score"].sel(metric="rmse").notnull().all()
    assert found["regional_score"].sel(region=WHOLE, metric="spread").notnull().all()
    assert not {"rank_histogram", "rmse_map"} & {*found} and found["kind"].values.tolist() == ["mean", "member"]
    np.testing.assert_allclose(found["withheld_rank_histogram"], 0.2)
    assert found["seam_ratio"].notnull().all() and "truth" not in str(found.to_dict())


@pytest.mark.filterwarnings("error")
def test_without_fields_and_without_withheld_observations_nothing_is_scored_but_the_spread(statistics):
    bare = without_fields(statistics).sel(region=[WHOLE]).drop_vars("withheld_rank")
    found = score.network_scores(bare, Verify(resamples=50))
    assert found["score"].isnull().all() and found["spread_map"].notnull().all()
