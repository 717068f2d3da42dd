"""The filter against the Kalman filter, optimal interpolation and 3D-Var, and its localisation and relaxation."""

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import save_file

from hindsight.baselines import ensemble_filter, letkf, minimise, three_d_var
from hindsight.baselines.forecasts import EquationForecasts, LinearForecasts
from hindsight.baselines.letkf import LETKF
from hindsight.baselines.linear_model import LinearModel
from hindsight.baselines.localisation import Localisation
from hindsight.dynamics import worlds
from hindsight.fields import analyses, observations, store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.operators.rows import Rows
from hindsight.settings import Baselines, Product
from hindsight.settings.baselines import Minimisation
from hindsight.settings.download import Synthetic, WorldWithoutPeriod
from hindsight.train.linear_prior import white
from tests.baselines import test_four_d_var as whole
from tests.baselines import test_optimal_interpolation as oi
from tests.baselines.test_four_d_var import FRAMES, SIZE, TIMES, dense
from tests.baselines.test_optimal_interpolation import BACKGROUND, TIME, world  # noqa: F401, a fixture
from tests.baselines.test_outer_loops import CASES, POINTS, SPREAD
from tests.baselines.test_outer_loops import rows as wind_rows
from tests.oracles import linear_gaussian as oracle

GRID, REACH = Grid(np.zeros(1), np.arange(oi.SIZE) * 10.0), 3500.0
generator = np.random.default_rng(5)


def method(reach=None, relaxation=0.0, grid=GRID):
    return LETKF(Localisation(grid, False, reach), relaxation)


def members(covariance, count, mean=0.0):
    """Members whose mean and covariance are exactly these; more of them than the rank."""
    white = generator.standard_normal((count, len(covariance)))
    white = np.linalg.qr(white - white.mean(0))[0] * np.sqrt(count - 1)
    return mean + white @ np.linalg.cholesky(covariance).T


def test_with_the_exact_covariance_it_is_the_kalman_filter_to_rounding():
    mean = generator.standard_normal(oi.SIZE)
    found = method().analyse(members(BACKGROUND, 14, mean), oi.rows(), TIME)
    shift, spread = oracle.condition(BACKGROUND, oi.operator(), oi.ERROR, oi.VALUE - oi.operator() @ mean)
    np.testing.assert_allclose(found.mean(0), mean + shift, atol=1e-10)
    np.testing.assert_allclose(np.cov(found.T), spread, atol=1e-9)


def test_of_one_frame_it_is_optimal_interpolation_and_3d_var():
    found = method().analyse(members(BACKGROUND, 14), oi.rows(), TIME).mean(0)
    other = oi.method(BACKGROUND)
    np.testing.assert_allclose(found, other.mean(oi.rows()), atol=1e-4)
    sums, zero = three_d_var.Sums(other.root, *minimise.parts(oi.rows())), np.zeros((1, oi.SIZE))
    minimum = minimise.analyse(oi.rows(), sums, zero, np.zeros((1, oi.STATIONS)), Minimisation(), "here")
    np.testing.assert_allclose(found, (minimum.control @ other.root.T)[0], atol=1e-3)


def test_rows_between_frames_move_the_members_of_both():
    process, given = oracle.process(SIZE), whole.rows(counts=(0, 4, 0, 0, 0))
    away = np.tile([0, -1, 0], (len(given), 1))
    given = given.each(lambda column: column)
    given = type(given)(
        *(getattr(given, n) for n in ("time", "point", "weight", "value", "error", "unit", "key")), away
    )
    joint = oracle.covariance(process, 2)
    queue = ensemble_filter.Queue(given, TIMES[:2], 24)
    found = method().analyse(members(joint, 40), queue.at(1, SIZE), TIMES[1])
    expected, spread = oracle.condition(joint, dense(given, 2), given.error, given.value)
    np.testing.assert_allclose(found.mean(0), expected, atol=1e-9)
    np.testing.assert_allclose(np.cov(found.T), spread, atol=1e-9)


def filtered(count, given=None):
    """The error of the means of all frames (in standard deviations of the exact filter), and of the variances."""
    process, given = oracle.process(SIZE), whole.rows() if given is None else given
    forecasts = LinearForecasts(LinearModel(process), Product(members=count), 5 << 32, 24)
    found = ensemble_filter.forecast_and_analyse("letkf", method(), forecasts, given, TIMES, 24, 0)
    frame, matrix = ((given.time - TIMES[0]) // np.timedelta64(24, "h")).astype(int), dense(given)
    operators = [matrix.reshape(-1, FRAMES, SIZE)[frame == t, t] for t in range(FRAMES)]
    errors, values = ([column[frame == t] for t in range(FRAMES)] for column in (given.error, given.value))
    expected, spread = oracle.fixed_lag(process, operators, errors, values, 0)
    variance = np.diagonal(spread, axis1=1, axis2=2)
    return (found.mean(0) - expected) / np.sqrt(variance), found.var(0) / variance - 1


def test_over_frames_it_is_the_kalman_filter_but_for_sampling_errors_that_fall_with_the_root_of_the_members():
    size = {}
    for count in (50, 800):
        mean, variance = filtered(count)
        size[count] = np.sqrt((mean**2).mean()), np.sqrt((variance**2).mean())
        assert size[count][0] < 1.5 / np.sqrt(count) and size[count][1] < 3 * np.sqrt(2 / count), count
    assert all(2 < few / many < 8 for few, many in zip(size[50], size[800])), size


def test_beyond_the_reach_members_stay_as_they_are_to_the_bit():
    given = oi.rows(count=1, point=np.zeros((1, 4), int), weight=np.array([[1.0, 0, 0, 0]]))
    before = generator.standard_normal((6, oi.SIZE))
    found = method(REACH, 0.3).analyse(before, given, TIME)
    far = np.arange(oi.SIZE) >= 4  # of points ten degrees apart, 1112 km
    np.testing.assert_array_equal(found[:, far], before[:, far])
    assert (np.abs(found - before)[:, ~far].max(0) > 1e-6).all()


def test_at_each_point_it_is_an_analysis_with_the_errors_around_it():
    """Two channels: a point has one analysis, that of the whole state with error variances over the factors there."""
    covariance = np.cov(generator.standard_normal((60, 2 * oi.SIZE)).T)
    point = np.array([[0], [3], [14], [19]])
    given = oi.rows(point=point, weight=np.ones((4, 1)))
    states = members(covariance, 30)
    found = method(REACH).analyse(states, given, TIME)
    factors = Localisation(GRID, False, REACH).factors(given).toarray()
    for place in range(oi.SIZE):
        near, both = factors[place] > 0, [place, oi.SIZE + place]
        operator = np.eye(2 * oi.SIZE)[point[near, 0]]
        error = given.error[near] / np.sqrt(factors[place][near])
        mean, spread = oracle.condition(covariance, operator, error, given.value[near])
        np.testing.assert_allclose(found.mean(0)[both], mean[both], atol=1e-9)
        np.testing.assert_allclose(np.cov(found[:, both].T), spread[np.ix_(both, both)], atol=1e-9)


@pytest.mark.parametrize("reach", [None, REACH])
def test_relaxation_restores_the_spread(reach):
    """All of it for 1, and for a half the mean of both."""
    before = generator.standard_normal((6, oi.SIZE))
    none, half, full = (method(reach, share).analyse(before, oi.rows(), TIME) for share in (0, 0.5, 1))
    assert (none.std(0) < 0.99 * before.std(0)).any()
    np.testing.assert_allclose(full.std(0), before.std(0), rtol=1e-12)
    np.testing.assert_allclose(half.std(0), (before.std(0) + none.std(0)) / 2, rtol=1e-12)
    np.testing.assert_allclose(full.mean(0), none.mean(0), atol=1e-12)


def test_members_that_agree_stay_as_they_are():
    before = np.ones((5, oi.SIZE))
    np.testing.assert_array_equal(method(REACH, 0.5).analyse(before, oi.rows(), TIME), before)


def test_the_blocks_change_nothing(monkeypatch):
    before = generator.standard_normal((6, oi.SIZE))
    expected = method(REACH).analyse(before, oi.rows(), TIME)
    monkeypatch.setattr(letkf, "POINTS", 3)
    monkeypatch.setattr(letkf, "PRODUCTS", 2 * 6**2)
    np.testing.assert_allclose(method(REACH).analyse(before, oi.rows(), TIME), expected, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_of_wind_speeds_it_is_the_regression_on_those_of_the_members(case):
    """Without slopes: means and covariances of the winds and of what is observed of them."""
    mean, values = CASES[case]
    drawn = np.repeat(generator.standard_normal((30, 2)), POINTS, 1)
    found = method(None, 0.0, oi.GRID).analyse(drawn, wind_rows(mean, **values), TIME)[:, [0, POINTS]]
    u, v = mean[0] + SPREAD * drawn[:, 0], mean[1] + SPREAD * drawn[:, POINTS]
    seen = np.stack([{"u10": u, "v10": v, "ws10": np.hypot(u, v)}[name] for name in values])
    value, error = np.array(list(values.values())).T
    both = np.cov(np.concatenate([drawn[:, [0, POINTS]].T, seen]))
    gain = both[:2, 2:] @ np.linalg.inv(both[2:, 2:] + np.diag(error**2))
    np.testing.assert_allclose(found.mean(0), drawn[:, [0, POINTS]].mean(0) + gain @ (value - seen.mean(1)), atol=1e-9)
    np.testing.assert_allclose(np.cov(found.T), both[:2, :2] - gain @ both[2:, :2], atol=1e-9)


def test_analyses_of_two_shards_agree_once_the_start_is_forgotten():
    process, product = oracle.process(SIZE), Product(members=40)
    times = TIMES[0] + np.arange(-60, 5) * np.timedelta64(24, "h")
    forecasts = LinearForecasts(LinearModel(process), product, 5 << 32, 24)
    first, second = (
        ensemble_filter.forecast_and_analyse("letkf", method(), forecasts, whole.rows(), some, 24, 0)
        for some in (times, times[20:])
    )
    np.testing.assert_allclose(first[:, 55:], second[:, 35:], atol=0.02)
    assert np.abs(first[:, 20] - second[:, 0]).max() > 0.1


@pytest.mark.parametrize("halo", [0, 2])
def test_from_files_to_a_file_it_is_the_kalman_filter_that_starts_before_the_shard(world, domain, halo):  # noqa: F811
    """Observations on three days of the test period; the shard ends before the last of them."""
    grid = Grid.of(store.read(world / "fields.zarr"))
    process = whole.process_of(grid)
    save_file({k: v.contiguous() for k, v in process.tensors().items()}, world / "linear_prior.safetensors")
    files = {name: world / f"{name}.nc" for name in ("climatology", "statistics")}
    files |= {"fields": world / "fields.zarr/zarr.json", "linear_prior": world / "linear_prior.safetensors"}
    files |= {"observations": [world / "observations.parquet"], "analysis": world / "analysis.nc"}
    settings = Baselines(letkf={"halo": halo, "localisation_km": None, "relaxation": 0})
    letkf.run(
        domain, Product(members=500, shard_frames=5), settings, WorldWithoutPeriod(), shard="20010210T12_1", **files
    )
    found = analyses.read([files["analysis"]])
    times = found["time"].values
    assert found.attrs["analysis"] == "letkf" and len(times) == 1 and "localisation_km" not in found.attrs
    scaling = Scaling.read(files["climatology"], files["statistics"])
    table = observations.usable(observations.read([world / "observations.parquet"]))
    window = times[0] + np.arange(-halo, 1) * np.timedelta64(24, "h")
    operators, errors, values = [], [], []
    for time in window:
        lines = []
        for row in table[table["time"] == pd.Timestamp(time)].itertuples():
            channel = ["z500", "t850"].index(row.channel)
            line = np.zeros((2, *grid.shape))
            line[channel] = whole.weights(grid, row.latitude, row.longitude)
            value = row.value - line.ravel() @ scaling.climatology(np.array([time])).ravel()
            lines.append((line.ravel(), row.error / scaling.spread[channel], value / scaling.spread[channel]))
        operators.append(np.array([line for line, *_ in lines]).reshape(-1, process.size))
        errors.append(np.array([error for _, error, _ in lines]))
        values.append(np.array([value for *_, value in lines]))
    expected, spread = oracle.fixed_lag(process, operators, errors, values, 0)
    expected, spread = expected[-1], np.diag(spread[-1])
    members = scaling.normalise(found["analysis"].values, times).reshape(500, -1)
    assert np.abs((members.mean(0) - expected) / np.sqrt(spread)).max() < 6 / np.sqrt(500)
    assert np.abs(members.var(0) / spread - 1).max() < 8 * np.sqrt(2 / 500)


def test_with_the_equations_of_the_ring_it_has_the_published_error():
    """All variables observed every 0.05 time units, unit error, 20 members; DAPPER's ensemble filter has 0.19."""
    settings, frames, spin_up = Synthetic(world="lorenz96", spin_up_days=60), 300, 100
    ring = worlds.build(settings)
    times = np.datetime64("2001-01-01", "ns") + np.arange(frames) * np.timedelta64(6, "h")
    truth = ring.frames(ring.spin_up(times[:1]), times[:1], 0, frames)[1]["x"][0, :, 0].astype(float)
    grid, spread = Grid(ring.latitude, ring.longitude), truth.std()
    scaling = Scaling(np.full((1, 1, 1, 40), truth.mean()), np.array([spread]), 0, 0)
    normal = (truth - truth.mean()) / spread
    count, point = frames * 40, np.tile(np.arange(40), frames)[:, None]
    value = normal.ravel() + np.random.default_rng(0).standard_normal(count) / spread
    ones = np.ones(count)
    given = Rows(np.repeat(times, 40), point, ones[:, None], value, ones / spread, ones, np.arange(count))
    linear = LinearForecasts(LinearModel(white(40)), Product(members=20), 5 << 32, 6)
    model = EquationForecasts(linear, settings, scaling, ["x"], grid)
    found = (
        ensemble_filter.forecast_and_analyse("letkf", method(10000.0, 0.3, grid), model, given, times, 6, spin_up)
        * spread
    )
    error = np.sqrt(((found.mean(0) - spread * normal[spin_up:]) ** 2).mean())
    width = np.sqrt(found.var(0, ddof=1).mean())
    assert 0.15 < error < 0.25 and 0.7 < width / error < 1.3, (error, width)
