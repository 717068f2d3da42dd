"""The observation table."""

import numpy as np
import pandas as pd
import pytest

from hindsight.errors import UserError
from hindsight.fields import observations


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "time": pd.to_datetime(["2009-01-01T12", "2009-01-02T12"]),
            "latitude": [50.0, 51],
            "longitude": [0.0, 1],
            "level": [500.0, np.nan],
            "channel": ["z500", "msl"],
            "value": [1.0, 2],
            "error": [0.1, 0.2],
            "platform": "simulated",
            "station": ["A", "B"],
            "quality": [0, 3],
            "withheld": [False, False],
            "source": "test",
            "footprint": ["", "mean 4x4"],
        }
    )


def test_a_table_comes_back_as_it_was(table, tmp_path):
    observations.write(table, tmp_path / "a.parquet")
    found = observations.read([tmp_path / "a.parquet"])
    pd.testing.assert_frame_equal(found, observations.check(table, "here"), check_dtype=False)


def test_only_the_rows_of_a_period_are_read(table, tmp_path):
    observations.write(table, tmp_path / "a.parquet")
    assert (
        len(observations.read([tmp_path / "a.parquet"], np.datetime64("2009-01-02"), np.datetime64("2009-01-03"))) == 1
    )


def test_the_tables_of_several_shards_are_one(table, tmp_path):
    paths = [tmp_path / f"{n}.parquet" for n in range(3)]
    for path, part in zip(paths, (table.iloc[:1], table.iloc[:0], table.iloc[1:])):
        observations.write(part, path)
    expected = observations.check(table, "here")
    pd.testing.assert_frame_equal(observations.read(paths), expected, check_dtype=False)
    later = observations.read(paths, np.datetime64("2009-01-02"), np.datetime64("2009-01-03"))
    assert later["station"].tolist() == ["B"] and list(later) == list(expected)


def test_stations_of_a_network_are_listed_once(table, tmp_path):
    paths = [tmp_path / f"{n}.parquet" for n in range(3)]
    for path, part in zip(paths, (table, table.assign(value=7.0), table.iloc[:0])):
        observations.write(part, path)
    found = observations.stations(paths)
    assert found["station"].tolist() == ["A", "B"] and "value" not in found and "time" not in found
    with pytest.raises(UserError, match="holds no observation; widen"):
        observations.stations(paths[2:])


def test_only_good_rows_that_are_not_withheld_are_used(table):
    assert list(observations.usable(table)["station"]) == ["A"]
    assert observations.usable(table.assign(withheld=True)).empty


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda t: t.drop(columns="error"), "lacks the column"),
        (lambda t: t.assign(value=[1.0, np.nan]), "row 1"),
        (lambda t: t.assign(error=[0.0, 1.0]), r"1 row\(s\) with an error not above zero, the first is row 0"),
        (lambda t: t.assign(error=[1.0, -0.1]), "error not above zero, the first is row 1"),
        (lambda t: t.assign(error=[1.0, np.nan]), r"1 row\(s\) with NaN or infinity, the first is row 1"),
        (lambda t: t.assign(error=[1.0, np.inf]), "row 1"),
    ],
)
def test_an_invalid_table_is_refused_with_the_reason(table, spoil, says):
    with pytest.raises(UserError, match=says):
        observations.check(spoil(table), "here")


def test_a_file_that_is_not_parquet_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_text("nonsense")
    with pytest.raises(UserError, match="cannot read the observations"):
        observations.read([tmp_path / "a.parquet"])


def test_a_table_without_footprints_holds_point_values(table, tmp_path):
    table.drop(columns="footprint").to_parquet(tmp_path / "old.parquet", index=False)
    expected = observations.check(table, "here").assign(footprint="")
    pd.testing.assert_frame_equal(observations.read([tmp_path / "old.parquet"]), expected, check_dtype=False)


def test_a_column_that_only_some_shards_have_keeps_its_type(table, tmp_path):
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    observations.write(table, paths[0])
    observations.write(table.assign(reasons=[0, 8], bias=[0.0, 2.5], time_weights=["0:1", ""]), paths[1])
    found = observations.read(paths)
    assert found["reasons"].tolist() == [0, 0, 0, 8] and found["reasons"].dtype.kind == "i"
    assert found["bias"].tolist() == [0, 0, 0, 2.5] and found["time_weights"].tolist() == ["", "", "0:1", ""]
