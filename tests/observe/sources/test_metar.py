"""METAR of twelve stations in January 2020."""

import pandas as pd
import pytest

from hindsight.errors import UserError
from hindsight.observe.sources import metar
from tests.observe.sources import real

FILE = "obs_metar_202001/2020-01.parquet"


def test_what_the_file_holds_by_number():
    found = metar.read(real.file(FILE))
    assert found["station"].nunique() == 12 and set(found["platform"]) == {"land"}
    assert real.counts(found) == {
        "air_pressure_at_mean_sea_level": 1488,
        "air_temperature": 12515,
        "dew_point_temperature": 12515,
        "eastward_wind": 11677,
        "northward_wind": 11677,
        "surface_air_pressure": 11786,
    }
    assert found["flag"].value_counts().to_dict() == {"good": 60934, "suspect": 724}


def test_station_pressure_agrees_with_sea_level_pressure_where_both_are_reported():
    """At stations below 300 m: reductions differ by the temperature that they assume, by a hectopascal or two."""
    found = metar.read(real.file(FILE)).query("elevation < 300")
    wide = found.pivot_table(index=["station", "time", "elevation"], columns="quantity", values="value").reset_index()
    wide = wide.dropna(subset=["air_pressure_at_mean_sea_level", "surface_air_pressure", "air_temperature"])
    fall = 0.0065 * wide["elevation"]
    reduced = wide["surface_air_pressure"] * (1 + fall / wide["air_temperature"]) ** 5.2559
    apart = reduced - wide["air_pressure_at_mean_sea_level"]
    assert len(wide) > 500 and apart.abs().median() < 150 and apart.std() < 100
    raw = (wide["surface_air_pressure"] - wide["air_pressure_at_mean_sea_level"]).abs().median()
    assert raw > 2000, "the reduction has nothing to do"


def test_missing_columns_are_named(tmp_path):
    pd.DataFrame({"stationName": ["A"]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match="lacks the column.*latitude"):
        metar.read(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_text("no parquet")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        metar.read(tmp_path / "b.parquet")
