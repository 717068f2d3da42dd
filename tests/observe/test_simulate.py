"""Simulated observations."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.interpolate import RegularGridInterpolator

from hindsight.errors import UserError
from hindsight.fields import observations, store
from hindsight.observe import networks, simulate
from hindsight.settings import Domain, Observe
from hindsight.settings.observe import Network
from hindsight.settings.preprocess import CensoredLogarithm

TIMES = pd.date_range("2001-02-01T00", periods=400, freq="6h")


@pytest.fixture
def truth():
    values = np.random.default_rng(0).standard_normal((400, 2, 5, 6)).cumsum(-1)
    return xr.DataArray(
        values,
        dims=("time", "channel", "latitude", "longitude"),
        coords={"time": TIMES, "channel": ["z500", "msl"], "latitude": np.arange(5.0), "longitude": np.arange(6.0)},
    )


STATIONS = pd.DataFrame(
    {
        "station": ["a", "b"],
        "latitude": [1.0, 2.5],
        "longitude": [3.0, 4.0],
        "withheld": [False, True],
        "footprint": ["", ""],
    }
)


def make(truth, **settings):
    network = Network(**settings)
    error = simulate.error_std(network, ["z500", "msl"], np.array([2.0, 10.0]))
    return simulate.simulate(truth, STATIONS, error, np.random.SeedSequence(1), network, 6), error


def test_departures_from_the_truth_are_gaussian_of_the_size_stated(truth):
    table, error = make(truth, noise=0.1)
    observations.check(table.assign(source="x"), "here")
    rows = table[(table["station"] == "b") & (table["channel"] == "msl")]
    between = (truth[:, 1, 2, 4] + truth[:, 1, 3, 4]) / 2
    departures = rows["value"].to_numpy() - between.values
    assert abs(departures.std() / 1.0 - 1) < 0.1 and abs(departures.mean()) < 0.15
    assert (rows["error"] == error[1]).all() and rows["withheld"].all() and rows["level"].isna().all()


def test_noise_may_differ_by_channel(truth):
    _, error = make(truth, noise={"z500": 0.5, "msl": 0.1})
    np.testing.assert_allclose(error, [1.0, 1.0])


def test_an_error_is_in_the_channels_own_units(truth):
    assert make(truth, error=3.0)[1].tolist() == [3.0, 3.0]
    table, error = make(truth, error={"msl": 0.5, "z500": 7.0})
    assert error.tolist() == [7.0, 0.5]
    rows = table[(table["station"] == "a") & (table["channel"] == "z500")]
    assert (rows["error"] == 7).all() and abs((rows["value"] - truth[:, 0, 1, 3].values).std() / 7 - 1) < 0.15


def test_a_network_may_report_seldom(truth):
    table, _ = make(truth, every_hours=12)
    assert set(table["time"].dt.hour) == {0, 12}
    nothing, _ = make(truth.isel(time=[1]), every_hours=24)
    assert nothing.empty and list(nothing) == list(table)


def test_a_network_that_no_frame_meets_is_refused(truth):
    with pytest.raises(UserError, match="never reports at a frame"):
        make(truth.assign_coords(time=TIMES + pd.Timedelta("1h")), every_hours=6)


def test_errors_belong_to_the_frame_and_not_to_the_shard(truth):
    whole, _ = make(truth, noise=0.1)
    parts = [make(truth[cut], noise=0.1)[0] for cut in (slice(0, 7), slice(7, 300), slice(300, 400))]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)


@pytest.fixture
def files(truth, tmp_path):
    """The files of earlier steps (fields, statistics, static), and a list of stations; April is to be observed."""
    domain = Domain(
        channels=["z500", "msl"],
        step_hours=6,
        train={"start": "2001-02-01", "end": "2001-02-28T18:00"},
        validation={"start": "2001-03-01", "end": "2001-03-31T18:00"},
        test={"start": "2001-04-01", "end": "2001-04-30T18:00"},
    )
    store.write(truth.rename("fields").to_dataset(), tmp_path / "fields.zarr")
    xr.Dataset({"spread": ("channel", [2.0, 10.0])}).to_netcdf(tmp_path / "statistics.nc")
    land = np.zeros((5, 6))
    land[1:3] = 1.0
    space = {"latitude": np.arange(5.0), "longitude": np.arange(6.0)}
    xr.Dataset({"land": (tuple(space), land)}, space).to_netcdf(tmp_path / "static.nc")
    (tmp_path / "list.csv").write_text("station,latitude,longitude\nhere,1.5,2.25\nthere,3.0,4.0\n")
    return domain, tmp_path


def observe(files, network, places=(), seed=1, name="net", shard="20010401T00_120"):
    domain, folder = files
    simulate.run(
        domain,
        Observe(networks={name: network}, seed=seed),
        network=name,
        shard=shard,
        fields=folder / "fields.zarr/zarr.json",
        statistics=folder / "statistics.nc",
        static=folder / "static.nc",
        station_list=[folder / place for place in places],
        observations=folder / "observations.parquet",
    )
    return observations.read([folder / "observations.parquet"])


def test_a_network_on_land_observes_the_test_period_where_the_land_is(files, truth):
    table = observe(files, {"kind": "land", "count": 200, "withheld": 0.2, "noise": 1e-6})
    assert table["time"].min() == pd.Timestamp("2001-04-01")
    assert table["time"].max() == pd.Timestamp("2001-04-30T18")
    places = table.drop_duplicates("station")
    assert len(places) == 250 and (~places["withheld"]).sum() == 200
    on_land = places["latitude"].between(0.5, 2.5).mean()
    assert abs(on_land - (1 - networks.AT_SEA)) < 5 * np.sqrt(0.06 * 0.94 / 250)
    some = table[table["channel"] == "msl"].sample(200, random_state=0)
    axes = (np.arange(len(TIMES)), np.arange(5.0), np.arange(6.0))
    expected = RegularGridInterpolator(axes, truth.sel(channel="msl").values)(
        np.stack([TIMES.get_indexer(some["time"]), some["latitude"], some["longitude"]], 1)
    )
    np.testing.assert_allclose(some["value"], expected, atol=1e-4)
    assert (table["source"] == "simulated:net").all()


def test_a_list_is_taken_from_its_file(files):
    table = observe(files, {"kind": "stations", "file": "list.csv", "withheld": 0.0}, ["list.csv"])
    assert set(table["station"]) == {"here", "there"} and len(table) == 2 * 2 * len(table["time"].unique())


def test_stations_and_errors_are_a_function_of_seed_and_name(files):
    spec = {"kind": "land", "count": 20}
    one = observe(files, spec)
    assert one.equals(observe(files, spec))
    for other in (observe(files, spec, seed=2), observe(files, spec, name="other")):
        assert not set(one["latitude"]) & set(other["latitude"])


@pytest.mark.parametrize(("form", "rows", "columns"), [("mean", slice(0, 4), slice(0, 4)), ("centre", [1, 2], [1, 2])])
def test_footprints_are_means_of_the_truth_and_the_table_says_so(files, truth, form, rows, columns):
    table = observe(files, {"kind": "footprint", "every": 4, "footprint": form, "withheld": 0.0, "error": 1e-9})
    assert set(table["footprint"]) == {f"{form} 4x4"} and set(table["station"]) == {"F000000"}
    block = truth.isel(latitude=rows, longitude=columns).mean(("latitude", "longitude"))
    expected = block.sel(time=table["time"].to_xarray(), channel=table["channel"].to_xarray())
    np.testing.assert_allclose(table["value"], expected, atol=1e-7)
    assert (table["latitude"] == 1.5).all() and (table["longitude"] == 1.5).all()


@pytest.mark.parametrize(("errors", "size"), [("transformed", 0.3), ("physical", 0.3)])
def test_errors_of_rain_are_of_its_logarithm_or_of_itself(truth, errors, size):
    log = {"msl": CensoredLogarithm(threshold=0.5, errors=errors)}
    amount = np.maximum(truth, 0) * [[[[1.0]], [[3.0]]]]
    network, seed = Network(error=size), np.random.SeedSequence(1)
    error = simulate.error_std(network, ["z500", "msl"], np.array([2.0, 10.0]), log)
    table = simulate.simulate(amount, STATIONS, error, seed, network, 6, log)
    rows = table[(table["station"] == "a") & (table["channel"] == "msl")]
    true, value = amount[:, 1, 1, 3].values, rows["value"].to_numpy()
    assert (value >= 0).all() and (value == 0).any() and error[1] == size
    wet = (true > 3) & (value > 0)
    away = np.log(value[wet] / true[wet]) if errors == "transformed" else value[wet] - true[wet]
    assert away.std() == pytest.approx(size, rel=0.15) and abs(away.mean()) < 0.1
    plain = simulate.simulate(amount, STATIONS, error, seed, network, 6)
    other = table["channel"] != "msl"
    np.testing.assert_array_equal(table[other]["value"], plain[other]["value"])


def test_a_share_of_the_logarithms_spread_is_no_physical_error():
    log = {"msl": CensoredLogarithm(errors="physical")}
    with pytest.raises(UserError, match="give `error` in these units instead of `noise`"):
        simulate.error_std(Network(noise=0.1), ["z500", "msl"], np.ones(2), log)
