"""Coastlines."""

import json

import numpy as np
import pytest

from hindsight.errors import UserError
from hindsight.verify import coastline


def test_arcs_are_running_sums_scaled_and_shifted(tmp_path):
    (tmp_path / "c.json").write_text(
        json.dumps({"transform": {"scale": [0.5, 2.0], "translate": [-10, 40]}, "arcs": [[[2, 1], [2, 0], [0, -1]]]})
    )
    np.testing.assert_allclose(coastline.read(tmp_path / "c.json")[0], [[-9, 42], [-8, 42], [-8, 40]])


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
