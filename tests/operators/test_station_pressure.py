"""Station pressure: the standard atmosphere, finite differences, and mountains where it is measured."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hindsight.operators.station_pressure import EXPONENT, LAPSE, linearised


def test_in_the_standard_atmosphere_it_is_its_pressure():
    """ICAO Doc 7488: 898.75 hPa at 1000 m, 794.95 hPa at 2000 m, and 278.678 K at 850 hPa."""
    at_850 = 288.15 * (850 / 1013.25) ** (1 / EXPONENT)
    found = linearised(101325.0, at_850, np.array([0.0, 1000, 2000]))
    np.testing.assert_allclose(found.value, [101325, 89875, 79495], rtol=1e-4)
    assert found.by_temperature[0] == 0 and found.by_pressure[0] == 1


@pytest.mark.parametrize("height", [5.0, 700, 1894, 3100])
def test_slopes_are_those_of_finite_differences(height):
    pressure, temperature = np.array([98000.0, 101000, 104000]), np.array([260.0, 278, 290])
    found = linearised(pressure, temperature, height)
    value = lambda p, t: linearised(p, t, height).value
    by_pressure = (value(pressure + 1, temperature) - value(pressure - 1, temperature)) / 2
    by_temperature = (value(pressure, temperature + 0.01) - value(pressure, temperature - 0.01)) / 0.02
    np.testing.assert_allclose(found.by_pressure, by_pressure, rtol=1e-6)
    np.testing.assert_allclose(found.by_temperature, by_temperature, rtol=1e-6)


def test_it_is_hydrostatic():
    """dp / dh = -g p / (R T), with the temperature at that height."""
    pressure, temperature, height = 101000.0, 280.0, 1500.0
    slope = (
        linearised(pressure, temperature, height + 1).value - linearised(pressure, temperature, height - 1).value
    ) / 2
    ground = temperature * (pressure / 85000) ** (1 / EXPONENT)
    here = linearised(pressure, temperature, height).value
    np.testing.assert_allclose(slope, -9.80665 * here / (287.053 * (ground - LAPSE * height)), rtol=1e-6)


def test_on_a_mountain_it_beats_a_standard_reduction(data):
    """Navacerrada, 1894 m: departures of station pressure from ERA-Interim, with and without the temperature aloft."""
    table = pd.read_parquet(data / "obs_europe_daily/obs_daily.parquet")
    stations = pd.read_csv(data / "obs_europe_daily/stations.csv").set_index("station")
    name = next(station for station in stations.index if "NAVACERRADA" in stations.loc[station, "name"].upper())
    place = stations.loc[name]
    measured = (
        table[(table["station"] == name) & table["date"].dt.year.isin([2005, 2006])].set_index("date")["p"].dropna()
    )
    folder = data / "eraint_europe_daily"
    fields = xr.open_mfdataset(sorted(folder.glob("*.nc")), combine="by_coords", compat="override")
    here = fields[["msl", "t"]].interp(latitude=place["lat"], longitude=place["lon"])
    here = here.sel(time=slice("2005", "2006")).compute()
    here = here.assign_coords(time=here["time"].dt.floor("D")).sel(time=measured.index.values)
    given = linearised(here["msl"].values, here["t"].values, place["elev_m"]).value
    plain = linearised(here["msl"].values, 281.65, place["elev_m"]).value
    spread = lambda value: np.std(measured.to_numpy() - value / 100)
    assert spread(given) < 1.6 < 2 * spread(given) < spread(plain)
