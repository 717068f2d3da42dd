"""Optimal interpolation against dense conditioning, and its sampled posterior."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from hindsight.baselines import covariance, optimal_interpolation
from hindsight.baselines.covariance import JITTER
from hindsight.baselines.optimal_interpolation import OptimalInterpolation
from hindsight.errors import UserError
from hindsight.fields import analyses, observations, store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.operators.interpolate import bilinear
from hindsight.operators.rows import Rows
from hindsight.settings import Baselines, Product
from tests.baselines.test_covariance import distances, published
from tests.oracles import linear_gaussian as oracle
from tests.preprocess.worlds import fields_of, preprocessed, stored

SIZE, STATIONS = 10, 4
generator = np.random.default_rng(0)
ROOT = generator.standard_normal((SIZE, SIZE))
BACKGROUND = ROOT @ ROOT.T
POINT = generator.integers(0, SIZE, (STATIONS, 4))
WEIGHT = generator.uniform(0, 1, (STATIONS, 4))
ERROR = generator.uniform(0.2, 0.9, STATIONS)
VALUE = generator.standard_normal(STATIONS)
TIME = np.datetime64("2009-01-01T12", "ns")
GRID = Grid(np.array([40.0, 45.0, 50.0]), np.array([-10.0, 0.0, 10.0, 20.0]))
REACH = 2200.0


def operator(point=POINT, weight=WEIGHT, size=SIZE):
    dense = np.zeros((len(point), size))
    np.add.at(dense, (np.arange(len(point))[:, None], point), weight)
    return dense


def method(background, span=1):
    """The method, on a copy: it destroys what it is given."""
    return OptimalInterpolation.from_covariance(background.copy(), span)


def rows(lag=0, count=STATIONS, point=POINT, weight=WEIGHT, value=VALUE, error=ERROR):
    time = np.full(count, TIME + lag * np.timedelta64(24, "h"))
    return Rows(
        time, point[:count], weight[:count], value[:count], error[:count], np.ones(count), np.arange(count) + 100 * lag
    )


def localised(background, grid, reach):
    """Every block of a covariance times the taper, by brute force."""
    points = int(np.prod(grid.shape))
    taper = np.vectorize(lambda away: published(away, reach / 2))(distances(grid))
    return background * np.tile(taper, (len(background) // points,) * 2)


def sampled(found, mean, spread, count):
    """Whether members (E, D) have the mean and covariance they should."""
    deviation = np.sqrt(np.diag(spread))
    assert np.abs((found.mean(0) - mean) / deviation).max() < 4.5 / np.sqrt(count)
    error = np.cov(found.T) - spread
    assert np.abs(error / np.outer(deviation, deviation)).max() < 6 / np.sqrt(count)  # a correlation errs by 1/sqrt(n)


def test_the_analysis_is_the_conditional_mean():
    found = method(BACKGROUND).analyse(np.zeros((1, SIZE)), VALUE[None], POINT, WEIGHT, ERROR)
    mean, _ = oracle.condition(BACKGROUND, operator(), ERROR, VALUE)
    np.testing.assert_allclose(found[0], mean, atol=1e-6 * np.abs(mean).max())


def test_an_analysis_of_a_prior_state_moves_it_by_the_gain():
    states, values = generator.standard_normal((3, SIZE)), generator.standard_normal((3, STATIONS))
    found = method(BACKGROUND).analyse(states, values, POINT, WEIGHT, ERROR)
    for state, value, moved in zip(states, values, found):
        mean, _ = oracle.condition(BACKGROUND, operator(), ERROR, value - operator() @ state)
        np.testing.assert_allclose(moved, state + mean, atol=1e-5)


def test_members_are_drawn_from_the_posterior():
    found = method(BACKGROUND).members(rows(), TIME, 24, Product(members=20000))
    sampled(found, *oracle.condition(BACKGROUND, operator(), ERROR, VALUE), 20000)


def test_a_pair_of_antithetic_members_has_the_conditional_mean():
    found = method(BACKGROUND).members(rows(), TIME, 24, Product(members=4, antithetic=True))
    mean, _ = oracle.condition(BACKGROUND, operator(), ERROR, VALUE)
    for pair in (found[:2], found[2:]):
        np.testing.assert_allclose(pair.mean(0), mean, atol=1e-5 * np.abs(found).max())


def test_contradictory_reports_are_refused():
    """One place seen twice, by instruments that are said to have no error worth speaking of."""
    with pytest.raises(
        UserError, match="errors as small as 1.0e-09 standard deviations, as its matrix is singular; give"
    ):
        table = rows(point=POINT[[0, 0, 1, 2]], weight=WEIGHT[[0, 0, 1, 2]], error=np.full(STATIONS, 1e-9))
        method(BACKGROUND).members(table, TIME, 24, Product(members=2))


def test_a_late_report_changes_the_perturbation_of_no_other(monkeypatch):
    """It stands before the others, and is not among those that the second time."""
    given = []
    monkeypatch.setattr(OptimalInterpolation, "analyse", lambda self, prior, value, *_: given.append(value) or prior)
    whole, without = rows(), rows()
    for name, column in vars(without).items():
        object.__setattr__(without, name, None if column is None else column[1:])
    for table in (whole, without):
        method(BACKGROUND).members(table, TIME, 24, Product(members=5))
    np.testing.assert_array_equal(given[0][:, 1:], given[1])
    errors = (given[0] - VALUE) / ERROR
    assert np.abs(errors).max() > 0.5 and len(np.unique(errors)) == errors.size


def test_without_observations_the_members_are_the_climatology():
    found = method(BACKGROUND).members(rows(count=0), TIME, 24, Product(members=20000))
    sampled(found, np.zeros(SIZE), BACKGROUND, 20000)


@pytest.mark.parametrize("lag", [-1, 0, 1])
def test_with_three_frames_the_neighbours_observations_count(lag):
    whole = oracle.covariance(oracle.process(SIZE), 3)
    found = method(whole, 3).members(rows(lag), TIME, 24, Product(members=20000))
    dense = np.zeros((STATIONS, 3 * SIZE))
    dense[:, (lag + 1) * SIZE : (lag + 2) * SIZE] = operator()
    mean, spread = oracle.condition(whole, dense, ERROR, VALUE)
    middle = slice(SIZE, 2 * SIZE)
    sampled(found, mean[middle], spread[middle, middle], 20000)


def test_a_frame_out_of_reach_says_nothing():
    whole, alone = oracle.covariance(oracle.process(SIZE), 3), rows(count=0)
    found = [method(whole, 3).members(table, TIME, 24, Product(members=3)) for table in (rows(2), alone)]
    np.testing.assert_array_equal(*found)


def test_places_that_change_have_a_gain_of_their_own():
    """The gain is kept while the places stay the same, and only then."""
    kept = method(BACKGROUND)
    others = (generator.integers(0, SIZE, POINT.shape), WEIGHT, ERROR), (POINT, WEIGHT[::-1], ERROR)
    for point, weight, error in ((POINT, WEIGHT, ERROR), *others, (POINT, WEIGHT, 3 * ERROR), (POINT, WEIGHT, ERROR)):
        found = kept.analyse(np.zeros((1, SIZE)), VALUE[None], point, weight, error)
        mean, _ = oracle.condition(BACKGROUND, operator(point, weight), error, VALUE)
        np.testing.assert_allclose(found[0], mean, atol=1e-5)


@pytest.mark.parametrize("span", [1, 3])
def test_a_localised_covariance_is_conditioned_as_any_other(span):
    """Two channels on a grid, `span` frames; stations that a point in their reach and one beyond it do not share."""
    points = int(np.prod(GRID.shape))
    size = 2 * points
    few = generator.standard_normal((30, span * size))
    whole = few.T @ few / 30
    expected = localised(whole, GRID, REACH)
    covariance.localise(whole, GRID, REACH)
    places = bilinear(GRID, np.array([41.0, 45.0, 48.7]), np.array([-8.0, 0.0, 19.0]))
    point, weight = places.point + points * np.array([[0], [1], [1]]), places.weight
    value, error = np.array([1.0, -2.0, 0.5]), np.array([0.3, 0.2, 0.6])
    table = rows(0, 3, point, weight, value, error)
    found = OptimalInterpolation.from_covariance(whole, span).members(table, TIME, 24, Product(members=20000))
    middle = slice(span // 2 * size, (span // 2 + 1) * size)
    dense = np.zeros((3, span * size))
    dense[:, middle] = operator(point, weight, size)
    mean, spread = oracle.condition(expected, dense, error, value)
    sampled(found, mean[middle], spread[middle, middle], 20000)


def test_beyond_its_reach_an_observation_moves_nothing():
    points = int(np.prod(GRID.shape))
    whole = BACKGROUND.mean() + np.eye(2 * points)
    covariance.localise(whole, GRID, REACH)
    point, weight = np.zeros((1, 4), int), np.array([[1.0, 0, 0, 0]])
    moved = OptimalInterpolation.from_covariance(whole, 1).analyse(
        np.zeros((1, 2 * points)), np.ones((1, 1)), point, weight, np.full(1, 0.1)
    )[0]
    far = np.tile(distances(GRID)[0] >= REACH, 2)
    assert far.any() and (moved[far] == 0).all() and (moved[~far] > 0).all()


def test_it_takes_its_covariance_over():
    """What it is given is lost, and the method lives on single precision and a triangular root."""
    given = BACKGROUND.copy()
    found = OptimalInterpolation.from_covariance(given, 1)
    assert np.abs(given - BACKGROUND).max() > 0.1
    assert found.covariance.dtype == np.float32 and found.root.dtype == np.float32
    assert not np.shares_memory(found.covariance, given) and not np.shares_memory(found.root, given)
    np.testing.assert_array_equal(found.covariance, BACKGROUND.astype(np.float32))
    root = found.root.astype(float)
    np.testing.assert_array_equal(root, np.tril(root))
    hair = JITTER * np.trace(BACKGROUND) / SIZE
    np.testing.assert_allclose(root @ root.T, BACKGROUND + hair * np.eye(SIZE), atol=1e-5)


def test_it_needs_no_second_covariance_in_double_precision():
    """Beside what it is given, two of single precision: 8 bytes a number."""
    size = 600
    given = np.diag(np.linspace(1, 2, size))
    tracemalloc.start()
    found = OptimalInterpolation.from_covariance(given, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.size == size and peak < 9 * size**2


def test_a_covariance_of_fewer_frames_than_values_will_do():
    """The members stay among the frames it was estimated from, but for a hair."""
    few = generator.standard_normal((4, SIZE))
    found = method(few.T @ few / 4).members(rows(count=0), TIME, 24, Product(members=2000))
    outside = np.eye(SIZE) - np.linalg.pinv(few) @ few
    assert np.abs(found @ outside).max() < 5 * 4 * np.sqrt(JITTER)
    np.testing.assert_allclose(np.cov(found.T), few.T @ few / 4, atol=0.2)


def test_a_state_that_is_too_large_is_refused():
    with pytest.raises(UserError, match=r"25001 x 25001 numbers, 5 GB.*baselines\.methods"):
        covariance._check_size(25_001)
    covariance._check_size(25_000)


@pytest.fixture
def world(source, domain, tmp_path):
    """The tiny world after preprocessing, and eleven observations on three days of its test period."""
    fields = fields_of(source, domain)
    preprocessed(fields, domain, tmp_path)
    places = [(42.0, -7.0, "z500"), (45.0, 1.0, "z500"), (47.0, 6.0, "t850"), (50.0, -3.5, "t850")]
    table = [
        {"time": day, "latitude": latitude, "longitude": longitude, "channel": channel, "station": f"{latitude}"}
        for day in pd.date_range("2001-02-09T12", periods=3)
        for latitude, longitude, channel in places
    ]
    table = pd.DataFrame(table[:-1])
    error = table["channel"].map({"z500": 8.0, "t850": 0.5})
    near = fields["fields"].sel(time="2001-02-10T12")
    value = [
        float(near.sel(channel=row.channel).interp(latitude=row.latitude, longitude=row.longitude))
        for row in table.itertuples()
    ]
    table = table.assign(
        value=value + error * np.random.default_rng(0).standard_normal(len(table)),
        error=error,
        level=500.0,
        platform="x",
        quality=0,
        withheld=False,
        source="x",
    )
    spoilt = table.assign(value=table["value"] + 1e4)
    table = pd.concat([table, spoilt.assign(withheld=True), spoilt.assign(quality=1)])
    observations.write(table, tmp_path / "observations.parquet")
    return tmp_path


def analysed(world, domain, settings, members=600, **more):
    optimal_interpolation.run(
        domain,
        Product(members=members, shard_frames=5),
        Baselines(optimal_interpolation=settings),
        fields=world / "fields.zarr/zarr.json",
        climatology=world / "climatology.nc",
        statistics=world / "statistics.nc",
        observations=[world / "observations.parquet"],
        shard="20010206T12_5",
        analysis=world / "analysis.nc",
        **more,
    )
    return analyses.read([world / "analysis.nc"])


@pytest.mark.parametrize(
    ("frames", "reach"), [(1, None), (1, 700.0), (3, 700.0)], ids=["alone", "localised", "three_frames_localised"]
)
def test_from_files_to_a_file_it_is_conditioning_in_physical_units(world, domain, frames, reach):
    """The whole step against dense conditioning that never normalises anything."""
    found = analysed(world, domain, {"frames": frames, "localisation_km": reach})
    dataset = store.read(world / "fields.zarr")
    training = dataset.sel(time=slice(domain.train.start, domain.train.end))
    mean = lambda times: Scaling.read(world / "climatology.nc", world / "statistics.nc").climatology(times)
    departures = (training["fields"].values - mean(training["time"].values)).reshape(training.sizes["time"], -1)
    size, count = departures.shape[1], len(departures) - frames + 1
    stacked = np.concatenate([departures[k : k + count] for k in range(frames)], 1)
    prior = stacked.T @ stacked / count
    prior = localised(prior, Grid.of(dataset), reach) if reach else prior
    table = observations.usable(observations.read([world / "observations.parquet"]))
    axes = (dataset["latitude"].values, dataset["longitude"].values)
    for t, time in enumerate(found["time"].values):
        dense, value, error = [], [], []
        for row in table.itertuples():
            lag = (np.datetime64(row.time) - time) // np.timedelta64(1, "D")
            if abs(lag) > frames // 2:
                continue
            south, west = (np.searchsorted(a, x, "right") - 1 for a, x in zip(axes, (row.latitude, row.longitude)))
            line = np.zeros((frames, 2, *Grid.of(dataset).shape))
            for i in (south, min(south + 1, len(axes[0]) - 1)):
                for j in (west, west + 1):
                    share = (1 - abs(axes[0][i] - row.latitude) / 2) * (1 - abs(axes[1][j] - row.longitude) / 2)
                    line[lag + frames // 2, ["z500", "t850"].index(row.channel), i, j] = share
            dense.append(line.ravel())
            around = np.array([time + k * np.timedelta64(1, "D") for k in range(-(frames // 2), frames // 2 + 1)])
            value.append(row.value - dense[-1] @ mean(around).ravel())
            error.append(row.error)
        middle = slice(frames // 2 * size, (frames // 2 + 1) * size)
        expected, spread = np.zeros(len(prior)), prior
        if dense:
            expected, spread = oracle.condition(prior, np.array(dense), np.array(error), np.array(value))
        hair = JITTER * len(prior) * np.diag(prior)[middle]  # what is known exactly is left a hair of variance
        expected, spread = expected[middle], np.diag(spread)[middle] + hair
        members = found["analysis"].values[:, t].reshape(600, -1) - mean(np.array([time])).ravel()
        assert np.abs((members.mean(0) - expected) / np.sqrt(spread)).max() < 4.5 / np.sqrt(600)
        assert np.abs(members.var(0) / spread - 1).max() < 6 * np.sqrt(2 / 600)


@pytest.mark.parametrize(("frames", "reach"), [(1, None), (3, 700.0)])
def test_a_stored_covariance_gives_the_same_analysis(world, domain, frames, reach, monkeypatch):
    settings = {"frames": frames, "localisation_km": reach}
    whole = analysed(world, domain, settings, members=3)
    files = {name: world / f"{name}.nc" for name in ("climatology", "statistics")}
    files |= {"fields": world / "fields.zarr/zarr.json", "covariance": world / "baselines/covariance.npy"}
    covariance.run(domain, Baselines(optimal_interpolation=settings).optimal_interpolation, **files)
    monkeypatch.setattr(covariance, "fit", lambda *_: pytest.fail("it was fitted again"))
    found = analysed(world, domain, settings, members=3, covariance=files["covariance"])
    np.testing.assert_allclose(found["analysis"], whole["analysis"], rtol=1e-6)
    with pytest.raises(UserError, match="is for states of"):
        analysed(world, domain, settings | {"frames": 5}, members=3, covariance=files["covariance"])


def test_masked_frames_of_the_training_period_are_not_used(world, domain):
    """Neither they nor what spans them: the analysis is that of a store that ends with what there is."""
    whole = store.read(world / "fields.zarr").load()
    known = np.ones(whole.sizes["time"], bool)
    known[[0, *range(200, 366)]] = False
    masked = whole.copy(deep=True).assign(available=("time", known))
    masked["fields"][~known] = np.nan
    stored(masked, world / "fields.zarr")
    found = analysed(world, domain, {"frames": 3}, members=2)
    stored(whole, world / "fields.zarr")
    start, end = (whole["time"].values[k].astype("datetime64[us]").item() for k in (1, 199))
    short = domain.model_copy(update={"train": domain.train.model_validate({"start": start, "end": end})})
    np.testing.assert_allclose(
        found["analysis"], analysed(world, short, {"frames": 3}, members=2)["analysis"], rtol=1e-6
    )
    assert np.abs(found["analysis"] - analysed(world, domain, {"frames": 3}, members=2)["analysis"]).max() > 1


def test_localisation_limits_the_reach_of_a_station(world, domain):
    """Against the same members without observations, which is no error: only what lies beside a station moves."""
    settings = {"localisation_km": 300.0}
    found = analysed(world, domain, settings, members=2)
    table = observations.read([world / "observations.parquet"])
    observations.write(table.assign(quality=1), world / "observations.parquet")
    moved = np.abs(found["analysis"] - analysed(world, domain, settings, members=2)["analysis"])
    moved = moved.max(("realization", "time"))
    assert float(moved.sel(channel="z500", latitude=42, longitude=-7)) > 1
    for latitude, longitude in ((40, 5), (40, 7), (46, -7)):  # 400 km and more from every point observed
        assert float(moved.sel(latitude=latitude, longitude=longitude).max()) == 0


@pytest.mark.parametrize(("frames", "size"), [(1, 96), (3, 288)])
def test_a_domain_that_is_too_large_is_refused_before_the_covariance_is_computed(
    world, domain, frames, size, monkeypatch
):
    monkeypatch.setattr(covariance, "LARGEST", size - 1)
    monkeypatch.setattr(covariance, "lagged_covariance", lambda *_: pytest.fail("it was made"))
    with pytest.raises(UserError, match=f"{size} x {size}"):
        analysed(world, domain, {"frames": frames}, members=2)
    assert not (world / "analysis.nc").exists()
