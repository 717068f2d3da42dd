"""Source `synthetic`."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hindsight.download import synthetic
from hindsight.dynamics import planet
from hindsight.dynamics.lorenz96 import Lorenz96World
from hindsight.dynamics.navier_stokes import NavierStokesWorld
from hindsight.dynamics.quasi_geostrophic_world import QuasiGeostrophicWorld
from hindsight.errors import UserError
from hindsight.fields import intervals, store
from hindsight.preprocess import regrid, static
from hindsight.settings import Domain, Download, Preprocess

WORLD = {
    "start": "2001-02-26T00:00",
    "end": "2001-03-04T18:00",
    "truncation": 6,
    "latitudes": 8,
    "spin_up_days": 2,
    "step_minutes": 180.0,
}
TIMES = pd.date_range("2001-02-26", "2001-03-04T18", freq="6h")  # 28 frames


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(synthetic, "CHUNK", 8)


def make(path, about=None, **settings):
    download = Download(source="synthetic", synthetic=WORLD | settings, **about or {})
    synthetic.run(download, raw=path / "raw.zarr")
    return store.read(path / "raw.zarr")


def test_names_order_and_attributes_are_those_of_weatherbench(tmp_path):
    found = make(tmp_path, levels=[850, 200])
    for name, units in (("geopotential", "m2 s-2"), ("u_component_of_wind", "m s-1"), ("v_component_of_wind", "m s-1")):
        assert found[name].dims == ("time", "level", "longitude", "latitude") and found[name].dtype == np.float32
        assert found[name].attrs["units"] == units and found[name].shape == (28, 2, 16, 8)
    assert found["land_sea_mask"].dims == found["geopotential_at_surface"].dims == ("longitude", "latitude")
    pd.testing.assert_index_equal(found.indexes["time"], TIMES, check_names=False, exact=False)
    assert found["level"].values.tolist() == [850, 200]
    np.testing.assert_allclose(found["latitude"], np.arange(-78.75, 90, 22.5))
    np.testing.assert_allclose(found["longitude"], np.arange(0, 360, 22.5))
    assert found.attrs["synthetic"].startswith("yes") and "synthetic" in found.attrs["source_title"]
    assert '"truncation":6' in found.attrs["source_files"] and found.attrs["source_licence"] == "CC0-1.0"
    named = make(tmp_path, about={"title": "my world", "licence": "mine"})
    assert named.attrs["source_title"] == "my world" and named.attrs["source_licence"] == "mine"


def test_values_are_the_models_to_the_last_partial_chunk(tmp_path):
    """28 frames in chunks of 8, against the model run for all of them at once."""
    found = make(tmp_path)
    world = QuasiGeostrophicWorld(Download(source="synthetic", synthetic=WORLD).synthetic)
    begins = TIMES.values[:1]
    _, expected = world.frames(world.spin_up(begins), begins, 0, 28)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name].values, values[0].swapaxes(-1, -2))
    places = np.meshgrid(found["latitude"], found["longitude"])
    np.testing.assert_allclose(found["land_sea_mask"], planet.land(*places), atol=1e-6)
    np.testing.assert_allclose(
        found["geopotential_at_surface"], 9.80665 * planet.orography(*places), rtol=1e-6, atol=1e-3
    )


@pytest.mark.parametrize(("segments", "begins"), [(2, [0, 16]), (4, [0, 8, 16, 24]), (3, [0, 16]), (9, [0, 8, 16, 24])])
def test_segments_cover_the_period_once_each_from_its_own_spin_up(tmp_path, segments, begins):
    found = make(tmp_path, segments=segments)
    pd.testing.assert_index_equal(found.indexes["time"], TIMES, check_names=False, exact=False)
    world = QuasiGeostrophicWorld(Download(source="synthetic", synthetic=WORLD).synthetic)
    times = TIMES.values[begins]
    _, expected = world.frames(world.spin_up(times), times, 0, 16)
    assert found.attrs["segment_starts"] == [TIMES[first].isoformat() for first in begins]
    for k, (first, last) in enumerate(zip(begins, [*begins[1:], 28])):
        part = found["geopotential"].values[first:last]
        np.testing.assert_allclose(part, expected["geopotential"][k, : last - first].swapaxes(-1, -2), rtol=1e-6)


def test_the_same_settings_give_the_same_store(tmp_path):
    digests = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        make(tmp_path / folder, seed=seed)
        digests.append(json.loads((tmp_path / folder / "raw.zarr/zarr.json").read_text())["attributes"]["digest"])
    assert digests[0] == digests[1] != digests[2]


def test_a_step_too_long_for_the_model_is_refused_and_leaves_no_store(tmp_path):
    with pytest.raises(UserError, match="broke down at truncation 21 with steps of 720 minutes; lower download.synth"):
        make(tmp_path, truncation=21, latitudes=24, step_hours=12, step_minutes=720.0, spin_up_days=40)
    assert not (tmp_path / "raw.zarr").exists()


def test_a_world_without_a_spin_up_begins_with_the_disturbance(tmp_path):
    found = make(tmp_path, spin_up_days=0)
    world = QuasiGeostrophicWorld(Download(source="synthetic", synthetic=WORLD).synthetic)
    expected = world.weather(world.disturbance(0))["geopotential"].swapaxes(-1, -2)
    np.testing.assert_allclose(found["geopotential"].values[0], expected, rtol=1e-6)


def test_a_disk_without_room_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(UserError, match="GB are free"):
        make(tmp_path, about={"minimum_free_gb": 1e9})
    assert not list(tmp_path.iterdir())


def test_a_world_is_preprocessed_like_any_source(tmp_path):
    raw = make(tmp_path)
    domain = Domain(
        channels=["v850", "z500", "u200"],
        step_hours=6,
        latitude_edges="pole",
        longitude_edges="periodic",
        train={"start": "2001-02-26T00:00", "end": "2001-03-01T18:00"},
        validation={"start": "2001-03-02T00:00", "end": "2001-03-02T18:00"},
        test={"start": "2001-03-03T00:00", "end": "2001-03-04T18:00"},
    )
    regridded(domain, tmp_path)
    fields = store.read(tmp_path / "fields.zarr")["fields"]
    assert fields.dims == ("time", "channel", "latitude", "longitude") and fields.shape == (28, 3, 8, 16)
    for channel, variable, level in (
        ("v850", "v_component_of_wind", 850),
        ("z500", "geopotential", 500),
        ("u200", "u_component_of_wind", 200),
    ):
        expected = raw[variable].sel(level=level).transpose("time", "latitude", "longitude")
        np.testing.assert_array_equal(fields.sel(channel=channel).values, expected.values)
    paths = {"fields": tmp_path / "fields.zarr", "raw": tmp_path / "raw.zarr", "static": tmp_path / "static.nc"}
    static.run(Preprocess(), given=[], **paths)
    found = xr.load_dataset(tmp_path / "static.nc")
    np.testing.assert_allclose(found["land"], raw["land_sea_mask"].T, atol=1e-6)
    np.testing.assert_allclose(found["orography"], raw["geopotential_at_surface"].T / 9.80665, rtol=1e-5, atol=1e-3)


RING = {"world": "lorenz96", "start": "2001-01-01T00:00", "end": "2001-01-07T18:00", "spin_up_days": 5}


def make_ring(path, **settings):
    download = Download(source="synthetic", synthetic=RING | settings)
    synthetic.run(download, raw=path / "raw.zarr")
    return store.read(path / "raw.zarr")


def test_a_ring_has_one_latitude_and_no_levels(tmp_path):
    found = make_ring(tmp_path)
    assert found["x"].dims == ("time", "longitude", "latitude") and found["x"].shape == (28, 40, 1)
    assert list(found.data_vars) == ["x"] and found["x"].attrs == {"units": "1"} and found["x"].dtype == np.float32
    np.testing.assert_array_equal(found["longitude"], np.arange(0, 360, 9.0))
    assert found["latitude"].values.tolist() == [0.0] and "Lorenz" in found.attrs["synthetic"]
    world = Lorenz96World(Download(source="synthetic", synthetic=RING).synthetic)
    begins = found["time"].values[:1]
    _, expected = world.frames(world.spin_up(begins), begins, 0, 28)
    np.testing.assert_array_equal(found["x"].values[..., 0], expected["x"][0, :, 0])
    digest = found.attrs["digest"]
    assert make_ring(tmp_path).attrs["digest"] == digest != make_ring(tmp_path, seed=2).attrs["digest"]


def test_a_ring_with_too_long_a_step_is_refused_with_its_setting(tmp_path):
    with pytest.raises(UserError, match="1 step.s. a frame of 0.5 time units; raise download.synthetic.lorenz96.subst"):
        make_ring(tmp_path, lorenz96={"unit_hours": 12.0})
    assert np.isfinite(make_ring(tmp_path, lorenz96={"unit_hours": 12.0, "substeps": 10})["x"]).all()


def test_a_ring_is_preprocessed_like_any_source(tmp_path):
    raw = make_ring(tmp_path)
    domain = Domain(
        channels=["x"],
        step_hours=6,
        longitude_edges="periodic",
        train={"start": "2001-01-01T00:00", "end": "2001-01-04T18:00"},
        validation={"start": "2001-01-05T00:00", "end": "2001-01-05T18:00"},
        test={"start": "2001-01-06T00:00", "end": "2001-01-07T18:00"},
    )
    regridded(domain, tmp_path)
    found = store.read(tmp_path / "fields.zarr")
    assert found["fields"].shape == (28, 1, 1, 40) and "synthetic" in found.attrs
    np.testing.assert_array_equal(found["fields"][:, 0, 0], raw["x"][..., 0])
    paths = {"fields": tmp_path / "fields.zarr", "raw": tmp_path / "raw.zarr", "static": tmp_path / "static.nc"}
    static.run(Preprocess(), given=[], **paths)
    assert not xr.load_dataset(tmp_path / "static.nc").data_vars


def regridded(domain, folder):
    """All frames of the domain as one piece."""
    (folder / "manifest.json").write_text('{"masked": []}')
    regrid.run(
        domain,
        Preprocess(),
        piece=intervals.pieces(domain, Preprocess())[0].name,
        raw=[folder / "raw.zarr"],
        manifest=folder / "manifest.json",
        scheduler="synchronous",
        workers="1",
        fields=folder / "fields.zarr",
    )


SQUARE = {
    "world": "navier_stokes",
    "start": "2001-01-01T00:00",
    "end": "2001-01-07T18:00",
    "spin_up_days": 1,
    "segments": 2,
    "navier_stokes": {"points": 26, "substeps": 10},
}


def make_square(path, **settings):
    download = Download(source="synthetic", synthetic=SQUARE | settings)
    synthetic.run(download, raw=path / "raw.zarr")
    return store.read(path / "raw.zarr")


def test_a_square_is_written_x_eastward_and_y_northward_the_same_bytes_whatever_the_chunks(tmp_path, monkeypatch):
    found = make_square(tmp_path)
    assert found["vorticity"].dims == ("time", "longitude", "latitude") and found["vorticity"].shape == (28, 26, 26)
    assert found["vorticity"].attrs == {"units": "1"} and list(found.data_vars) == ["vorticity"]
    world = NavierStokesWorld(Download(source="synthetic", synthetic=SQUARE).synthetic)
    begins = found["time"].values[[0, 16]]
    _, expected = world.frames(world.spin_up(begins), begins, 0, 16)
    np.testing.assert_array_equal(found["vorticity"][:16], expected["vorticity"][0].swapaxes(-1, -2))
    np.testing.assert_array_equal(found["vorticity"][16:], expected["vorticity"][1, :12].swapaxes(-1, -2))
    values = found["vorticity"].values
    monkeypatch.setattr(synthetic, "CHUNK", 16)
    np.testing.assert_array_equal(make_square(tmp_path)["vorticity"], values)
    assert np.abs(make_square(tmp_path, seed=2)["vorticity"].values - values).max() > 1


def test_a_square_with_too_long_a_step_is_refused_with_its_setting(tmp_path):
    with pytest.raises(
        UserError, match="1 step.s. a frame of 60 time units; raise download.synthetic.navier_stokes.sub"
    ):
        make_square(tmp_path, navier_stokes={"points": 26, "substeps": 1, "unit_hours": 0.1})


@pytest.mark.parametrize(
    ("broken", "time"),
    [
        ([(0, 0)], "2001-01-01T00"),  # in the spin-up
        ([(1, 3)], "2001-01-05T18"),  # the second segment begins on 5 January
        ([(0, 5), (1, 2)], "2001-01-02T06"),  # the earlier one
        ([(0, 9)], "2001-01-03T06"),  # in the second block
    ],
)
def test_the_earliest_frame_that_broke_down_is_named(tmp_path, monkeypatch, broken, time):
    make, done = NavierStokesWorld.weather, []

    def weather(world, states):
        found = make(world, states)
        for segment, frame in broken:
            if 0 <= frame - len(done) * synthetic.CHUNK < states.shape[1]:
                found["vorticity"][segment, frame - len(done) * synthetic.CHUNK, 2, 3] = np.nan
        done.append(states)
        return found

    monkeypatch.setattr(NavierStokesWorld, "weather", weather)
    with pytest.raises(
        UserError, match=f"fields of the built-in world for {time} broke down with 10 step.* raise down"
    ):
        make_square(tmp_path)


def test_the_starts_of_segments_are_passed_on_to_the_fields(tmp_path):
    make_square(tmp_path, navier_stokes=SQUARE["navier_stokes"] | {"unit_hours": 30.0}, spin_up_days=20)
    domain = Domain(
        channels=["vorticity"],
        step_hours=6,
        latitude_edges="periodic",
        longitude_edges="periodic",
        train={"start": "2001-01-01T00:00", "end": "2001-01-04T18:00"},
        validation={"start": "2001-01-05T00:00", "end": "2001-01-05T18:00"},
        test={"start": "2001-01-06T00:00", "end": "2001-01-07T18:00"},
    )
    regridded(domain, tmp_path)
    found = store.read(tmp_path / "fields.zarr")
    assert found.attrs["segment_starts"] == ["2001-01-01T00:00:00", "2001-01-05T00:00:00"]
    change = np.abs(np.diff(found["fields"].values, axis=0)).mean((1, 2, 3))
    assert change[15] > 1.5 * np.delete(change, 15).max()  # the first frame of the second segment does not follow
