"""Files of MADIS of 2005-08-26, 00 UTC: how many values they hold, and some of them by another reader."""

import gzip

import netCDF4
import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.observe import reports
from hindsight.observe.sources import madis
from tests.observe.sources import real

FILES = {kind: f"obs_madis_20050826/2005082600_{kind}.nc.gz" for kind in ("metar", "marine", "acars", "rawin")}
PRESSURE, STATION = "air_pressure_at_mean_sea_level", "surface_air_pressure"
TEMPERATURE, DEW_POINT, EAST, NORTH = "air_temperature", "dew_point_temperature", "eastward_wind", "northward_wind"
HELD = {
    "metar": {PRESSURE: 1376, TEMPERATURE: 3274, DEW_POINT: 3202, EAST: 3200, NORTH: 3200, STATION: 3101},
    "marine": {PRESSURE: 997, TEMPERATURE: 713, DEW_POINT: 372, EAST: 661, NORTH: 661, STATION: 419},
}


@pytest.mark.parametrize("kind", HELD)
def test_surface_reports_by_number(kind):
    found = madis.read(real.file(FILES[kind]))
    assert real.counts(found) == HELD[kind] and found["pressure"].isna().all()
    assert set(found["platform"]) == {"land" if kind == "metar" else "ship"}


def by_netcdf(kind, tmp_path):
    (tmp_path / "plain.nc").write_bytes(gzip.decompress(real.file(FILES[kind]).read_bytes()))
    return netCDF4.Dataset(tmp_path / "plain.nc")


def test_values_times_and_letters_are_those_of_the_file(tmp_path):
    found, plain = madis.read(real.file(FILES["metar"])), by_netcdf("metar", tmp_path)
    found = found[found["quantity"] == TEMPERATURE]
    values, letters = plain["temperature"][:], plain["temperatureDD"][:]
    there = ~np.ma.getmaskarray(values)
    np.testing.assert_allclose(found["value"], values[there], rtol=1e-6)
    seconds = found["time"].to_numpy("datetime64[s]").astype("int64")
    np.testing.assert_array_equal(seconds, plain["timeObs"][:][there].astype("int64"))
    rejected = np.isin(letters[there], [b"B", b"X"])
    assert ((found["flag"] == "rejected").to_numpy() == rejected).all()
    assert (found["flag"] == "suspect").sum() == np.isin(letters[there], [b"Q"]).sum() == 66


def test_aircraft_report_at_the_pressure_of_their_altitude():
    found = madis.read(real.file(FILES["acars"]))
    assert found["pressure"].notna().all() and set(found["platform"]) == {"aircraft"}
    unknown = found["pressure"] == reports.UNKNOWN
    assert unknown.sum() == 1581 and found["pressure"][~unknown].between(100, 1080).all()
    warm = found[found["quantity"] == TEMPERATURE].groupby(found["pressure"].round(-2))["value"].median()
    assert warm[1000] > warm[700] > warm[500] > warm[300]  # colder with height


def test_soundings_have_the_heights_of_their_levels():
    found = madis.read(real.file(FILES["rawin"]))
    assert set(found["platform"]) == {"sonde"} and set(found["flag"]) == {"unchecked"}
    height = found[found["quantity"] == "geopotential"].groupby("pressure")["value"].median() / 9.80665
    assert 1400 < height[850] < 1600 and 5500 < height[500] < 5950 and 16000 < height[100] < 17000


def test_another_file_is_refused_in_words(tmp_path):
    with netCDF4.Dataset(tmp_path / "other.nc", "w", format="NETCDF3_CLASSIC") as file:
        file.createDimension("x", 1)
        file.createVariable("t", "f4", ("x",))
    with pytest.raises(UserError, match="no MADIS file.*it holds t"):
        madis.read(tmp_path / "other.nc")
    (tmp_path / "cut.nc.gz").write_bytes(real.file(FILES["metar"]).read_bytes()[:5000])
    with pytest.raises(UserError, match="cannot be read"):
        madis.read(tmp_path / "cut.nc.gz")


def test_what_a_file_lacks_or_leaves_out_costs_only_that():
    """No wind, a missing time, and a station that gives its altimeter setting alone."""
    along = lambda *values: ("recNum", np.array(values))
    dataset = xr.Dataset(
        {
            "stationName": along(b"EDDF", b"EGLL"), "timeObs": along(0.0, np.nan), "temperature": along(280.0, 281.0),
            "latitude": along(50.0, 51.0), "longitude": along(8.0, 0.0), "elevation": along(100.0, 30.0),
            "stationPress": along(np.nan, 1.0e5), "altimeter": along(1.013e5, 1.013e5),
        }
    )  # fmt: skip
    found = madis.surface(dataset)
    pressure = found[found["quantity"] == "surface_air_pressure"].set_index("station")["value"]
    assert pressure["EGLL"] == 1.0e5 and 0.99e5 < pressure["EDDF"] < 1.012e5
    assert found[found["station"] == "EGLL"]["time"].isna().all() and "eastward_wind" not in set(found["quantity"])
