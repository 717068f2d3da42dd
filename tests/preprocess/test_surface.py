"""Land and orography under any name and in any units; ambiguous variables are refused."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.preprocess import surface

G, FILE = 9.80665, Path("s.nc")
COORDS = {"latitude": [0.0, 1.0], "longitude": [0.0, 1.0, 2.0]}
HEIGHT = np.array([[0.0, 250.0, 8800.0], [-400.0, 3.5, 1000.0]])
LAND = np.array([[0.0, 0.25, 1.0], [0.5, 0.02, 0.75]])


def field(values, units=None, standard_name=None, **attributes):
    known = {"units": units, "standard_name": standard_name} | attributes
    attributes = {key: value for key, value in known.items() if value is not None}
    return xr.DataArray(values, COORDS, ("latitude", "longitude"), attrs=attributes)


HEIGHTS = {  # name, units, standard name: how many of its values a metre is
    "ETOPO": ("z", "meters", None, 1),
    "a z of others": ("z", "m", None, 1),
    "GEBCO": ("elevation", "m", "height_above_mean_sea_level", 1),
    "ERA5": ("z", "m**2 s**-2", "geopotential", G),
    "ERA5 by NCAR": ("Z", "m2 s-2", None, G),
    "CMIP": ("orog", "m", "surface_altitude", 1),
    "a CMIP name with a geopotential": ("orog", "m2 s-2", "surface_geopotential", G),
    "WRF": ("HGT", "m", None, 1),
    "MERRA-2": ("PHIS", "m2 s-2", "surface_geopotential", G),
    "NCEP": ("hgt", "gpm", None, 1),
    "in kilometres": ("topo", "km", None, 1e-3),
    "GFDL": ("zsurf", "m", None, 1),
    "WeatherBench 2": ("geopotential_at_surface", "m**2 s**-2", None, G),
    "by the standard name alone": ("what", "m", "surface_altitude", 1),
    "no units, a standard name": ("what", None, "surface_altitude", 1),
    "no units, a geopotential's standard name": ("z", None, "surface_geopotential", G),
    "no units, a height's name": ("elevation", None, None, 1),
    "no units, a geopotential's name": ("geopotential_at_surface", "-", None, G),
    "a geopotential called a height": ("elevation", "J kg-1", None, G),
}  # fmt: skip


@pytest.mark.parametrize("case", HEIGHTS)
def test_heights_are_converted_by_their_units(case):
    name, units, standard, of_a_metre = HEIGHTS[case]
    found = surface.orography(xr.Dataset({name: field(HEIGHT * of_a_metre, units, standard)}), FILE)
    np.testing.assert_allclose(found, HEIGHT, rtol=1e-6, atol=1e-4)


def test_heights_may_be_integers():
    found = surface.orography(xr.Dataset({"elevation": field(HEIGHT.astype("i2"), "m")}), FILE)
    np.testing.assert_array_equal(found, HEIGHT.astype("i2"))


WRONG_HEIGHTS = {
    "no units and a name that has two meanings": ("z", HEIGHT, None, None, "no units, and may be a height .m. or"),
    "units that say nothing": ("Z", HEIGHT, "unknown", None, "no units, and may be"),
    "a geopotential by a height's name": ("orog", HEIGHT * G, None, None, "read as m, reaches from .* to 86298.* m"),
    "a geopotential said to be in metres": ("z", HEIGHT * G, "m", None, "read as m, reaches"),
    "a temperature": ("z", HEIGHT, "K", None, "units 'K'; expected a height"),
    "a pressure": ("orog", HEIGHT, "hPa", None, "units 'hPa'"),
    "a missing value that is not marked": ("orog", HEIGHT - 99999.0, "m", None, "_FillValue"),
    "kilometres called metres times a thousand": ("orog", HEIGHT * 1000, "km", None, "reaches"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_HEIGHTS)
def test_ambiguous_heights_are_refused(case):
    name, values, units, standard, says = WRONG_HEIGHTS[case]
    with pytest.raises(UserError, match=says):
        surface.orography(xr.Dataset({name: field(values, units, standard)}), FILE)


LANDS = {  # name, values, units, standard name
    "ERA5": ("lsm", LAND, "(0 - 1)", "land_binary_mask"),
    "no units": ("lsm", LAND, None, None),
    "packed, a rounding error beyond": ("LSM", LAND * 1.0004, "1", None),
    "percent": ("land", 100 * LAND, "%", "land_area_fraction"),
    "CMIP": ("sftlf", 100 * LAND, "%", "land_area_fraction"),
    "CMIP without units": ("sftlf", 100 * LAND, None, None),
    "CMIP as a fraction": ("sftlf", LAND, "1", "land_area_fraction"),
    "MERRA-2": ("FRLAND", LAND, "1", "land_area_fraction"),
    "WRF": ("LANDMASK", LAND, "", None),
    "by the standard name alone": ("what", LAND, "1", "land_area_fraction"),
    "CESM": ("LANDFRAC", LAND, "fraction", None),
}  # fmt: skip


@pytest.mark.parametrize("case", LANDS)
def test_land_is_converted_by_its_units(case):
    name, values, units, standard = LANDS[case]
    found = surface.land(xr.Dataset({name: field(values, units, standard)}), FILE)
    np.testing.assert_allclose(found, LAND, atol=5e-4)
    assert float(found.max()) <= 1 and float(found.min()) >= 0


FLAGS = {"flag_values": np.array([0, 1, 2, 5], "i1"), "flag_meanings": "water land lake small_islands"}
MASKS = {  # values, attributes, what is land
    "bool": ([[True, False, True], [False] * 3], {}, [[1, 0, 1], [0, 0, 0]]),
    "ones": (np.array([[1, 0, 1], [0, 0, 0]], "i1"), {}, [[1, 0, 1], [0, 0, 0]]),
    "kinds": (np.array([[0, 1, 2], [3, 4, 0]], "i1"), {}, [[0, 1, 0], [1, 0, 0]]),
    "kinds as real numbers": (np.array([[0, 1, 2], [3, 4, 0.0]]), {"units": "1"}, [[0, 1, 0], [1, 0, 0]]),
    "flags": (np.array([[0, 1, 2], [5, 0, 1]], "i1"), FLAGS, [[0, 1, 0], [1, 0, 1]]),
    "flags the other way": (np.array([[0, 1, 1], [0, 0, 1]]), {"flag_values": [0, 1], "flag_meanings": "land not_land"},
                            [[1, 0, 0], [1, 1, 0]]),
    "whole percent": (np.array([[0, 1, 2], [3, 4, 100]], "i1"), {"units": "%"}, [[0, 0.01, 0.02], [0.03, 0.04, 1]]),
    "few whole percent": (np.array([[0, 1, 2], [3, 4, 0]], "i1"), {"units": "%"}, [[0, 0.01, 0.02], [0.03, 0.04, 0]]),
    "all land": (np.ones((2, 3), "i1"), {}, np.ones((2, 3))),
    "all sea": (np.zeros((2, 3)), {}, np.zeros((2, 3))),
    "no value at sea": ([[np.nan, 1, 1], [np.nan, 1, np.nan]], {}, [[0, 1, 1], [0, 1, 0]]),
    "no value at sea, shares": ([[np.nan, 20, 100], [np.nan, 1, 5]], {"units": "%"}, [[0, 0.2, 1], [0, 0.01, 0.05]]),
    "no value in places, and zeros": ([[np.nan, 0, 1], [0.5, 1, 1]], {}, [[np.nan, 0, 1], [0.5, 1, 1]]),
}  # fmt: skip


@pytest.mark.parametrize("case", MASKS)
def test_what_counts_as_land(case):
    values, attributes, expected = MASKS[case]
    found = surface.land(xr.Dataset({"lsm": field(np.asarray(values), **attributes)}), FILE)
    np.testing.assert_allclose(found, expected, atol=1e-7)


WRONG_LANDS = {
    "percent without units": (100 * LAND, {}, "reaches from 0 to 100 .no units."),
    "percent called a fraction": (100 * LAND, {"units": "1"}, "reaches from 0 to 100 1"),
    "a fraction called percent": (LAND, {"units": "%"}, "nowhere above 1; it may be a fraction"),
    "a depth": (LAND, {"units": "m"}, "units 'm'; expected a land fraction"),
    "below zero": (LAND - 0.5, {}, "reaches from -0.5"),
    "a missing value that is not marked": (np.where(LAND == 0, -9999.0, LAND), {}, "reaches from -9999"),
    "land 1 and water 2": (np.array([[1, 2, 2], [1, 1, 2]]), {}, "reaches from 1 to 2"),
    "kinds that nobody knows": (np.array([[0, 1, 7], [1, 1, 0]]), {}, "reaches from 0 to 7"),
    "flags without land": (np.array([[0, 1, 1], [1, 1, 0]]), {"flag_values": [0, 1], "flag_meanings": "a b"},
                           "do not identify land"),
    "flags of which one is missing": (np.array([[0, 1, 1], [1, 1, 0]]), {"flag_values": [0], "flag_meanings": "a land"},
                                      "do not identify land"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_LANDS)
def test_ambiguous_land_is_refused(case):
    values, attributes, says = WRONG_LANDS[case]
    with pytest.raises(UserError, match=says):
        surface.land(xr.Dataset({"lsm": field(values, **attributes)}), FILE)


def test_standard_names_take_precedence():
    dataset = xr.Dataset({"z": field(HEIGHT * 0, "m"), "b": field(HEIGHT, "m", "surface_altitude")})
    np.testing.assert_allclose(surface.orography(dataset, FILE), HEIGHT, rtol=1e-6)
    dataset["orog"] = field(HEIGHT + 7, "m", "surface_altitude")  # of two, the one with a name that is known
    np.testing.assert_allclose(surface.orography(dataset, FILE), HEIGHT + 7, rtol=1e-6)
    with pytest.raises(UserError, match="b and c, and either may be meant"):
        surface.orography(xr.Dataset({"b": dataset["b"], "c": dataset["b"]}), FILE)


def test_a_file_without_land_is_refused_with_its_variables():
    with pytest.raises(UserError, match="none of land, .*it has: q"):
        surface.land(xr.Dataset({"q": field(LAND)}), FILE)


@pytest.mark.parametrize("name", ["time", "number", "band"])
def test_static_fields_are_accepted_and_changing_ones_refused(name):
    times = xr.concat([field(LAND, "1")] * 3, name)
    np.testing.assert_allclose(surface.land(xr.Dataset({"lsm": times}), FILE), LAND, atol=1e-7)
    holed = xr.concat([field(np.where(LAND > 0, LAND, np.nan), "1")] * 2, name)
    np.testing.assert_allclose(surface.land(xr.Dataset({"lsm": holed}), FILE), LAND, atol=1e-7)
    times = xr.concat([field(LAND, "1"), field(LAND, "1"), field(LAND * 0.999, "1")], name)
    with pytest.raises(UserError, match=f"changes along {name} .size 3"):
        surface.land(xr.Dataset({"lsm": times}), FILE)


@pytest.mark.parametrize("levels", [[500.0], [500.0, 850.0]])
def test_a_geopotential_on_a_level_is_not_orography(levels):
    height = field(HEIGHT * 0 + 54000.0, "m2 s-2").expand_dims(level=levels)
    for given in (height, height.isel(level=0)):
        with pytest.raises(UserError, match="on a level of 500.* hPa, not at the surface"):
            surface.orography(xr.Dataset({"z": given}), FILE)
