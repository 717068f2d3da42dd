"""The points of a grid in a region, against a loop over all points."""

import numpy as np
import pytest

from hindsight.download import region
from hindsight.errors import UserError


@pytest.mark.parametrize("box", [(30, 60, 20, 50), (-15, 15, -30, 30), (0, 90, 170, 190), (None, None, None, None)])
@pytest.mark.parametrize("west", [0.0, -180.0])
def test_rows_and_columns_lead_from_the_source_to_the_points(box, west):
    latitude, longitude = np.linspace(90, -90, 37), west + np.arange(0, 360, 10.0)
    points, rows, columns = region.within(latitude, longitude, box, "here")
    south, north, left, right = (edge if edge is not None else np.inf for edge in box)
    inside = [y for y in latitude if box[0] is None or south <= y <= north]
    assert latitude[rows].tolist() == points.latitude.tolist() == sorted(inside)
    assert ((longitude[columns] - points.longitude) % 360 == 0).all() and (np.diff(points.longitude) > 0).all()
    count = sum(box[2] is None or any(left <= x + turn <= right for turn in (-360, 0, 360)) for x in longitude)
    assert len(points.longitude) == count


def test_rounding_of_single_precision_is_taken_away():
    exact = np.arange(10.0, 20.0, 0.1)
    points, _, _ = region.within(exact.astype("f4").astype(float), exact, (None,) * 4, "here")
    np.testing.assert_array_equal(points.latitude, exact.round(4))


def test_a_region_without_points_is_refused():
    with pytest.raises(UserError, match="here"):
        region.within(np.arange(0, 50, 10.0), np.arange(0, 50, 10.0), (31, 39, 0, 40), "here")
