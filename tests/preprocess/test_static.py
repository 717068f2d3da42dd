"""Land and orography."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.preprocess import static
from hindsight.settings import Preprocess

TIMES = np.array(["2000-01-01", "2000-01-02"], "datetime64[ns]")
WORKING = xr.Dataset(coords={"latitude": [40.0, 45.0], "longitude": [-7.0, -2.0, 3.0]})


def globe(values):
    latitude, longitude = np.arange(-89.5, 90), np.arange(0.5, 360)
    return xr.DataArray(
        values(*np.meshgrid(latitude, longitude, indexing="ij")),
        dims=("latitude", "longitude"),
        coords={"latitude": latitude, "longitude": longitude},
    )


def test_a_smooth_field_is_interpolated_across_greenwich():
    field = globe(lambda lat, lon: np.sin(np.deg2rad(lat)) + np.cos(np.deg2rad(lon)))
    found = static.interpolate(field, WORKING, Path("x.nc"))
    expected = np.sin(np.deg2rad(WORKING["latitude"])) + np.cos(np.deg2rad(WORKING["longitude"]))
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_a_field_that_does_not_cover_the_domain_is_refused():
    part = globe(lambda lat, lon: lat).sel(latitude=slice(41, 90))
    region = globe(lambda lat, lon: lat).sel(longitude=slice(0, 10))  # nothing lies between its two ends
    with pytest.raises(UserError, match="does not cover"):
        static.interpolate(region, WORKING, Path("x.nc"))
    with pytest.raises(UserError, match="does not cover"):
        static.interpolate(part, WORKING, Path("x.nc"))


@pytest.mark.parametrize("off", [3e-5, -3e-5])
def test_a_field_that_ends_with_the_domain_covers_it_within_rounding(off):
    """Coordinates in single precision err by 3e-5 degrees."""
    coords = {"latitude": WORKING["latitude"].values + off, "longitude": WORKING["longitude"].values + off}
    region = xr.DataArray(np.arange(6.0).reshape(2, 3), coords)
    found = static.interpolate(region, WORKING, Path("x.nc"))
    np.testing.assert_allclose(found, region.values, atol=1e-3)
    assert found["latitude"].equals(WORKING["latitude"]) and found["longitude"].equals(WORKING["longitude"])
    line = region.isel(latitude=[0])
    found = static.interpolate(line, WORKING.isel(latitude=[0]), Path("x.nc"))
    np.testing.assert_allclose(found, line.values, atol=1e-3)
    with pytest.raises(UserError, match="does not cover"):
        static.interpolate(region.assign_coords(latitude=region["latitude"] + 10 * off), WORKING, Path("x.nc"))


LATITUDE, LONGITUDE = np.array([30.0, 40.0, 50.0]), np.array([-20.0, 0.0, 20.0])
MASK = np.array([[0.0, 0.25, 1.0], [1.0, 0.5, 0.0], [0.0, 0.75, 0.25]])  # (latitude, longitude)
HEIGHT = np.array([[0.0, 100.0, 200.0], [1000.0, 500.0, 0.0], [300.0, 2000.0, 10.0]])


@pytest.fixture
def stores(tmp_path):
    """Fields on the points of the source and between them, and a raw store whose static variables the test chooses."""
    latitude, longitude = np.array([30.0, 35.0, 50.0]), np.array([-20.0, 5.0])
    dims = ("time", "channel", "latitude", "longitude")
    coords = {"time": TIMES, "channel": [1], "latitude": latitude, "longitude": longitude}
    store.write(xr.Dataset({"fields": (dims, np.zeros((2, 1, 3, 2)))}, coords), tmp_path / "fields.zarr")

    def raw(names=("lat", "lon"), turn=0.0, **variables):
        """A store as a source leaves it: its own names, latitudes from the north, longitudes before latitudes."""
        north, east = LATITUDE[::-1], LONGITUDE % 360 if turn else LONGITUDE
        order = np.argsort(east)
        coords = {"time": TIMES, names[0]: north, names[1]: east[order]}
        dataset = xr.Dataset({"t": (("time", names[1], names[0]), np.zeros((2, 3, 3)))}, coords)
        for name, values in variables.items():
            dataset[name] = ((names[1], names[0]), values[::-1].T[order])
        dataset["z"] = (("time", names[1], names[0]), np.full((2, 3, 3), 5e4))  # of a level: no orography
        store.write(dataset, tmp_path / "raw.zarr")

    return tmp_path, raw


def made(folder, given=(), **settings):
    static.run(
        Preprocess(**settings),
        fields=folder / "fields.zarr/zarr.json",
        raw=folder / "raw.zarr/zarr.json",
        given=[folder / name for name in given],
        static=folder / "static.nc",
    )
    return xr.load_dataset(folder / "static.nc")


def between(values):
    """Bilinear interpolation to the fields' points by hand: 30, 35 and 50 N, 20 W and 5 E."""
    east = np.stack([values[:, 0], 0.75 * values[:, 1] + 0.25 * values[:, 2]], 1)
    return np.stack([east[0], (east[0] + east[1]) / 2, east[2]])


@pytest.mark.parametrize("names", [("lat", "lon"), ("latitude", "longitude")])
@pytest.mark.parametrize("turn", [0.0, 360.0])
def test_a_sources_own_land_and_orography_are_used(stores, names, turn):
    folder, raw = stores
    raw(names, turn, land_sea_mask=MASK, geopotential_at_surface=HEIGHT * 9.80665)
    found = made(folder)
    assert found["land"].dims == found["orography"].dims == ("latitude", "longitude")
    np.testing.assert_allclose(found["land"], between(MASK), atol=1e-6)
    np.testing.assert_allclose(found["orography"], between(HEIGHT), rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(found["longitude"], [-20.0, 5.0])


def test_the_same_sources_give_the_same_bytes(stores):
    """Every time: what is lazy would be written in the order in which threads happen to end."""
    folder, raw = stores
    raw(land_sea_mask=MASK, geopotential_at_surface=HEIGHT * 9.80665)
    assert len({made(folder).close() or (folder / "static.nc").read_bytes() for _ in range(20)}) == 1


def test_a_given_file_takes_precedence_over_the_source(stores):
    folder, raw = stores
    raw(land_sea_mask=MASK, geopotential_at_surface=HEIGHT * 9.80665)
    coords = {"latitude": LATITUDE, "longitude": LONGITUDE}
    xr.Dataset({"lsm": (tuple(coords), 1 - MASK)}, coords).to_netcdf(folder / "mask.nc")
    found = made(folder, ["mask.nc"], land="mask.nc")
    np.testing.assert_allclose(found["land"], between(1 - MASK), atol=1e-6)
    np.testing.assert_allclose(found["orography"], between(HEIGHT), rtol=1e-5, atol=1e-3)  # the source's, still


def test_two_files_are_not_confused(stores):
    folder, raw = stores
    raw()
    coords = {"latitude": LATITUDE, "longitude": LONGITUDE}
    xr.Dataset({"land": (tuple(coords), MASK)}, coords).to_netcdf(folder / "mask.nc")
    xr.Dataset({"orog": (tuple(coords), HEIGHT)}, coords).to_netcdf(folder / "height.nc")
    found = made(folder, ["height.nc", "mask.nc"], land="mask.nc", orography="height.nc")
    np.testing.assert_allclose(found["land"], between(MASK), atol=1e-6)
    np.testing.assert_allclose(found["orography"], between(HEIGHT), rtol=1e-6, atol=1e-4)


def test_a_file_is_found_by_its_whole_name(stores):
    """`mask.nc` is not `land_mask.nc`, nor `deep/mask.nc`; and dots and doubled slashes are no part of a name."""
    folder, raw = stores
    raw()
    coords = {"latitude": LATITUDE, "longitude": LONGITUDE}
    (folder / "deep").mkdir()
    files = {"x_mask.nc": 1 - MASK, "deep/mask.nc": 0 * MASK, "mask.nc": MASK}
    for name, values in files.items():
        xr.Dataset({"land": (tuple(coords), values)}, coords).to_netcdf(folder / name)
    for asked, values in (("mask.nc", MASK), ("./mask.nc", MASK), ("deep//mask.nc", 0 * MASK), ("x_mask.nc", 1 - MASK)):
        np.testing.assert_allclose(made(folder, files, land=asked)["land"], between(values), atol=1e-6)


@pytest.mark.parametrize("method", ["bilinear", "conservative"])
def test_missing_values_in_the_domain_are_reported(stores, method):
    folder, raw = stores
    raw()
    coords = {"latitude": LATITUDE, "longitude": LONGITUDE}
    holed = np.where(MASK == 0.5, np.nan, MASK)
    xr.Dataset({"land": (tuple(coords), holed)}, coords).to_netcdf(folder / "mask.nc")
    with pytest.raises(UserError, match="'land' has missing values .NaN. in the domain"):
        if method == "bilinear":
            made(folder, ["mask.nc"], land="mask.nc")
        else:
            static.cell_means(xr.open_dataset(folder / "mask.nc")["land"], WORKING, Path("mask.nc"))


def test_the_sources_own_orography_is_taken_by_its_units(stores):
    folder, raw = stores
    raw(geopotential_at_surface=HEIGHT)
    dataset = store.read(folder / "raw.zarr").load()
    dataset["geopotential_at_surface"].attrs["units"] = "m"
    store.write(dataset, folder / "raw.zarr")
    np.testing.assert_allclose(made(folder)["orography"], between(HEIGHT), rtol=1e-5, atol=1e-3)


def test_without_static_variables_the_file_is_empty(stores):
    """Not even the geopotential of a level, or a mask that changes with time (ice)."""
    folder, raw = stores
    raw()
    dataset = store.read(folder / "raw.zarr").load()
    store.write(dataset.assign(land_sea_mask=dataset["z"]), folder / "raw.zarr")
    assert not made(folder).data_vars
    np.testing.assert_array_equal(made(folder)["latitude"], [30.0, 35.0, 50.0])


def test_values_at_grid_points_are_unchanged():
    """All of the globe, the seam at Greenwich and the one at 180 degrees too."""
    latitude, longitude = np.arange(-87.5, 90, 5.0), np.arange(0, 360, 5.0)
    coords = {"latitude": latitude, "longitude": longitude}
    field = xr.DataArray(np.random.default_rng(0).random((36, 72)), coords, ("latitude", "longitude"))
    found = static.interpolate(field, xr.Dataset(coords=coords), Path("x.nc"))
    np.testing.assert_allclose(found, field, atol=1e-6)
    np.testing.assert_array_equal(found["longitude"], longitude)


@pytest.mark.parametrize("first", [0.5, 5.0, -179.5])
def test_interpolation_has_no_seam_in_longitude(first):
    """A wave of longitude, on whichever longitudes the source begins, all the way round."""
    longitude = first + np.arange(0, 360, 1.0)
    coords = {"latitude": np.array([-10.0, 10.0]), "longitude": longitude}
    field = xr.DataArray(np.tile(np.cos(np.deg2rad(longitude)), (2, 1)), coords, ("latitude", "longitude"))
    working = xr.Dataset(coords={"latitude": [0.0], "longitude": np.arange(-180, 181, 0.25)})
    found = static.interpolate(field, working, Path("x.nc"))
    np.testing.assert_allclose(found[0], np.cos(np.deg2rad(working["longitude"])), atol=5e-5)


def test_onto_a_ring_from_a_globe_or_from_a_ring():
    """The ring of a source with one latitude is interpolated along it, and stands for no other latitude."""
    working = xr.Dataset(coords={"latitude": [0.0], "longitude": np.arange(0, 360, 9.0)})
    wave = np.cos(np.deg2rad(working["longitude"].values))
    field = globe(lambda lat, lon: np.cos(np.deg2rad(lon)) + lat)
    np.testing.assert_allclose(static.interpolate(field, working, Path("x.nc"))[0], wave, atol=2e-4)
    ring = field.isel(latitude=[90]).assign_coords(latitude=[0.0]) - 0.5
    np.testing.assert_allclose(static.interpolate(ring, working, Path("x.nc"))[0], wave, atol=2e-4)
    with pytest.raises(UserError, match="does not cover the domain"):
        static.interpolate(ring, working.assign_coords(latitude=[5.0]), Path("x.nc"))


def test_land_and_orography_are_cell_means_where_the_fields_are(tmp_path):
    field = globe(lambda lat, lon: (np.cos(np.deg2rad(7 * lat)) > 0.2).astype(float)).isel(
        latitude=slice(None, None, -1)
    )
    coarse = xr.Dataset(coords={"latitude": np.arange(-85.0, 90, 10), "longitude": np.arange(0.0, 360, 10)})
    found = static.cell_means(field, coarse, Path("x.nc"))
    weights = np.cos(np.deg2rad(field["latitude"]))
    edges = np.deg2rad(np.arange(-90, 91, 10))
    expected = (field * weights).groupby_bins("latitude", np.arange(-90, 91, 10)).sum(...) / 360 * np.deg2rad(1)
    np.testing.assert_allclose(found.mean("longitude"), expected / np.diff(np.sin(edges)), atol=2e-4)
    store.write(coarse.assign(fields=(("latitude", "longitude"), np.zeros((18, 36)))), tmp_path / "fields.zarr")
    field.to_dataset(name="land_sea_mask").to_netcdf(tmp_path / "lsm.nc")
    (tmp_path / "raw.zarr").mkdir()
    store.write(xr.Dataset({"z": ("time", [0.0])}, coords={"time": TIMES[:1]}), tmp_path / "raw.zarr")
    made = {}
    for method in ("conservative", "bilinear"):
        settings = Preprocess(land="lsm.nc", spacing=10, method=method)
        paths = {"fields": tmp_path / "fields.zarr", "raw": tmp_path / "raw.zarr", "static": tmp_path / "static.nc"}
        static.run(settings, given=[tmp_path / "lsm.nc"], **paths)
        made[method] = xr.load_dataset(tmp_path / "static.nc")["land"]
    np.testing.assert_allclose(made["conservative"], found)
    assert abs(made["bilinear"] - found).max() > 0.3
