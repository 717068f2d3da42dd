"""What an archive says of itself."""

import numpy as np
import pytest
import xarray as xr

from hindsight.archive import metadata, netcdf
from hindsight.archive.metadata import Contents
from hindsight.fields.plane import Plane
from hindsight.settings import Archive, Domain
from hindsight.settings.lexicon import CHANNELS
from tests.archive.conftest import Small

PLANE = Plane("+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378137 +b=6356752", 405.0, -3996.0)


def test_attributes_come_from_data_and_settings_and_nothing_is_made_up(small):
    found = xr.open_zarr(small.archive).attrs
    assert found["geospatial_bounds"] == "POLYGON ((40 -3, 40 2, 44 2, 44 -3, 40 -3))"
    assert found["geospatial_lat_resolution"] == "1 degrees" and found["geospatial_vertical_max"] == 500.0
    assert found["time_coverage_duration"] == "P24DT0H" and found["time_coverage_resolution"] == "PT24H"
    assert found["keywords"] == "air_pressure_at_mean_sea_level, geopotential"
    assert "prior abababababababab trained on a toy" in found["source"] and "4 members of" in found["summary"]
    assert not {"creator_name", "institution", "license", "naming_authority", "comment"} & set(found)
    assert all(value != "" for value in found.values())


def test_levels_are_scalar_coordinates(small):
    archive = xr.open_zarr(small.archive)
    assert archive["z500"].attrs["standard_name"] == "geopotential" and float(archive["level_500"]) == 500
    assert archive["z500"].encoding["coordinates"] == "level_500" and "coordinates" not in archive["msl"].encoding


def test_cell_methods_say_what_a_group_holds():
    means = Archive(time_cells={"t2m": {"method": "mean", "start_hours": -12, "end_hours": 12}})

    def about(name, group=""):
        return metadata.variable(CHANNELS[name], group, 9, means, ["msl", "t2m", "tp6", "x"])

    assert about("msl")["cell_methods"] == "time: point" and "coordinates" not in about("msl")
    assert about("msl", "mean")["cell_methods"] == "time: point realization: mean"
    assert about("tp6", "spread")["cell_methods"] == "time: sum realization: standard_deviation"
    assert about("t2m")["cell_methods"] == "time: mean"
    assert about("t2m")["coordinates"] == "height_2 time_from_minus_12_to_12_h"
    assert "standard_name" not in about("x")


def test_sums_over_one_period_have_bounds_on_the_time_axis(tmp_path):
    made = Small(tmp_path, channels=["msl", "u10", "tp6"])
    made.lay_out()
    for group in (None, "mean", "spread"):
        found = xr.open_zarr(made.archive, group=group, decode_coords="all")
        ends, six = found["time"].values, np.timedelta64(6, "h")
        np.testing.assert_array_equal(found["time_bounds"], np.stack([ends - six, ends], 1))
        assert found["height_10"].item() == 10 and found["height_10"].attrs["positive"] == "up"
        assert found["u10"].encoding["coordinates"] == "height_10"


def test_sums_over_several_periods_have_a_coordinate_of_time_each(tmp_path):
    made = Small(tmp_path, channels=["tp24", "tp6"])
    made.lay_out()
    found = xr.open_zarr(made.archive, decode_coords="all")
    assert "bounds" not in found["time"].attrs | found["time"].encoding
    for hours in (6, 24):
        name = f"time_from_minus_{hours}_to_0_h"
        assert name in found[f"tp{hours}"].coords and name not in found[f"tp{30 - hours}"].encoding["coordinates"]
        bounds = found[f"{name}_bounds"]
        assert (bounds[:, 1] - bounds[:, 0] == np.timedelta64(hours, "h")).all() and (bounds[:, 1] == found.time).all()


@pytest.mark.parametrize(
    ("latitude", "longitude", "outline"),
    [([0.0], [0.0, 9.0, 351.0], "LINESTRING (0 0, 0 351)"), ([1.0, 2.0], [5.0], "LINESTRING (1 5, 2 5)")],
)
def test_a_ring_has_a_line_for_an_outline(latitude, longitude, outline):
    recipe = {"settings": {"domain": {"channels": []}}}
    holds = Contents(np.array(["2000-01-01"], "datetime64[ns]"), np.array(latitude), np.array(longitude), 2, recipe)
    assert metadata._where(holds)["geospatial_bounds"] == outline


def test_the_date_of_change_changes_only_with_other_attributes(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    first = metadata.with_history({"title": "a"}, None, "laid out")
    assert first["date_created"] == first["date_modified"] == "1970-01-01"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert metadata.with_history({"title": "a"}, first, "metadata changed") == first
    second = metadata.with_history({"title": "b"}, first, "metadata changed")
    assert (second["date_created"], second["date_modified"]) == ("1970-01-01", "1970-01-02")
    assert [line[:10] for line in second["history"].splitlines()] == ["1970-01-01", "1970-01-02"]
    assert metadata.with_history({}, first, "metadata changed")["date_modified"] == "1970-01-02"  # an attribute went


def test_settings_become_attributes_with_acdd_names():
    said = Archive(creator_name="A", licence="CC0-1.0", version="2")
    names = {name: getattr(said, key) for name, key in metadata.FROM_SETTINGS.items() if getattr(said, key)}
    assert names == {"license": "CC0-1.0", "product_version": "2", "creator_name": "A"}


def test_a_period_without_any_field_is_named_in_one_sentence():
    times = np.datetime64("2009-01-01T12", "ns") + np.arange(3) * np.timedelta64(1, "D")
    domain = Domain(test={"start": "2009-01-01T12", "end": "2009-01-03T12"})
    comments = []
    for known in ([1, 1, 1], [1, 0, 1], [0, 0, 0]):
        source = xr.Dataset({"available": ("time", np.array(known, bool))}, {"time": times})
        comments.append(metadata._missing_frames(source, domain).get("comment", ""))
    assert comments[0] == "" and "2009-01-02T12:00" in comments[1] and "2009-01" not in comments[2]
    assert comments[2].startswith("There are no fields of this period")


@pytest.fixture
def rain(tmp_path, monkeypatch):
    """An archive on a plane, every five minutes."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    x, y = np.arange(6) * 2.0 + 400, np.arange(5) * 2.0 - 4000
    made = Small(tmp_path, end="2009-01-01T14:00", step="5 min", grid=PLANE.grid(x, y), about_fields=PLANE.attributes())
    made.make()
    return made


def test_times_of_minutes_are_exact_in_store_and_netcdf(rain):
    found = xr.open_zarr(rain.archive)
    expected = np.arange("2009-01-01T12:00", "2009-01-01T14:05", 5, dtype="datetime64[m]")
    np.testing.assert_array_equal(found["time"].values, expected)
    assert found["time"].encoding["units"] == "minutes since 1900-01-01"
    about = found.attrs
    assert (about["time_coverage_duration"], about["time_coverage_resolution"]) == ("P0DT2H", "PT5M")
    assert "every 5 minutes" in about["summary"]
    folder = rain.folder / "netcdf"
    netcdf.run(Archive(netcdf="mean"), layout=rain.layout, markers=rain.markers, archive=rain.archive, folder=folder,
               marker=rain.folder / "netcdf.json")  # fmt: skip
    with xr.open_dataset(folder / "mean-2009.nc") as file:
        np.testing.assert_array_equal(file["time"].values, expected)
        np.testing.assert_array_equal(file["true_latitude"], found["true_latitude"])
        assert file.attrs["time_coverage_end"] == "2009-01-01T14:00:00Z"


def test_points_of_a_plane_have_their_places_on_the_earth(rain):
    found = xr.open_zarr(rain.archive)
    latitude, longitude = PLANE.places(rain.grid)
    np.testing.assert_allclose(found["true_latitude"], latitude, rtol=1e-15)
    np.testing.assert_allclose(found["true_longitude"], longitude, rtol=1e-15)
    assert {"true_latitude", "true_longitude"} <= set(found["z500"].coords)
    assert "standard_name" not in found["latitude"].attrs and found["true_latitude"].attrs["units"] == "degrees_north"
    assert found.attrs["geospatial_lat_min"] == latitude.min() and found.attrs["geospatial_lon_max"] == longitude.max()
    assert Plane.of(found.attrs) == PLANE
    corner = f"POLYGON (({latitude[0, 0]:.6g} {longitude[0, 0]:.6g}, "
    outline = found.attrs["geospatial_bounds"]
    assert outline.startswith(corner) and outline.endswith(f"{latitude[0, 0]:.6g} {longitude[0, 0]:.6g}))")
    assert outline.count(",") == 2 * (5 + 6) - 4


def test_numbers_in_other_units_are_no_times_of_an_archive():
    with pytest.raises(ValueError, match="its units are 'days since 1900-01-01'"):
        metadata.decode(np.arange(3), "days since 1900-01-01")
    times = np.array(["1850-06-01T03:00", "2010-08-26T00:00"], "datetime64[ns]")
    for shift in (0, 5):
        numbers, axis = metadata.encode_times(times + np.timedelta64(shift, "m"))
        np.testing.assert_array_equal(metadata.decode(numbers, axis["units"]), times + np.timedelta64(shift, "m"))
