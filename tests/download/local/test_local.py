"""Source `local`."""

import subprocess
import sys

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hindsight.download.local import contents, local, match
from hindsight.download.local.channel_frames import ChannelFrames
from hindsight.errors import UserError
from hindsight.settings.lexicon import CHANNELS
from tests.download.local.local_files import LATITUDE, LONGITUDE, TIMES, field, listed, part, saved, variable

NORTHWARD = field()[:, ::-1]  # as a part has it: from the south


def test_files_by_variable_and_files_by_year_give_the_same_part(tmp_path):
    t2m, msl = variable(field()), variable(field(1013.0, seed=1), "hPa", "msl")
    one, _ = part(tmp_path, saved(tmp_path, t2m, msl), "t2m", "msl", title="a source")
    (tmp_path / "years").mkdir()
    both = xr.merge([t2m, msl])
    years = saved(tmp_path / "years", both.isel(time=slice(5, None)), both.isel(time=slice(5)))  # out of order
    two, marker = part(tmp_path / "years", years, "t2m", "msl")
    xr.testing.assert_equal(one.drop_attrs(), two.drop_attrs())
    np.testing.assert_array_equal(one["t2m"], NORTHWARD.astype("f4"))
    np.testing.assert_allclose(one["msl"], 100 * field(1013.0, seed=1)[:, ::-1], rtol=1e-7)
    assert one["msl"].attrs["units"] == "Pa" and one["msl"].attrs["source_units"] == "hPa"
    assert one.attrs["source_title"] == "a source" and marker["source"]["files"] == 2


def test_packed_values_are_unpacked_and_a_zarr_store_is_a_source(tmp_path):
    packing = {"t2m": {"dtype": "int16", "scale_factor": 0.001, "add_offset": 280.0, "_FillValue": -32767}}
    variable(field()).to_netcdf(tmp_path / "packed.nc", encoding=packing)
    np.testing.assert_allclose(part(tmp_path, [tmp_path / "packed.nc"], "t2m")[0]["t2m"], NORTHWARD, atol=6e-4)
    for version in (2, 3):
        variable(field()).to_zarr(tmp_path / f"{version}.zarr", zarr_format=version)
        np.testing.assert_array_equal(
            part(tmp_path, [tmp_path / f"{version}.zarr"], "t2m")[0]["t2m"], NORTHWARD.astype("f4")
        )


def test_files_may_differ_in_names_units_order_first_meridian_and_rounding(tmp_path):
    whole, late = variable(field()), slice(4, None)
    other = variable(field()[late] - 273.15, "degC", "tas", TIMES[late]).rename(time="valid_time", latitude="lat")
    other = other.assign_coords(lat=other["lat"].astype("f4") + np.float32(2e-6)).isel(lat=slice(None, None, -1))
    other = other.assign_coords(longitude=other["longitude"] % 360).sortby("longitude").transpose("longitude", ...)
    made, marker = part(tmp_path, saved(tmp_path, whole.isel(time=slice(4)), other), "t2m")
    np.testing.assert_allclose(made["t2m"], NORTHWARD, rtol=1e-6)
    np.testing.assert_array_equal(made["latitude"], LATITUDE[::-1])
    np.testing.assert_array_equal(made["longitude"], LONGITUDE)
    assert made["t2m"].attrs["source_names"] == "t2m, tas" and marker["variables"]["t2m"]["nan"] == 0


def test_files_on_two_grids_are_refused(tmp_path):
    files = saved(tmp_path, variable(field()), variable(field(), "Pa", "msl").isel(latitude=slice(1, None)))
    with pytest.raises(UserError, match="1.nc is on a grid of 5 x 7 points .* have the same grid"):
        part(tmp_path, files, "t2m", "msl")


@pytest.mark.parametrize("memory_mb", [10, 10000])
def test_blocks_of_any_size_make_the_same_bytes(tmp_path, memory_mb):
    times = pd.date_range("2023-01-01", periods=500, freq="6h").to_numpy()
    shape, space = (500, 40, 60), {"latitude": np.arange(40.0), "longitude": np.arange(60.0)}
    values = np.random.default_rng(0).standard_normal(shape).astype("f4") + 280
    given = xr.Dataset({"t2m": (("time", *space), values, {"units": "K"})}, {"time": times} | space)
    given.to_netcdf(tmp_path / "a.nc", encoding={"t2m": {"chunksizes": (7, 40, 60)}})
    found, request = listed([tmp_path / "a.nc"], "t2m", memory_mb=memory_mb)
    matched = match.match_channels(found, request)
    reader = local.Reader(found, matched, request)
    frames = ChannelFrames(CHANNELS["t2m"], matched, times)
    assert (
        reader.block_frames(frames, reader.chunk_frames({"t2m": frames}))
        == {10: 64, 10000: 448 * (10**10 // (40 * 2400) // 448)}[memory_mb]
    )
    made, _ = part(tmp_path, [tmp_path / "a.nc"], "t2m", frames=500, memory_mb=memory_mb)
    np.testing.assert_array_equal(made["t2m"], values)


@pytest.mark.slow
def test_memory_is_bounded_by_the_setting_and_not_by_the_file(tmp_path):
    """A file without chunks of 0.4 GB unpacked, in parts of 100 MB."""
    with netCDF4.Dataset(tmp_path / "a.nc", "w", format="NETCDF3_64BIT_OFFSET") as file:
        for name, size in (("time", 500), ("latitude", 241), ("longitude", 401)):
            file.createDimension(name, size)
            axis = file.createVariable(name, "f8", (name,))
            axis[:] = np.arange(size) * {"time": 6, "latitude": 0.25, "longitude": 0.25}[name]
        file["time"].units = "hours since 2023-01-01"
        values = file.createVariable("t2m", "i2", ("time", "latitude", "longitude"))
        values.setncatts({"units": "K", "scale_factor": 0.01, "add_offset": 280.0})
        for k in range(500):
            values[k] = np.full((241, 401), 280.0)
    few, many = (peak_mb(tmp_path, frames) for frames in (20, 500))
    assert many - few < 100  # of 190 MB that are written, and 390 that are read


def peak_mb(folder, frames):
    """The peak memory for a part of some frames, in a separate process."""
    script = (
        "import resource, sys\nfrom pathlib import Path\nfrom hindsight.download.local import contents, local\n"
        "from hindsight.settings import Download\nfolder, frames = Path(sys.argv[1]), sys.argv[2]\n"
        "request = Download(channels=['t2m'], step_hours=6, memory_mb=100, minimum_free_gb=0)\n"
        "contents.run(request, files=[folder / 'a.nc'], contents=folder / 'c.json')\n"
        "local.run(request, part=f'20230101T00_{frames}', contents=folder / 'c.json',\n"
        "    raw=folder / f'{frames}.zarr/zarr.json', marker=folder / f'{frames}.json')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)"
    )
    command = [sys.executable, "-c", script, str(folder), str(frames)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def test_a_frame_given_twice_is_taken_once_or_refused_where_the_copies_differ(tmp_path):
    first, again = variable(field()).isel(time=slice(5)), variable(field()).isel(time=slice(4, None))
    np.testing.assert_array_equal(
        part(tmp_path, saved(tmp_path, first, again), "t2m")[0]["t2m"], NORTHWARD.astype("f4")
    )
    with pytest.raises(UserError, match="two frames at 2023-01-02 00:00:00, in 't2m' of 0.nc and 't2m' of 1.nc"):
        part(tmp_path, saved(tmp_path, first, again + 0.5 * again.assign(t2m=again["t2m"] * 0 + 1)), "t2m")


def test_a_hole_in_one_file_is_filled_from_another(tmp_path):
    holed = variable(np.where(np.arange(8)[:, None, None] == 3, np.nan, field()))
    made, _ = part(tmp_path, saved(tmp_path, holed, variable(field())), "t2m")
    np.testing.assert_array_equal(made["t2m"], NORTHWARD.astype("f4"))
    _, marker = part(tmp_path, saved(tmp_path, holed)[:1], "t2m")
    assert marker["variables"]["t2m"]["holes"] == ["2023-01-01T18:00:00"]


@pytest.mark.parametrize("how", ["of each frame", "of the file", "a dimension"])
def test_preliminary_frames_are_listed(tmp_path, how):
    late = np.arange(8) >= 6
    if how == "of each frame":
        version = np.where(late, "0005", "0001").astype(object)
        files = [variable(field()).assign_coords(expver=("time", version))]
    elif how == "of the file":
        files = [variable(field()).isel(time=slice(6)), variable(field()).isel(time=slice(6, None))]
        files = [file.assign_coords(expver=v) for file, v in zip(files, (1, 5))]
    else:
        halves = [np.where(late[:, None, None] == half, field(), np.nan) for half in (False, True)]
        files = [xr.concat([variable(half) for half in halves], "expver").assign_coords(expver=[1, 5])]
    made, marker = part(tmp_path, saved(tmp_path, *files), "t2m")
    np.testing.assert_array_equal(made["t2m"], NORTHWARD.astype("f4"))
    assert marker["source"]["preliminary"] == ["2023-01-02T12:00:00", "2023-01-02T18:00:00"]


def test_a_preliminary_copy_fills_no_hole_of_a_final_frame(tmp_path):
    holed = variable(np.where(np.arange(8)[:, None, None] == 3, np.nan, field())).assign_coords(expver=1)
    made, marker = part(tmp_path, saved(tmp_path, holed, variable(field()).assign_coords(expver=5)), "t2m")
    assert marker["source"]["preliminary"] == [] and marker["variables"]["t2m"]["holes"] == ["2023-01-01T18:00:00"]
    assert np.isnan(made["t2m"][3]).all()


def test_a_final_frame_comes_before_a_preliminary_one(tmp_path):
    early = variable(field() + 1).assign_coords(expver=("time", np.array(["0005"] * 8, object)))
    made, marker = part(tmp_path, saved(tmp_path, early, variable(field())), "t2m")
    np.testing.assert_array_equal(made["t2m"], NORTHWARD.astype("f4"))
    assert marker["source"]["preliminary"] == []


HOURS = pd.date_range("2023-01-01T01:00", periods=72, freq="h").to_numpy()
AMOUNT = np.random.default_rng(2).gamma(0.3, 1e-3, (72, len(LATITUDE), len(LONGITUDE)))
ENDS = np.arange(5, 72, 6)  # of whole six hours, 06 UTC first
SIX = np.stack([AMOUNT[end - 5 : end + 1].sum(0) for end in ENDS])[:, ::-1]


def tp(values=AMOUNT, times=HOURS, units="m", **attrs):
    file = variable(values, units, "tp", times)
    file["tp"].attrs |= attrs
    return file


def running():
    """The sum since 00 UTC of each hour."""
    return np.concatenate([np.cumsum(AMOUNT[day : day + 24], 0) for day in (0, 24, 48)])


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        (tp(), {"accumulated": {"tp": 1}}),
        (tp(), {"accumulated": {"tp6": 1}}),
        (tp(accumulated_hours=1), {}),
        (tp(cell_methods="time: sum (interval: 1 hour)"), {}),
        (tp(AMOUNT / 3600 * 1000, units="kg m**-2 s**-1"), {"accumulated": {"tp": 1}}),
        (tp(running()), {}),
        (tp(running()), {"accumulated": {"tp": "since_midnight"}}),
        (tp(running()[2::3], HOURS[2::3]), {}),
        (tp(SIX[:, ::-1], HOURS[ENDS]).rename(tp="total_precipitation_6hr"), {}),
    ],
)
def test_sums_are_over_the_channels_hours_however_they_are_given(tmp_path, file, settings):
    made, _ = part(tmp_path, saved(tmp_path, file), "tp6", start=HOURS[5], frames=len(ENDS), **settings)
    np.testing.assert_allclose(made["tp6"], SIX, rtol=1e-5, atol=1e-9)


def test_a_short_file_of_amounts_that_fall_after_midnight_needs_the_setting_and_follows_it(tmp_path):
    evening = HOURS[[17, 23, 29]]
    files = saved(tmp_path, tp(np.ones_like(AMOUNT[:3]) * [[[0.1]], [[2]], [[1]]], evening))
    wanted = {"start": evening[0], "frames": 3}
    with pytest.raises(UserError, match="does not say over how many hours"):
        part(tmp_path, files, "tp6", **wanted)
    made, _ = part(tmp_path, files, "tp6", accumulated={"tp": 6}, **wanted)
    np.testing.assert_allclose(made["tp6"][:, 0, 0], [0.1, 2, 1], rtol=1e-6)


def test_sums_whose_bounds_leave_hours_out_do_not_fill_the_channels(tmp_path):
    ends = HOURS[5::6]
    bounds = np.stack([ends - np.timedelta64(1, "h"), ends], 1)
    file = tp(AMOUNT[5::6], ends).assign(time_bnds=(("time", "bnds"), bounds))
    file["time"].attrs["bounds"] = "time_bnds"
    with pytest.raises(
        UserError, match="sums over 1 h every 6 h, which do not cover the 6 h of this channel; choose tp1"
    ):
        part(tmp_path, saved(tmp_path, file), "tp6", start=HOURS[5], frames=len(ENDS))


def test_the_period_of_a_sum_is_taken_from_the_bounds_of_its_times(tmp_path):
    middle = HOURS - np.timedelta64(30, "m")  # as models label means and sums
    bounds = np.stack([HOURS - np.timedelta64(1, "h"), HOURS], 1)
    file = tp(times=middle).assign(time_bnds=(("time", "bnds"), bounds))
    file["time"].attrs["bounds"] = "time_bnds"
    made, _ = part(tmp_path, saved(tmp_path, file), "tp6", start=HOURS[5], frames=len(ENDS))
    np.testing.assert_allclose(made["tp6"], SIX, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    ("file", "settings", "says"),
    [
        (tp(), {}, "'tp' in 0.nc does not say over how many hours.*download.accumulated"),
        (
            tp(AMOUNT[5::6], HOURS[5::6]),
            {"accumulated": {"tp": 1}},
            "sums over 1 h every 6 h, which do not cover the 6 h",
        ),
        (tp(AMOUNT[5::6], HOURS[5::6], cell_methods="time: sum (interval: 1 hour)"), {}, "does not say"),
        (tp(), {"accumulated": {"tp": 12}}, "sums over 12 h every 1 h, which do not cover the 6 h"),
        (tp(running()), {"accumulated": {"tp": 1}}, "is a running sum from 00 UTC each day"),
        (tp(), {"accumulated": {"tp": "since_midnight"}}, "decreases within a day"),
        (tp(units="mm/fortnight"), {}, "needs 'm', and 'tp' in 0.nc has units 'mm/fortnight'"),
    ],
)
def test_an_unknown_period_of_a_sum_is_refused_with_the_setting(tmp_path, file, settings, says):
    with pytest.raises(UserError, match=says):
        part(tmp_path, saved(tmp_path, file), "tp6", start=HOURS[5], frames=len(ENDS), **settings)


def test_a_part_that_is_there_is_left_alone_until_its_files_change(tmp_path):
    files = saved(tmp_path, variable(field()))
    part(tmp_path, files, "t2m")
    before = (tmp_path / "part.zarr/zarr.json").stat().st_mtime_ns
    part(tmp_path, files, "t2m")
    assert (tmp_path / "part.zarr/zarr.json").stat().st_mtime_ns == before
    made, _ = part(tmp_path, saved(tmp_path, variable(field() + 1)), "t2m")
    np.testing.assert_array_equal(made["t2m"], (NORTHWARD + 1).astype("f4"))


def test_a_file_that_changed_after_it_was_listed_is_not_read(tmp_path):
    files = saved(tmp_path, variable(field()))
    found, request = listed(files, "t2m")
    contents.run(request, files=files, contents=tmp_path / "contents.json")
    saved(tmp_path, variable(field()).isel(time=slice(7)))
    with pytest.raises(UserError, match="has changed since its contents were listed"):
        local.run(
            request,
            part="20230101T00_8",
            contents=tmp_path / "contents.json",
            raw=tmp_path / "p.zarr/zarr.json",
            marker=tmp_path / "p.json",
        )


def test_a_missing_chunk_is_not_read_as_zero(tmp_path):
    given = variable(field().astype("f4"))
    given.to_zarr(tmp_path / "a.zarr", encoding={"t2m": {"chunks": (2, 6, 7), "fill_value": 0.0}}, zarr_format=3)
    (tmp_path / "a.zarr/t2m/c/1/0/0").unlink()
    made, marker = part(tmp_path, [tmp_path / "a.zarr"], "t2m")
    assert marker["variables"]["t2m"]["holes"] == ["2023-01-01T12:00:00", "2023-01-01T18:00:00"]
    assert not (made["t2m"] == 0).any()
    (tmp_path / "again").mkdir()
    made, _ = part(tmp_path / "again", [tmp_path / "a.zarr"], "t2m", missing_chunks="fill")
    assert (made["t2m"][2:4] == 0).all() and (made["t2m"][[0, 1, 4, 5, 6, 7]] > 200).all()


def test_frames_between_those_of_the_files_are_refused_with_the_times_that_there_are(tmp_path):
    files = saved(tmp_path, variable(field()))
    with pytest.raises(UserError, match="no frame at 2023-01-01T03:00.*here at 2023-01-01T06:00"):
        part(tmp_path, files, "t2m", start=np.datetime64("2023-01-01T03:00"), frames=4)
    with pytest.raises(UserError, match="the files have frames from 2023-01-01T00:00 to 2023-01-02T18:00"):
        part(tmp_path, files, "t2m", start=np.datetime64("2024-01-01T00:00"), frames=4)


def test_frames_that_no_file_has_are_listed(tmp_path):
    files = saved(tmp_path, variable(field()).isel(time=[0, 1, 3, 4, 5, 6, 7]))
    made, marker = part(tmp_path, files, "t2m")
    assert marker["source"]["times_missing"] == ["2023-01-01T12:00:00"] == marker["variables"]["t2m"]["holes"]
    assert np.isnan(made["t2m"][2]).all()


def test_half_hours_keep_their_minutes(tmp_path):
    half = TIMES + np.timedelta64(30, "m")
    made, _ = part(tmp_path, saved(tmp_path, variable(field(), times=half)), "t2m", start=half[0])
    np.testing.assert_array_equal(made["time"], half)
    np.testing.assert_array_equal(made["t2m"], NORTHWARD.astype("f4"))


def test_a_region_is_cut_with_the_rows_on_its_edges(tmp_path):
    single = variable(field()).assign_coords(
        latitude=(LATITUDE / 10).astype("f4"), longitude=(LONGITUDE / 10).astype("f4")
    )
    box = {"south": 4.6, "north": 4.9, "west": -0.2, "east": 0.1}
    made, _ = part(tmp_path, saved(tmp_path, single), "t2m", **box)
    np.testing.assert_array_equal(made["latitude"], [4.6, 4.7, 4.8, 4.9])
    np.testing.assert_array_equal(made["longitude"], [-0.2, -0.1, 0.0, 0.1])
    np.testing.assert_array_equal(made["t2m"], NORTHWARD[:, 1:5, 1:5].astype("f4"))


def test_static_fields_are_included(tmp_path):
    still = xr.Dataset(
        {"land_sea_mask": (("latitude", "longitude"), field()[0] > 280)},
        {"latitude": LATITUDE, "longitude": LONGITUDE},
    ).astype("f4")
    made, _ = part(tmp_path, saved(tmp_path, variable(field()), still), "t2m")
    np.testing.assert_array_equal(made["land_sea_mask"], (field()[0] > 280)[::-1])


def test_a_disk_without_room_is_refused(tmp_path):
    files = saved(tmp_path, variable(field()))
    found, request = listed(files, "t2m")
    contents.run(request, files=files, contents=tmp_path / "c.json")
    with pytest.raises(UserError, match="GB are free"):
        local.run(
            request.model_copy(update={"minimum_free_gb": 1e9}),
            part="20230101T00_8",
            contents=tmp_path / "c.json",
            raw=tmp_path / "p.zarr/zarr.json",
            marker=tmp_path / "p.json",
        )
