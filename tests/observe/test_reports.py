"""Reports: derived quantities against published values, and rows that stand for one value each."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from hindsight.fields import usage
from hindsight.observe import channels, reports
from hindsight.observe.reports import Measured


def of(values, flag="good"):
    return Measured(np.array(values, float), np.full(len(values), flag, object))


def test_wind_blows_from_its_direction():
    found = reports.wind(of([10, 10, 0]), of([270, 180, 123]))
    np.testing.assert_allclose(found["eastward_wind"].value, [10, 0, 0], atol=1e-12)
    np.testing.assert_allclose(found["northward_wind"].value, [0, 10, 0], atol=1e-12)


def test_wind_has_the_worse_of_two_flags_but_calm_has_no_direction():
    found = reports.wind(of([5, 0]), of([90, np.nan], "rejected"))
    assert found["eastward_wind"].flag.tolist() == ["rejected", "good"] and found["eastward_wind"].value[1] == 0


@pytest.mark.parametrize(("altitude", "pressure"), [(0, 1013.25), (5000, 540.20), (11000, 226.32), (15000, 120.45)])
def test_pressure_altitude_is_that_of_the_standard_atmosphere(altitude, pressure):
    """ICAO Doc 7488, table 4."""
    np.testing.assert_allclose(reports.standard_pressure(altitude), pressure, rtol=2e-4)


def test_the_altimeter_setting_at_a_station_is_undone():
    """In the standard atmosphere QNH is 1013.25 hPa everywhere; at sea level it is the station's own pressure."""
    np.testing.assert_allclose(reports.station_pressure(101325, 1000.0), 89874.6, rtol=1e-4)
    np.testing.assert_allclose(reports.station_pressure(99000, 0.0), 99000)


def test_humidity_at_saturation():
    """Bolton's table: 23.37 hPa at 20 degrees C; the specific humidity of air that is saturated at 1000 hPa."""
    np.testing.assert_allclose(reports.saturation_pressure(293.15), 2337, rtol=2e-3)
    np.testing.assert_allclose(
        reports.specific_humidity(293.15, 1e5), 0.62198 * 0.02337 / (1 - 0.37802 * 0.02337), rtol=2e-3
    )


def test_a_row_is_a_value_and_a_missing_one_gives_none():
    place = pd.DataFrame({"time": pd.to_datetime(["2000-01-01", "2000-01-02"]), "latitude": [1.0, 2], "longitude": 3.0})
    found = reports.stack(
        place.assign(platform="land", station=["a", "b"]),
        {"air_temperature": of([280, np.nan]), "surface_air_pressure": of([1e5, 9e4], "suspect")},
    )
    assert found["quantity"].tolist() == ["air_temperature", "surface_air_pressure", "surface_air_pressure"]
    assert found["value"].tolist() == [280, 1e5, 9e4] and found["station"].tolist() == ["a", "a", "b"]
    assert tuple(found.columns) == reports.COLUMNS == tuple(reports.empty().columns)
    assert reports.stack(place, {}).empty


def test_the_worst_flag_wins():
    flags = reports.worst(np.array(["good", "unchecked"], object), np.array(["suspect", "good"], object))
    assert flags.tolist() == ["suspect", "unchecked"]


def test_a_damaged_row_group_costs_its_own_rows(tmp_path):
    table = pd.DataFrame({"a": np.arange(1000), "b": np.random.default_rng(0).standard_normal(1000)})
    table.to_parquet(tmp_path / "t.parquet", row_group_size=250, write_page_checksum=True)
    raw = bytearray((tmp_path / "t.parquet").read_bytes())
    place = pq.ParquetFile(tmp_path / "t.parquet").metadata.row_group(1).column(1).data_page_offset + 300
    raw[place : place + 8] = b"\xff" * 8
    (tmp_path / "t.parquet").write_bytes(raw)
    said = []
    found = reports.read_parquet(tmp_path / "t.parquet", ["a"], "a table", said.append)
    assert found["a"].tolist() == [*range(250), *range(500, 1000)] and "250 of 1000 rows could not be read" in said[0]


def test_an_upper_air_value_without_a_pressure_is_at_no_level():
    found = reports.aloft(np.array([500.0, np.nan]))
    assert found.tolist() == [500.0, reports.UNKNOWN]
    assert channels.channel_name("air_temperature", reports.UNKNOWN, ["t500", "t850"]) == "t"  # not t2m
    table = pd.DataFrame({"channel": ["t", "t"], "level": [500.0, reports.UNKNOWN], "elevation": np.nan})
    assert usage.observable(table, ["t500", "t850"]).tolist() == [True, False]
