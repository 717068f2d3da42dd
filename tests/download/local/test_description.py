"""The description of one file."""

import netCDF4
import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from tests.download.local.local_files import LATITUDE, LONGITUDE, TIMES, field, listed, part, saved, variable


def test_variables_in_groups_are_named(tmp_path):
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        file.createGroup("instant")
        file.createGroup("accum")
    with pytest.raises(UserError, match="groups .instant, accum."):
        listed([tmp_path / "a.nc"], "t2m")


def test_axes_of_other_names_are_recognised_by_units_and_standard_names(tmp_path):
    planes = xr.concat([variable(field(280.0 + k)) for k in range(2)], "lv_ISBL1").rename(
        latitude="g0_lat_1", longitude="g0_lon_2"
    )
    planes = planes.assign_coords(lv_ISBL1=("lv_ISBL1", [500, 850], {"units": "hPa"})).rename(t2m="t")
    planes["g0_lat_1"].attrs["units"], planes["g0_lon_2"].attrs["standard_name"] = "degrees_north", "longitude"
    made, _ = part(tmp_path, saved(tmp_path, planes), "t850")
    np.testing.assert_array_equal(made["t850"], field(281.0)[:, ::-1].astype("f4"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.assign_coords(time=np.arange(8)), "its time is int64 with units '', not dates"),
        (lambda d: d.drop_vars("time"), "its dimension time has no times"),
        (lambda d: d.drop_vars("latitude"), "has no coordinate latitude"),
        (lambda d: d.rename(latitude="rlat", longitude="rlon"), "has no coordinate latitude"),
        (lambda d: d.stack(values=("latitude", "longitude")).reset_index("values"), "a list along values, not a grid"),
        (
            lambda d: d.rename(latitude="y", longitude="x").assign_coords(latitude=(("y", "x"), field()[0])),
            "its latitude varies along y and x",
        ),
        (lambda d: d.rename(latitude="y", longitude="x"), "its y has no units.*download.rename: {y: latitude}"),
        (
            lambda d: d.assign_coords(latitude=("latitude", LATITUDE, {"units": "m"})),
            "its latitude is .* in m, not a latitude",
        ),
        (lambda d: d.assign_coords(longitude=LONGITUDE * 1000), "reaches from -3000 to 3000, so it is not a longitude"),
    ],
)
def test_a_files_problem_is_reported_only_if_the_file_is_needed(tmp_path, change, says):
    found, _ = listed(saved(tmp_path, change(variable(field()))), "t2m")
    with pytest.raises(UserError, match=says):
        raise UserError(found.files[0].problem)


def test_a_repeated_meridian_is_read_once_and_noted(tmp_path, capsys):
    round_ = np.arange(0.0, 361.0, 30.0)
    values = np.broadcast_to(280 + np.cos(np.deg2rad(round_)), (8, 6, 13))
    coords = {"time": TIMES, "latitude": LATITUDE, "longitude": round_}
    files = saved(tmp_path, xr.Dataset({"t2m": (tuple(coords), values, {"units": "K"})}, coords))
    made, marker = part(tmp_path, files, "t2m")
    np.testing.assert_array_equal(made["longitude"], round_[:-1])
    np.testing.assert_array_equal(made["t2m"], values[..., :-1].astype("f4"))
    assert marker["source"]["notes"] == ["0.nc: its last meridian repeats the first, and is left out"]
    assert marker["source"]["notes"][0] in capsys.readouterr().out


def test_a_variable_takes_the_scalar_coordinates_that_it_lists_and_no_others(tmp_path):
    both = xr.merge([variable(field()), variable(field(1e5), "Pa", "msl")]).assign_coords(height=2.0, level=850.0)
    both["t2m"].encoding["coordinates"] = "height"
    both["msl"].encoding["coordinates"] = "level"
    (file,) = listed(saved(tmp_path, both), "t2m")[0].files
    assert (file.variables["t2m"].heights, file.variables["t2m"].levels) == ([2.0], None)
    assert (file.variables["msl"].heights, file.variables["msl"].levels) == (None, [850.0])
