"""Regions."""

import numpy as np
import pytest

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.settings.verify import Region
from hindsight.verify.regions import WHOLE, region_weights

GRID = Grid(np.array([0.0, 60.0]), np.arange(-2.0, 3))


def test_regions_are_boxes_weighted_by_area():
    areas = region_weights({"north": Region(south=30, north=90, west=-1, east=1)}, GRID)
    assert list(areas) == [WHOLE, "north"]
    assert areas["north"].reshape(2, 5)[0].sum() == 0 and (areas["north"].reshape(2, 5)[1] > 0).sum() == 3
    whole = areas[WHOLE].reshape(2, 5)
    assert whole[0, 0] > 1.5 * whole[1, 0]


def test_edges_on_grid_points_in_single_precision_are_inside():
    axis = lambda first, count: (first + 0.1 * np.arange(count)).astype("float32").astype(float)
    rounded = Grid(axis(40, 3), axis(300, 4))
    box = Region(south=40.1, north=40.2, west=-59.9, east=-59.7)
    assert (region_weights({"box": box}, rounded)["box"] > 0).reshape(3, 4).astype(int).tolist() == [
        [0, 0, 0, 0],
        [0, 1, 1, 1],
        [0, 1, 1, 1],
    ]


def test_an_empty_region_is_refused():
    with pytest.raises(UserError, match="holds no grid point"):
        region_weights({"nowhere": Region(south=70, north=80, west=0, east=1)}, GRID)


def test_a_globe_has_bands_of_latitude_as_default_regions():
    globe = Grid(np.arange(-87.1875, 90, 5.625), np.arange(64) * 5.625)
    areas = region_weights({}, globe)
    assert list(areas) == [WHOLE, "northern extratropics", "tropics", "southern extratropics"]
    rows = {name: weights.reshape(globe.shape) > 0 for name, weights in areas.items()}
    for name, (south, north) in {"northern extratropics": (20, 90), "tropics": (-20, 20)}.items():
        inside = (globe.latitude >= south) & (globe.latitude <= north)
        assert (rows[name] == inside[:, None]).all()
    share = areas["tropics"].sum() / areas[WHOLE].sum()
    assert np.isclose(share, np.sin(np.deg2rad(22.5)))  # where the cells of 19.7 end
    assert list(region_weights({"one": Region(south=0, north=50, west=0, east=50)}, globe)) == [WHOLE, "one"]
    belt = Grid(np.arange(-59.0625, 60, 5.625), globe.longitude)
    assert list(region_weights({}, GRID)) == list(region_weights({}, belt)) == [WHOLE]


def test_a_region_without_a_point_that_is_covered_is_refused():
    grid = Grid(GRID.latitude, GRID.longitude, np.array([[True] * 5, [False] * 5]))
    with pytest.raises(UserError, match="holds no grid point"):
        region_weights({"north": Region(south=30, north=90, west=-1, east=1)}, grid)
