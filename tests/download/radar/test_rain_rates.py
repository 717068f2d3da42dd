"""Rain rates, means over squares and the part that is kept: against brute force and the formula."""

import numpy as np
import pytest
from pydantic import ValidationError

from hindsight.download.radar.composite import Layout
from hindsight.download.radar.rain_rates import Cut, above, largest_rectangle, rain_rates
from hindsight.errors import UserError
from hindsight.fields.plane import DEGREE
from hindsight.settings.radar import Radar

PROJECTION = "+proj=stere +lat_0=90 +lon_0=25 +lat_ts=60 +R=6371288 +units=m"
LAYOUT = Layout("fmi", "a composite", "dBZ", PROJECTION, -380.0, -2170.0, 1.0, 2.0, 13, 11)


def test_marshall_and_palmer():
    """Tabulated by them and since: 200 R^1.6 gives 23 dBZ at 1 mm/h and 39 dBZ at 10 mm/h."""
    dbz = 10 * np.log10(200 * np.array([[0.1, 1.0, 10.0]]) ** 1.6)
    np.testing.assert_allclose(dbz, [[7.0103, 23.0103, 39.0103]], atol=1e-4)
    np.testing.assert_allclose(rain_rates(dbz, "dBZ", Radar(dry_below=0)), [[0.1, 1.0, 10.0]], rtol=1e-12)


def test_other_parameters_and_the_limit():
    settings = Radar(a=223.0, b=1.53, highest_dbz=50.0)
    values = np.array([[30.0, 50.0, 70.0, np.nan, -np.inf]])
    found = rain_rates(values, "dBZ", settings)
    expected = (10 ** (np.array([3.0, 5.0, 5.0])) / 223) ** (1 / 1.53)
    np.testing.assert_allclose(found[0, :3], expected, rtol=1e-12)
    assert np.isnan(found[0, 3]) and found[0, 4] == 0 and above(values, "dBZ", settings) == 1
    assert above(values, "dBZ", Radar(highest_dbz=None)) == above(values, "mm h-1", settings) == 0


def test_dry_and_unseen_stay_apart():
    found = rain_rates(np.array([[0.0, 0.09, 0.1, 0.2, np.nan]]), "mm h-1", Radar())
    np.testing.assert_array_equal(found, [[0.0, 0.0, 0.1, 0.2, np.nan]])


def test_settings_by_which_nothing_is_wet_are_refused():
    with pytest.raises(ValidationError, match="nothing would be wet"):
        Radar(highest_dbz=5.0)


@pytest.mark.parametrize("rectangle", [None, {"rows": 2, "columns": 3}, {"rows": 3, "columns": 2, "top": 1, "left": 5}])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_means_over_squares_are_those_of_their_points_and_lie_in_their_middle(rectangle, size):
    values = np.random.default_rng(1).random((13, 11))
    cut = Cut.of(LAYOUT, Radar(average=size, rectangle=rectangle))
    found, (plane, grid) = cut(values), cut.place(LAYOUT)
    assert found.shape == grid.shape == (cut.rows, cut.columns)
    x = LAYOUT.west + np.arange(11) + 0.5
    y = LAYOUT.north - 2 * np.arange(13) - 1.0
    for i in range(cut.rows):
        for j in range(cut.columns):
            rows = slice(cut.top + i * size, cut.top + (i + 1) * size)
            columns = slice(cut.left + j * size, cut.left + (j + 1) * size)
            mine = cut.rows - 1 - i
            np.testing.assert_allclose(found[mine, j], values[rows, columns].mean(), rtol=1e-13)
            assert grid.longitude[j] * DEGREE + plane.x == pytest.approx(x[columns].mean())
            assert grid.latitude[mine] * DEGREE + plane.y == pytest.approx(y[rows].mean())
    assert abs(grid.latitude.sum()) < 1e-9 and abs(grid.longitude.sum()) < 1e-9
    if rectangle is None or "top" not in rectangle:
        assert abs(13 - cut.rows * size - 2 * cut.top) < 2 and abs(11 - cut.columns * size - 2 * cut.left) < 2


def test_a_square_with_a_point_without_data_has_none():
    values = np.ones((4, 4))
    values[0, 3] = np.nan
    found = Cut(0, 0, 2, 2, 2)(values)
    np.testing.assert_array_equal(found, [[1, 1], [1, np.nan]])


@pytest.mark.parametrize(
    "wrong", [{"rows": 7, "columns": 2}, {"rows": 2, "columns": 6}, {"rows": 6, "columns": 5, "top": 2}]
)
def test_a_rectangle_that_does_not_fit_is_refused(wrong):
    with pytest.raises(UserError, match="do not fit into the .* of the composites; ask for"):
        Cut.of(LAYOUT, Radar(average=2, rectangle=wrong))


def test_the_largest_rectangle_is_that_of_brute_force():
    generator = np.random.default_rng(2)
    for trial in range(60):
        seen = generator.random(generator.integers(1, 7, 2)) < 0.3 + 0.7 * (trial % 3) / 2
        top, left, rows, columns = largest_rectangle(seen)
        height, width = seen.shape
        sizes = [
            (b - a) * (d - c)
            for a in range(height)
            for b in range(a + 1, height + 1)
            for c in range(width)
            for d in range(c + 1, width + 1)
            if seen[a:b, c:d].all()
        ]
        assert rows * columns == max(sizes, default=0)
        assert seen[top : top + rows, left : left + columns].all()
