"""Coastlines."""

import json

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import coastline
from hindsight.fields.grid import Grid
from hindsight.fields.plane import Plane
from tests.verify.worlds import GLOBE


def test_arcs_are_running_sums_scaled_and_shifted(tmp_path):
    (tmp_path / "c.json").write_text(
        json.dumps({"transform": {"scale": [0.5, 2.0], "translate": [-10, 40]}, "arcs": [[[2, 1], [2, 0], [0, -1]]]})
    )
    np.testing.assert_allclose(coastline.read(tmp_path / "c.json")[0], [[-9, 42], [-8, 42], [-8, 40]])


def test_only_the_finest_of_several_scales_is_read(tmp_path):
    """The third arc belongs to the coarse coast alone, the second is run backwards, the fourth has no scale."""
    objects = {
        "coast_110m": {"type": "GeometryCollection", "geometries": [{"type": "LineString", "arcs": [2]}]},
        "coast_50m": {"type": "GeometryCollection", "geometries": [{"type": "MultiLineString", "arcs": [[0], [-2]]}]},
        "rivers": {"type": "LineString", "arcs": [3]},
    }
    arcs = [[[number, 0], [1, 1]] for number in range(5)]
    topology = {"transform": {"scale": [1, 1], "translate": [0, 0]}, "arcs": arcs, "objects": objects}
    (tmp_path / "c.json").write_text(json.dumps(topology))
    assert [line[0, 0] for line in coastline.read(tmp_path / "c.json")] == [0, 1, 3]


def test_another_file_is_refused(tmp_path):
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(UserError, match="TopoJSON"):
        coastline.read(tmp_path / "c.json")


def test_the_real_coast_is_where_it_should_be(data):
    points = np.concatenate(coastline.read(data / "static/earth-topo.json"))
    assert points[:, 0].min() >= -180.1 and points[:, 1].max() <= 90
    near = lambda lon, lat: np.hypot(*(points - [lon, lat]).T).min()
    assert near(1.3, 51.1) < 0.3 and near(-9.5, 38.7) < 0.3  # Dover, Lisbon
    assert near(20.0, 50.0) > 3  # Krakow is not on the sea
    whole = json.loads((data / "static/earth-topo.json").read_text())["arcs"]
    assert len(whole) - len(coastline.read(data / "static/earth-topo.json")) == 337 + 22  # coarse coasts and lakes


def land(path, grid, values):
    places = {"latitude": grid.latitude, "longitude": grid.longitude}
    xr.Dataset({"land": (tuple(places), values)} if values is not None else {}, places).to_netcdf(path)
    return coastline.of_land(path)


def test_the_edge_of_a_band_of_land_goes_once_round_the_globe(tmp_path):
    """Land fraction that falls by 0.1 a degree about 30 degrees north is one half there, at every longitude."""
    fraction = np.clip(0.5 - 0.1 * (GLOBE.latitude - 30), 0, 1)[:, None] * np.ones(GLOBE.shape)
    lines = land(tmp_path / "static.nc", GLOBE, fraction)
    assert len(lines) == 1
    assert lines[0][:, 0].min() <= -180 and lines[0][:, 0].max() >= 180
    between = GLOBE.latitude[(GLOBE.latitude > 24) & (GLOBE.latitude < 36)]
    assert between[0] < lines[0][:, 1].min() and lines[0][:, 1].max() < between[-1]


def test_land_across_the_seam_of_a_globe_has_no_coast_at_the_seam(tmp_path):
    island = (np.abs((GLOBE.longitude + 180) % 360 - 180) < 30) * (np.abs(GLOBE.latitude) < 20)[:, None]
    lines = land(tmp_path / "static.nc", GLOBE, island.astype(float))
    assert len(lines) == 1 and np.allclose(lines[0][0], lines[0][-1])  # 350 and 10 degrees east are neighbours
    assert np.abs(lines[0][:, 0]).max() < 35


def test_without_land_fraction_there_is_no_coast(tmp_path):
    assert land(tmp_path / "static.nc", GLOBE, None) == []
    with pytest.raises(UserError, match="cannot read the static fields"):
        coastline.of_land(tmp_path / "none.nc")


def test_a_line_has_no_coast(tmp_path):
    ring = Grid(np.zeros(1), np.arange(0, 360, 9.0))
    assert land(tmp_path / "static.nc", ring, np.ones((1, 40))) == []


def test_coastlines_of_a_plane_lie_on_the_plane(tmp_path):
    plane = Plane("+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378137 +b=6356752", 405.0, -3996.0)
    topology = {"transform": {"scale": [0.5, 0.5], "translate": [4, 51]}, "arcs": [[[0, 0], [1, 1], [1, 0]]]}
    (tmp_path / "coast.json").write_text(json.dumps(topology))
    (plain,) = coastline.on_map([tmp_path / "coast.json"], tmp_path, {})
    (moved,) = coastline.on_map([tmp_path / "coast.json"], tmp_path, plane.attributes())
    np.testing.assert_array_equal(plain, [[4, 51], [4.5, 51.5], [5, 51.5]])
    north, east = plane.locate(plain[:, 1], plain[:, 0])
    np.testing.assert_allclose(moved, np.stack([east, north], 1))
