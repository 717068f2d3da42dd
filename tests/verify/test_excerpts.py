"""Excerpts: the frames asked for, and series at stations that are what brute force says."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hindsight.fields import observations, store
from hindsight.fields.grid import great_circle
from hindsight.verify import excerpts
from tests.verify import worlds


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return worlds.make(tmp_path_factory.mktemp("world"), worlds.BOX, frames=32, shard=8)


def diffusion(world):
    return [path for path in world["analyses"] if "diffusion" in path.parts]


def test_frames_come_from_the_shards_that_hold_them(world):
    whole = xr.concat([xr.load_dataset(path)["analysis"] for path in diffusion(world)], "time")
    times = whole["time"].values[[6, 7, 8, 30]]
    xr.testing.assert_equal(excerpts.read_frames(diffusion(world), times), whole.sel(time=times))


def test_stations_are_the_nearest_to_a_place_of_those_used_and_of_those_withheld(world):
    table = observations.read(world["observations"])
    found = excerpts.choose_stations(table, "msl", (50.0, 0.0))
    assert found["withheld"].tolist() == [False, True]
    for kept, station in zip((False, True), found["station"]):
        rows = table[table["withheld"] == kept].drop_duplicates("station")
        away = {r.station: great_circle(50.0, 0.0, r.latitude, r.longitude) for r in rows.itertuples()}
        assert station == min(away, key=away.get)


def test_without_a_place_stations_are_those_that_vary_most(world):
    table = observations.read(world["observations"])
    found = excerpts.choose_stations(table, "msl", None)
    for kept, station in zip((False, True), found["station"]):
        rows = table[(table["withheld"] == kept) & (table["channel"] == "msl")]
        spread = {name: np.std(part["value"], ddof=1) for name, part in rows.groupby("station")}
        assert station == max(spread, key=spread.get)


def test_a_network_that_withholds_nothing_has_one_station(world):
    table = observations.read(world["observations"])
    assert excerpts.choose_stations(table[~table["withheld"]], "msl", None)["withheld"].tolist() == [False]


def test_series_at_a_grid_point_equal_its_values(world):
    truth = store.read(world["fields"])["fields"].isel(time=slice(5, 20)).load()
    table = observations.read(world["observations"])
    chosen = pd.DataFrame({"station": ["s1"], "latitude": [46.0], "longitude": [-5.0], "withheld": [False]})
    one = excerpts.series(diffusion(world), truth, table, chosen, worlds.BOX)[0]
    here = {"latitude": 46.0, "longitude": -5.0}
    np.testing.assert_allclose(one.truth, truth.sel(here))
    members = (
        excerpts.read_frames(diffusion(world), truth["time"].values)
        .sel(here)
        .transpose("realization", "time", "channel")
    )
    np.testing.assert_allclose(one.members, members)
    assert set(one.observations["station"]) == {"s1"} and len(one.observations) == 15 * 2
