"""Statistics of analyses."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hindsight.fields import observations, store
from hindsight.fields.grid import Grid, great_circle
from hindsight.fields.scaling import Scaling
from hindsight.settings import Ensemble, Verify
from hindsight.verify import compare
from hindsight.verify.regions import WHOLE, region_weights
from tests.verify import worlds

GRID = Grid(np.array([0.0, 60.0]), np.arange(-2.0, 3))
PRODUCT = Ensemble(seed=0)
TIMES = np.datetime64("2009-01-01T12", "ns") + np.arange(3) * np.timedelta64(1, "D")
SCALING = Scaling(np.zeros((1, 1, 2, 5)), np.ones(1), 0, 0)
generator = np.random.default_rng(0)
TRUTH = generator.standard_normal((3, 1, 2, 5)).astype("float32")


EVERYWHERE = region_weights({}, GRID)
NOWHERE = compare.distance_bins(pd.DataFrame({"channel": [], "latitude": [], "longitude": []}), ["z500"], GRID)


def analysis(values):
    dims = ("realization", "time", "channel", "latitude", "longitude")
    return xr.Dataset(
        {"analysis": (dims, values), "truth": (dims[1:], TRUTH)},
        coords={
            "realization": range(len(values)),
            "time": TIMES,
            "channel": ["z500"],
            "latitude": GRID.latitude,
            "longitude": GRID.longitude,
        },
    )


def test_a_perfect_analysis_has_no_error():
    found = compare.compare_with_truth(analysis(np.stack([TRUTH] * 4)), SCALING, EVERYWHERE, NOWHERE, GRID, PRODUCT)
    for name in ("squared_error", "variance", "member_error", "sum_squared_error"):
        assert np.abs(found[name]).max() < 1e-10
    np.testing.assert_allclose(found["sum_power"].sel(kind="truth"), found["sum_power"].sel(kind="mean"))


def test_ties_get_uniform_ranks_that_depend_only_on_their_time():
    """Drizzle that nobody foresaw and nobody missed: no frame has it in the lowest rank alone."""
    dry = analysis(np.zeros((4, 3, 1, 2, 5))).assign(truth=(("time", "channel", "latitude", "longitude"), 0 * TRUTH))
    whole = [
        compare.compare_with_truth(dry, SCALING, EVERYWHERE, NOWHERE, GRID, PRODUCT.model_copy(update={"seed": seed}))[
            "rank"
        ]
        for seed in (0, 1)
    ]
    part = compare.compare_with_truth(dry.isel(time=[1, 2]), SCALING, EVERYWHERE, NOWHERE, GRID, PRODUCT)["rank"]
    np.testing.assert_array_equal(whole[0][1:], part)
    assert not np.array_equal(*whole) and (whole[0].values > 0).sum() > 8
    drawn = compare.tie_breakers(TIMES, ["z500", "msl"], 20000, 0)
    assert abs(drawn.mean() - 0.5) < 0.005 and np.abs(np.corrcoef(drawn.reshape(6, -1)) - np.eye(6)).max() < 0.04


def test_members_get_observation_errors_at_withheld_observations():
    """A perfect ensemble, compared with noisy observations, is calibrated only if it is given their noise."""
    truth = np.zeros((3, 1, 2, 5))
    rows = pd.DataFrame(
        [
            {"time": t, "latitude": 30.0, "longitude": x, "channel": "z500", "value": v, "error": 1.0}
            for t in TIMES
            for x in (0.5, 1.0)
            for v in generator.standard_normal(400)
        ]
    )
    found = compare.compare_with_observations(analysis(np.stack([truth] * 20)), rows, SCALING, GRID, PRODUCT)
    assert abs(float(found["variance"].mean()) - 1) < 0.05
    assert abs(float(found["squared_error"].mean()) - 1.05) < 0.12


def test_an_additional_report_changes_no_random_error_of_another(monkeypatch):
    """The members at each place, by the place, with and without a report that stands before the others."""
    seen, inner = [], compare.ensemble.statistics
    monkeypatch.setattr(compare.ensemble, "statistics", lambda m, *rest: seen.append(m[:, 0, 0]) or inner(m, *rest))
    rows = pd.DataFrame(
        {"time": TIMES[1], "latitude": [0.0, 60, 30, 30], "longitude": [-2.0, 1, 0, 1], "channel": "z500", "value": 0.0}
    ).assign(error=1.0, station=list("abcd"))
    for table in (rows, rows.iloc[1:]):
        compare.compare_with_observations(analysis(np.stack([TRUTH] * 6)), table, SCALING, GRID, PRODUCT)
    assert seen[0].shape == (6, 4) and np.unique(seen[0]).size == 24
    np.testing.assert_array_equal(seen[0][:, 1:], seen[1])


def test_frames_without_withheld_observations_are_nan_and_not_zero():
    rows = pd.DataFrame(
        {"time": [TIMES[1]], "latitude": [0.0], "longitude": [0.0], "channel": ["z500"], "value": [0.0], "error": [1.0]}
    )
    found = compare.compare_with_observations(analysis(np.stack([TRUTH] * 2)), rows, SCALING, GRID, PRODUCT)[
        "squared_error"
    ]
    assert np.isfinite(found[0, 1, 0]) and np.isnan(found[0, [0, 2], 0]).all()


def test_errors_by_distance_are_those_of_a_loop_over_points():
    """Stations differ by channel; the second channel has none, and then no bin holds a point."""
    used = pd.DataFrame({"latitude": [0.0, 60, 60], "longitude": [-2.0, 362, 1], "channel": "z500"})
    bins = compare.distance_bins(used, ["z500", "msl"], GRID)
    members = np.concatenate([TRUTH, TRUTH], 1) + generator.standard_normal((4, 3, 2, 2, 5))
    found = analysis(members[:, :, :1]).drop_vars(["analysis", "truth"]).assign_coords(channel=["z500", "msl"])
    found = found.assign(
        analysis=(("realization", "time", "channel", "latitude", "longitude"), members),
        truth=(("time", "channel", "latitude", "longitude"), np.concatenate([TRUTH, TRUTH], 1)),
    )
    scaling = Scaling(np.zeros((1, 2, 2, 5)), np.ones(2), 0, 0)
    ours = compare.compare_with_truth(found, scaling, EVERYWHERE, bins, GRID, PRODUCT)["distance_squared_error"]
    squares = (members.mean(0)[:, 0] - TRUTH[:, 0]) ** 2
    limits = bins["edge"].values
    for k in range(len(limits) - 1):
        total, area = np.zeros(3), 0.0
        for i, north in enumerate(GRID.latitude):
            for j, east in enumerate(GRID.longitude):
                away = min(great_circle(north, east, y, x) for y, x in ((0, -2), (60, 2), (60, 1)))
                if limits[k] <= away < limits[k + 1]:
                    total, area = total + GRID.weights[i, j] * squares[:, i, j], area + GRID.weights[i, j]
        np.testing.assert_allclose(ours[k, :, 0], total / area if area else np.nan)
    assert np.isnan(ours[:, :, 1]).all()


def compared(folder, **shape):
    folder.mkdir()
    worlds.scored(folder, worlds.make(folder, worlds.BOX, **shape))
    return xr.load_dataset(folder / "sparse.nc")


def test_statistics_do_not_depend_on_shards_except_for_seams(tmp_path):
    one = compared(tmp_path / "one", frames=32, shard=32)
    four = compared(tmp_path / "four", frames=32, shard=8)
    assert int(one["seam"].sum()) == 0
    assert np.flatnonzero(four["seam"].sel(analysis="diffusion")).tolist() == [8, 16, 24]
    xr.testing.assert_allclose(one.drop_vars("seam"), four.drop_vars("seam"), rtol=1e-5, atol=1e-3)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_shards(tmp_path):
    """Three times the shards, the same peak: what is kept of a shard is its series, its sums and its last frame."""
    peaks = []
    for shards in (3, 9):
        folder = tmp_path / str(shards)
        folder.mkdir()
        world = worlds.make(folder, worlds.GLOBE, frames=8 * shards, shard=8, members=8)
        tracemalloc.start()
        worlds.scored(folder, world)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    shard = 8 * 8 * 2 * 32 * 64 * 4  # bytes of one
    assert peaks[1] - peaks[0] < 2 * shard


def test_without_withheld_observations_there_is_no_score_of_them(tmp_path):
    """A ring, all of whose stations are used: one region, no row of NaN, and statistics by brute force."""
    world = worlds.make(tmp_path, worlds.RING, frames=16, shard=8, channels=("x",), withheld=False)
    scores = xr.load_dataset(worlds.scored(tmp_path, world))
    assert scores["region"].values.tolist() == ["everywhere"] and scores["score"].notnull().all()
    paths = [path for path in world["analyses"] if "diffusion" in path.parts]
    mean = np.concatenate([xr.load_dataset(path)["analysis"].mean("realization").values for path in paths])
    expected = np.sqrt(((mean - world["truth"].astype("float32")) ** 2).mean())
    found = scores["score"].sel(analysis="diffusion", metric="rmse", channel="x").item()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_withheld_observation_with_a_gross_error_is_not_scored(tmp_path, capsys):
    """The first of all, fifty standard deviations off: the same scores as without it."""
    world, found = worlds.make(tmp_path, worlds.BOX, frames=16, shard=16), []
    table = observations.read(world["observations"])
    row = table.index[table["withheld"]][0]
    wrong = table.copy()
    wrong.loc[row, "value"] += 50 * 1000
    for number, rows in enumerate((wrong, table.drop(row))):
        observations.write(rows, world["observations"][0])
        folder = tmp_path / str(number)
        folder.mkdir()
        worlds.scored(folder, world)
        found.append(xr.load_dataset(folder / "sparse.nc").sel(region=compare.WITHHELD)["squared_error"])
        assert ("withheld: 1 of" in capsys.readouterr().out) == (number == 0)
    xr.testing.assert_equal(*found)


def test_withheld_values_between_levels_are_scored_with_the_nearest_level():
    """Members that have the truth on both levels have no error between them; a wind speed has no channel there."""
    times, upper, lower = TIMES[:1], 5.0, 9.0
    fields = np.stack([np.full((2, 5), upper), np.full((2, 5), lower)])[None, None].repeat(3, 0)
    coordinates = {"realization": range(3), "time": times, "channel": ["t500", "t850"]}
    dims = ("realization", "time", "channel", "latitude", "longitude")
    frames = xr.Dataset({"analysis": (dims, fields)}, coordinates)
    scaling = Scaling(np.zeros((1, 2, 2, 5)), np.ones(2), 0, 0)
    share = np.log(600 / 500) / np.log(850 / 500)
    rows = pd.DataFrame({"time": times[0], "latitude": 30.0, "longitude": 0.5, "error": 1e-6, "station": "a"}, range(3))
    rows = rows.assign(channel=["t", "t", "ws10"], level=[600.0, 850.0, np.nan])
    rows["value"] = [(1 - share) * upper + share * lower, lower + 2, 4.0]
    found = compare.compare_with_observations(frames, rows, scaling, GRID, PRODUCT)["squared_error"]
    np.testing.assert_allclose(found[0, 0], [0.0, 4.0], atol=1e-4)


def test_a_reference_is_scored_by_its_plain_departures_at_the_rows_that_analyses_are_scored_at():
    """Rows of a frame, some of them means with the next frame, which the last frame has not; by a loop over rows."""
    members = np.stack([TRUTH] * 3)
    rows = pd.DataFrame([(t, 60.0 * (x > 0), x, 0.1 * x, 1.0) for t in TIMES for x in (-2.0, 0.0, 1.0)])
    rows.columns = ["time", "latitude", "longitude", "value", "error"]
    means = np.where(rows["longitude"] == 1, "0:0.75 1:0.25", "")
    rows = rows.assign(channel="z500", station="a", time_weights=means)
    found = compare.compare_reference_with_observations(analysis(members), rows, GRID)
    for t in range(3):
        away = []
        for x in (-2, 0, 1):
            now, then = TRUTH[t, 0, int(x > 0), x + 2], TRUTH[min(t + 1, 2), 0, int(x > 0), x + 2]
            if x < 1 or t < 2:
                away.append((now if x < 1 else 0.75 * now + 0.25 * then) - 0.1 * x)
        expected = {"squared_error": np.square(away), "error": away, "member_error": np.abs(away)}
        for name, values in expected.items():
            np.testing.assert_allclose(found[f"reference_{name}"][t, 0], np.mean(values), rtol=1e-5)


def test_a_frame_that_the_reference_lacks_has_no_departure():
    frames = analysis(np.stack([TRUTH] * 3))
    frames["truth"] = frames["truth"].where(frames["time"] != TIMES[1])
    rows = pd.DataFrame({"time": TIMES, "latitude": 0.0, "longitude": 0.0, "channel": "z500", "value": 0.0, "error": 1})
    found = compare.compare_reference_with_observations(frames, rows.assign(station="a"), GRID)
    assert np.isfinite(found["reference_error"].values.ravel()).tolist() == [True, False, True]


def test_only_a_reference_has_departures_of_its_own(tmp_path):
    for against in ("truth", "reference"):
        found = compared(tmp_path / against, frames=16, shard=8, against=against)
        assert ("reference_error" in found) == (against == "reference")
        assert found.attrs["against"] == against and found.attrs["compared_with"] == "a walk"
    assert found["reference_error"].dims == ("time", "channel") and found["reference_error"].notnull().all()


def test_without_fields_only_withheld_observations_and_the_spread_are_known(tmp_path):
    """At withheld observations and of the spread as with the truth, which is nowhere read."""
    truth, none = (compared(tmp_path / kind, frames=16, shard=8, against=kind) for kind in ("truth", "none"))
    for name in ("squared_error", "member_error", "variance", "anomaly_product"):
        xr.testing.assert_equal(*(one[name].sel(region=compare.WITHHELD) for one in (truth, none)))
    np.testing.assert_array_equal(truth["withheld_rank"].values, none["withheld_rank"].values)
    for name in ("variance", "distance_variance", "sum_variance"):
        np.testing.assert_array_equal(truth[name], none[name])
    for name in ("squared_error", "error", "anomaly_truth"):
        assert none[name].sel(region="everywhere").isnull().all()
    assert none["rank"].isnull().all() and none["sum_squared_error"].isnull().all()


def test_ranks_at_withheld_observations_are_flat_for_a_calibrated_ensemble():
    """Members and truth of one distribution: each rank as often as the others, within five standard deviations."""
    drawn = np.random.default_rng(5)
    members = np.broadcast_to(drawn.standard_normal((4, 3, 1, 1, 1)) * 0, (4, 3, 1, 2, 5))
    rows = pd.DataFrame({"time": np.repeat(TIMES, 4000), "latitude": 0.0, "longitude": 0.0, "channel": "z500"})
    rows = rows.assign(value=drawn.standard_normal(len(rows)), error=1.0, station=np.arange(len(rows)).astype(str))
    rank = compare.compare_with_observations(analysis(members), rows, SCALING, GRID, PRODUCT)["withheld_rank"]
    assert rank.shape == (3, 1, 5) and np.allclose(rank.sum("rank"), 1)
    assert np.abs(rank.mean("time") - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / len(rows))


def test_points_that_are_not_covered_change_no_score(tmp_path):
    """Whatever an analysis has there, scores are those of the fields without these rows."""
    made = worlds.make(tmp_path, worlds.BOX)
    covered = np.ones(worlds.BOX.shape, bool)
    covered[0] = False
    fields = xr.open_zarr(made["fields"], consolidated=False).load()
    filled = fields.assign(fields=fields["fields"].where(xr.DataArray(covered, dims=("latitude", "longitude")), 0.0))
    climatology = xr.load_dataset(made["climatology"])
    climatology["coefficients"].values[..., 0, :] = 0.0
    climatology.to_netcdf(made["climatology"])
    scores = []
    for name, dataset in (
        ("south", fields),
        ("mask", filled.assign_coords(covered=(("latitude", "longitude"), covered))),
    ):
        store.write(dataset.drop_encoding(), tmp_path / f"{name}.zarr")
        changes = {} if name == "mask" else {"regions": {"north": {"south": 41, "north": 90, "west": -30, "east": 30}}}
        chosen = Verify(resamples=50, **changes)
        paths = {key: made[key] for key in ("climatology", "statistics", "observations", "analyses")}
        compare.run(made["settings"].domain, made["settings"].product, chosen, fields=tmp_path / f"{name}.zarr",
                    result=tmp_path / f"{name}.nc", **paths)  # fmt: skip
        scores.append(xr.load_dataset(tmp_path / f"{name}.nc"))
    whole, masked = scores
    for name in ("squared_error", "variance", "member_error", "mean_difference"):
        np.testing.assert_allclose(masked[name].sel(region=WHOLE), whole[name].sel(region="north"), rtol=1e-6)
    assert float(masked["sum_squared_error"].isel(latitude=0).max()) == 0
    assert np.isfinite(masked["transition_truth"].isel(time=slice(1, None))).all()
