"""Which variables of which files make which channels."""

import numpy as np
import pytest
import xarray as xr

from hindsight.download.local import match
from hindsight.errors import UserError
from tests.download.local.local_files import field, listed, part, saved, variable


def on_levels(levels, units="hPa", name="t", dim="pressure_level", offsets=None):
    """A file with a variable on levels, whose values are the level's number in the list plus 250."""
    planes = [variable(field(250.0 + k), name=name) for k in offsets or range(len(levels))]
    return xr.concat(planes, dim).assign_coords({dim: (dim, np.array(levels, float), {"units": units})})


def series(files, channel, **settings):
    found, request = listed(files, channel, **settings)
    return match.match_channels(found, request).terms[channel]


@pytest.mark.parametrize(
    ("file", "channel", "offset"),
    [
        (on_levels([1000, 850]), "t850", 1),
        (on_levels([85000, 50000], "Pa", dim="plev"), "t850", 0),
        (on_levels([500.0, 849.99997], "millibars", dim="isobaric1"), "t850", 1),
        (on_levels([500, 850], "mb", name="ta", dim="lev"), "t850", 1),
        (on_levels([850], name="air", dim="level"), "t850", 0),
        (on_levels([850]).squeeze("pressure_level"), "t850", 0),
        (on_levels([850]).squeeze(drop=True).rename(t="t850"), "t850", 0),
    ],
)
def test_a_level_is_found_wherever_it_is_stated(tmp_path, file, channel, offset):
    made, _ = part(tmp_path, saved(tmp_path, file), channel)
    np.testing.assert_array_equal(made[channel], field(250.0 + offset)[:, ::-1].astype("f4"))


@pytest.mark.parametrize(
    ("file", "channel", "says"),
    [
        (variable(field(), name="t"), "t500", "'t' in 0.nc does not say its level .*download.rename: {t: t500}"),
        (variable(field(54000.0), "m**2 s**-2", "z"), "z500", "does not say its level"),
        (on_levels([850]).squeeze("pressure_level"), "t500", "no level 500 hPa .it has 850"),
        (
            on_levels([85000], "Pa").squeeze("pressure_level").rename(t="t500"),
            "t500",
            "is on 850 hPa, although its name, or download.rename, says ",
        ),
        (on_levels([3, 7], "1", dim="lev"), "t850", "its lev has units '1', so it is not a pressure"),
        (on_levels([850]).rename(t="t2m"), "t2m", "'t2m' in 0.nc is on 850 hPa"),
        (variable(field(), height=80.0), "t2m", "'t2m' in 0.nc is 80 m above the ground"),
        (variable(field(0.0), "m/s", "u10", height=100.0), "u10", "'u10' in 0.nc is 100 m above the ground"),
        (variable(field(), "degK2"), "t2m", "needs 'K', and 't2m' in 0.nc has units 'degK2'"),
        (variable(field(), name="t2n"), "t2m", "no variable for channel t2m .*did you mean t2n.*download.rename"),
        (variable(field()).isel(time=0, drop=True), "t2m", "'t2m' in 0.nc has no time"),
    ],
)
def test_a_variable_that_is_not_the_channel_is_refused(tmp_path, file, channel, says):
    with pytest.raises(UserError, match=says):
        series(saved(tmp_path, file), channel)


def test_all_problems_are_reported_together(tmp_path):
    with pytest.raises(UserError, match="(?s)z500.*t850.*no variable for channel msl"):
        found, request = listed(
            saved(tmp_path, variable(field(), name="t"), variable(field(), name="z")), "z500", "t850", "msl"
        )
        match.match_channels(found, request)


def test_levels_in_separate_files_are_joined_and_interpolated(tmp_path):
    planes = [variable(field(0.0) + np.log(p), "K", "t", pressure_level=float(p)) for p in (850, 500)]
    for plane in planes:
        plane["pressure_level"].attrs["units"] = "hPa"
        plane["t"] += 280
    files = saved(tmp_path, *planes)
    made, _ = part(tmp_path, files, "t850", "t500")
    np.testing.assert_allclose(made["t850"] - made["t500"], np.log(850 / 500), atol=1e-4)
    made, _ = part(tmp_path, files, "t700", levels="interpolate")
    np.testing.assert_allclose(made["t700"], field(280.0)[:, ::-1] + np.log(700), atol=1e-4)
    with pytest.raises(UserError, match="no level 700 hPa .it has 500, 850"):
        series(files, "t700")


@pytest.mark.parametrize("dim", ["number", "realization", "member"])
def test_one_value_of_any_other_dimension_is_chosen(tmp_path, dim):
    members = [variable(field(280.0 + k)) for k in range(3)]
    files = saved(tmp_path, xr.concat(members, dim).assign_coords({dim: [10, 11, 12]}))
    with pytest.raises(
        UserError, match=f"3 values along {dim} .10, 11, 12.; choose one: download.select: {{{dim}: 10}}"
    ):
        series(files, "t2m")
    made, _ = part(tmp_path, files, "t2m", select={dim: 12})
    np.testing.assert_array_equal(made["t2m"], field(282.0)[:, ::-1].astype("f4"))
    with pytest.raises(UserError, match=f"no {dim} 7 .it has 10, 11, 12"):
        series(files, "t2m", select={dim: 7})


def test_a_forecasts_step_moves_its_frames_to_when_they_are_valid(tmp_path):
    steps = np.array([0, 6], "timedelta64[h]").astype("timedelta64[ns]")
    file = xr.concat([variable(field(280.0 + k)) for k in range(2)], "step").assign_coords(step=steps)
    ((_, (found,)),) = series(saved(tmp_path, file), "t2m", select={"step": 6})
    assert found.valid[0] == np.datetime64("2023-01-01T06") and found.at == (("step", 1),)


def test_a_name_in_the_settings_takes_precedence(tmp_path):
    file = variable(field(), name="TEMP_LEVEL_17").rename(latitude="j", longitude="i")
    renamed = {"TEMP_LEVEL_17": "t850", "j": "latitude", "i": "longitude"}
    made, _ = part(tmp_path, saved(tmp_path, file), "t850", rename=renamed)
    np.testing.assert_array_equal(made["t850"], field()[:, ::-1].astype("f4"))


def test_a_variable_on_other_points_than_the_files_grid_is_not_read(tmp_path):
    staggered = variable(field()).rename(latitude="slat").assign_coords(latitude=np.arange(40.0, 45.0))
    staggered["slat"].attrs["units"] = "degrees_north"
    with pytest.raises(UserError, match="'t2m' in 0.nc does not lie along latitude"):
        series(saved(tmp_path, staggered), "t2m")


def test_the_most_specific_name_is_used_where_two_have_a_frame(tmp_path):
    both = on_levels([850]).assign(t850=variable(field(300.0))["t2m"])
    made, _ = part(tmp_path, saved(tmp_path, both), "t850")
    np.testing.assert_array_equal(made["t850"], field(300.0)[:, ::-1].astype("f4"))


def test_problems_of_an_unused_file_are_ignored(tmp_path):
    odd = xr.Dataset(
        {"speed": (("time", "y", "x"), np.zeros((2, 3, 4)))}, {"time": ("time", [0, 1], {"calendar": "noleap"})}
    )
    odd["time"].attrs["units"] = "days since 2000-01-01"
    found, request = listed(saved(tmp_path, variable(field()), odd), "t2m")
    assert match.match_channels(found, request).notes == ["1 file(s) are not used (1.nc)"]
