"""Feedback: departures by hand, ranks and CRPS of calibrated members, codes, means over the edge of a shard."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import xarray as xr

from hindsight.fields import analyses, observations
from hindsight.fields.grid import Grid
from hindsight.fields.usage import CODES
from hindsight.operators.evaluate import evaluate
from hindsight.settings import Division
from hindsight.settings.preprocess import CensoredLogarithm
from hindsight.verify import feedback
from tests.verify import worlds

SHARD, PRODUCT = "20090117T12_16", Division(seed=1)


def made(world, folder, table=None, shard=SHARD, analysis="diffusion"):
    """The feedback of an analysis of the second shard, perhaps of other observations."""
    name = shard.split("_")[0]
    path = next(path for path in world["observations"] if path.stem == name)
    if table is not None:
        path = folder / f"{name}.parquet"
        observations.write(table, path, coded=True)
    paths = {key: world[key] for key in ("fields", "climatology", "statistics")}
    paths["analyses"] = [path for path in world["analyses"] if path.parent.name == analysis]
    settings, out = world["settings"], folder / "feedback.parquet"
    feedback.run(settings.domain, settings.product, shard=shard, observations=path, feedback=out, **paths)
    return pd.read_parquet(out)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return worlds.make(tmp_path_factory.mktemp("world"), worlds.BOX)


def observed(world, shard=SHARD):
    return observations.read([p for p in world["observations"] if p.stem == shard.split("_")[0]])


def test_every_observation_has_a_row_with_its_departures(world, tmp_path):
    found, table = made(world, tmp_path, analysis="optimal_interpolation"), observed(world)
    assert (found["analysis"] == "optimal_interpolation").all() and len(found) == len(table)
    keys = ["time", "channel", "station"]
    one = found.merge(table[[*keys, "value", "withheld", "footprint"]], on=keys)
    level = one["channel"].map({"z500": 54000.0, "msl": 101000.0})
    np.testing.assert_allclose(one["fg_depar"], one["value"] - level, rtol=1e-6, atol=0.02)
    assert abs(one["reference_depar"].std() / 50 - 1) < 0.1 and (one["code"] == one["withheld"]).all()
    whole = analyses.read([path for path in world["analyses"] if path.parent.name == "optimal_interpolation"])
    grid, values = Grid.of(whole), whole["analysis"].values.astype(float)
    expected = evaluate(one.assign(time_weights=""), ["z500", "msl"], grid, whole["time"].values, values)
    np.testing.assert_allclose(one["an_depar"], one["value"] - expected.mean(0), rtol=1e-4, atol=0.05)
    np.testing.assert_allclose(one["an_spread"], expected.std(0, ddof=1), rtol=1e-4, atol=0.01)


def test_ranks_of_calibrated_members_are_uniform_and_their_crps_is_that_of_the_definition():
    generator, count = np.random.default_rng(0), 20000
    table = pd.DataFrame({"station": np.arange(count).astype(str)})
    table = table.assign(time=pd.Timestamp("2009-01-01"), channel="msl", error=0.5, latitude=50.0, longitude=0.0)
    centre = generator.normal(size=count)
    members = centre + generator.normal(size=(4, count))
    table["value"] = centre + generator.normal(size=count) + 0.5 * generator.normal(size=count)
    found = feedback.compare_members(members, table, [0, 1, 2, 3], PRODUCT)
    assert np.abs(np.bincount(found["rank"], minlength=5) / count - 0.2).max() < 0.012
    wide = np.sqrt(1.25)
    assert found["crps"].mean() == pytest.approx(wide / np.sqrt(np.pi), rel=0.02)  # of N(0, s^2), in the mean
    single = feedback.compare_members(members[:1], table, [0], PRODUCT)
    assert np.isnan(single["an_spread"]).all() and np.isfinite(single["an_depar"]).all()


def test_rows_that_are_not_used_are_there_with_their_code(world, tmp_path):
    table = observed(world)
    table.loc[0, "latitude"], table.loc[1, "value"] = -50.0, table.loc[1, "value"] + 15000
    table.loc[2, "quality"] = CODES["station denied"]
    one = made(world, tmp_path, table)
    codes = one["code"].value_counts()
    assert codes[CODES["outside the domain"]] == codes[CODES["station denied"]] == 1
    assert codes[CODES["far from the climatology"]] == 1 and len(one) == len(table)
    nowhere = one[one["code"] == CODES["outside the domain"]].iloc[0]
    assert np.isnan(nowhere["an_depar"]) and nowhere["rank"] == -1
    assert np.isfinite(one[one["code"] == CODES["station denied"]]["an_depar"]).all()


def test_a_mean_over_time_reaches_into_the_shards_beside(world, tmp_path):
    table = observed(world).assign(time_weights="-1:0.25 0:0.5 1:0.25")
    table = table.astype({"time_weights": object})
    inner = made(world, tmp_path, table)
    assert np.isfinite(inner[["an_depar", "fg_depar", "reference_depar"]]).all().all()
    first = made(
        world, tmp_path, observed(world, "20090101T12_16").assign(time_weights="-1:0.25 0:0.5 1:0.25"), "20090101T12_16"
    )
    edge = first["time"] == first["time"].min()
    assert np.isnan(first.loc[edge, "an_depar"]).all() and np.isfinite(first.loc[~edge, "an_depar"]).all()


def test_the_file_says_what_its_columns_are_and_is_read_by_column_and_period(world, tmp_path):
    made(world, tmp_path)
    path = tmp_path / "feedback.parquet"
    schema = pq.read_schema(path)
    assert schema.names == [*feedback.COLUMNS]
    assert all(field.metadata[b"description"].decode() == feedback.COLUMNS[field.name] for field in schema)
    day = pd.Timestamp("2009-01-20T12")
    part = pd.read_parquet(path, columns=["time", "an_depar"], filters=[("time", "==", day)])
    assert set(part) == {"time", "an_depar"} and (part["time"] == day).all()


def test_the_same_inputs_give_the_same_bytes(world, tmp_path):
    made(world, tmp_path)
    before = (tmp_path / "feedback.parquet").read_bytes()
    made(world, tmp_path)
    assert (tmp_path / "feedback.parquet").read_bytes() == before


def test_without_fields_of_the_period_there_is_no_departure_of_a_reference(world, tmp_path):
    fields = xr.open_zarr(world["fields"], consolidated=False)
    assert np.isnan(feedback._reference(fields, fields["time"].values + np.timedelta64(900, "D"))).all()


def test_a_shard_without_observations_has_an_empty_table(world, tmp_path):
    found = made(world, tmp_path, observed(world).iloc[:0])
    assert found.empty and list(found) == list(feedback.COLUMNS)


GAUGE = {"time": pd.Timestamp("2010-08-26"), "channel": "rain", "latitude": 0.0, "longitude": 0.0, "level": np.nan}


def test_ranks_of_values_that_equal_members_are_random_and_uniform():
    """Rain and its members are dry or wet by the same chance."""
    generator, count, members = np.random.default_rng(5), 20_000, 4
    rain = np.maximum(generator.standard_normal((members + 1, count)) - 0.5, 0)
    table = pd.DataFrame(GAUGE | {"station": np.arange(count).astype(str), "value": rain[0], "error": 0.0})
    found = feedback.compare_members(rain[1:], table, [0, 1, 2, 3], PRODUCT)["rank"]
    shares = np.bincount(found, minlength=members + 1) / count
    np.testing.assert_allclose(shares, 1 / (members + 1), atol=0.01)
    np.testing.assert_array_equal(found, feedback.compare_members(rain[1:], table, [0, 1, 2, 3], PRODUCT)["rank"])
    one = table.iloc[::-1].reset_index(drop=True)
    again = feedback.compare_members(rain[1:, ::-1], one, [0, 1, 2, 3], PRODUCT)["rank"]
    np.testing.assert_array_equal(again[::-1], found)  # whatever the order of the rows


def test_errors_of_rain_are_added_to_its_logarithm():
    log = CensoredLogarithm(threshold=0.1)
    table = pd.DataFrame(GAUGE | {"station": ["a", "b"], "value": [0.0, 5.0], "error": 0.2})
    members = np.array([[0.0, 4.0]] * 6)
    found = feedback.compare_members(members, table, list(range(6)), PRODUCT, {"rain": log})
    assert found["crps"][0] == 0 and 0 < found["crps"][1] < 1.5
    assert 0 <= found["rank"][0] <= 6 and found["rank"][1] >= 3
