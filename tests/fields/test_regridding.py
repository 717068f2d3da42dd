"""Regridding."""

import numpy as np
import pytest

from hindsight.errors import UserError
from hindsight.fields import regridding
from hindsight.fields.grid import Grid
from hindsight.fields.regridding import METHODS, Regridding, level_weights, regular_grid

SPACINGS = (5.625, 7.2, 9.0, 10.0, 12.0, 15.0, 18.0, 22.5, 30.0)


def flipped(grid):
    return Grid(grid.latitude[::-1], grid.longitude)


def any_globe(generator):
    """A globe of any spacing, with its poles or not, either way up, its longitudes counted from anywhere."""
    grid = regular_grid(generator.choice(SPACINGS), bool(generator.integers(2)))
    longitude = grid.longitude + generator.choice([0.0, generator.uniform(-400, 400)])
    longitude = generator.choice([longitude, longitude % 360, (longitude + 180) % 360 - 180])
    return Grid(grid.latitude[:: generator.choice([-1, 1])], longitude)


def noise(grid, seed=0):
    return np.random.default_rng(seed).standard_normal(grid.shape).astype(np.float32)


def between(source, target, method):
    return Regridding.between(source, target, method, "raw.zarr")


def area_mean(values, grid):
    """By Archimedes, with cells half-way to the neighbours and up to the poles."""
    half = abs(grid.latitude[1] - grid.latitude[0]) / 2
    north, south = (np.sin(np.deg2rad(np.clip(grid.latitude + side, -90, 90))) for side in (half, -half))
    return np.average(values.mean(-1, dtype=float), weights=north - south)


def common_length(start, stop, first, last):
    """Of two arcs, in degrees: the slow way, trying every turn."""
    return sum(max(0.0, min(stop, last + turn) - max(start, first + turn)) for turn in range(-1440, 1441, 360))


def brute_force(source, target):
    """Shares of area (H', W', H, W), cell by cell, for grids of two points or more that jump nowhere."""
    y, x, v, u = (abs(points[1] - points[0]) for g in (source, target) for points in (g.latitude, g.longitude))
    shares = np.zeros(target.shape + source.shape)
    for i, j, k, m in np.ndindex(*shares.shape):
        south = max(target.latitude[i] - v / 2, source.latitude[k] - y / 2, -90)
        north = min(target.latitude[i] + v / 2, source.latitude[k] + y / 2, 90)
        height = max(0.0, np.sin(np.deg2rad(north)) - np.sin(np.deg2rad(south)))
        here, there = target.longitude[j], source.longitude[m]
        shares[i, j, k, m] = height * common_length(here - u / 2, here + u / 2, there - x / 2, there + x / 2)
    return shares / shares.sum((2, 3), keepdims=True)


PAIRS = {
    "poles to cells between": (regular_grid(22.5, True), regular_grid(30, False)),
    "cells between to poles, and finer": (regular_grid(36, False), regular_grid(20, True)),
    "upside down and turned": (
        Grid(regular_grid(30, True).latitude[::-1], np.arange(-171.0, 180, 30)),
        Grid(regular_grid(45, False).latitude[::-1], np.arange(300.0, 660, 45)),
    ),
    "a region across Greenwich": (regular_grid(10, True, 20, 80, -40, 60), regular_grid(15, True, 40, 60, -10, 40)),
    "a region across the date line": (
        regular_grid(10, True, -80, 0, 130, -140),
        regular_grid(15, False, -60, -20, -190, -160),
    ),
}


@pytest.mark.parametrize("seed", range(60))
def test_area_means_of_a_globe_are_kept_whatever_the_grids(seed):
    generator = np.random.default_rng(seed)
    source, target = any_globe(generator), any_globe(generator)
    values = noise(source, seed)
    found = area_mean(between(source, target, "conservative")(values), target)
    assert abs(found - area_mean(values, source)) < 1e-6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(20))
def test_constants_stay_constant_up_to_the_poles(method, seed):
    generator = np.random.default_rng(seed)
    source, target = any_globe(generator), any_globe(generator)
    found = between(source, target, method)(np.full(source.shape, 101325.0, np.float32))
    np.testing.assert_allclose(found, 101325.0, rtol=1e-6)


@pytest.mark.parametrize("pair", PAIRS)
def test_conservative_weights_are_the_overlaps_of_cells(pair):
    source, target = PAIRS[pair]
    expected = np.einsum("ijkm,km->ij", brute_force(source, target), noise(source))
    np.testing.assert_allclose(between(source, target, "conservative")(noise(source)), expected, atol=1e-6)


def test_a_cell_of_a_row_on_the_pole_is_the_cap():
    source, target = regular_grid(10, True), regular_grid(60, False)
    values = np.zeros(source.shape, np.float32)
    values[-1] = 1  # the cap north of 85 N; the target's cells there reach down to 60 N
    found = between(source, target, "conservative")(values)[-1]
    share = (1 - np.sin(np.deg2rad(85))) / (1 - np.sin(np.deg2rad(30)))
    np.testing.assert_allclose(found, share, rtol=1e-6)


def test_a_globe_whose_last_row_is_off_the_pole_still_reaches_the_pole():
    source = Grid(regular_grid(10, False).latitude[::2], np.arange(0.0, 360, 20))  # -85, -65 ... 75
    values = np.zeros(source.shape, np.float32)
    values[-1] = 1
    share = (1 - np.sin(np.deg2rad(65))) / (1 - np.sin(np.deg2rad(30)))
    np.testing.assert_allclose(between(source, regular_grid(60, False), "conservative")(values)[-1], share, rtol=1e-6)


def test_a_negligible_polar_cap_may_be_missing():
    source = Grid(regular_grid(1, True).latitude[1:], regular_grid(10, True).longitude)  # as 720 rows of ERA5's 721
    found = between(source, regular_grid(30, False), "conservative")(np.ones(source.shape))
    np.testing.assert_allclose(found, 1, atol=1e-6)


def test_cells_with_coinciding_edges_have_no_overlap_from_rounding():
    regrid = between(regular_grid(0.6, False), regular_grid(1.8, False), "conservative")
    assert set(np.diff(regrid.latitude.indptr)) == set(np.diff(regrid.longitude.indptr)) == {3}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pair", PAIRS)
def test_a_nan_spreads_only_to_targets_in_which_it_has_a_weight(method, pair):
    source, target = PAIRS[pair]
    regrid = between(source, target, method)
    for seed in range(10):
        place = tuple(np.random.default_rng(seed).integers(source.shape))
        values, alone = noise(source, seed), np.zeros(source.shape, np.float32)
        values[place], alone[place] = np.nan, 1
        touched = regrid(alone)
        np.testing.assert_array_equal(np.isnan(regrid(values)), touched > 0)
        if method == "conservative":
            np.testing.assert_array_equal(touched > 0, brute_force(source, target)[:, :, *place] > 1e-7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("turn", [0.0, -360.0, 720.0])
def test_the_same_grid_gives_the_same_bytes(method, turn):
    grid = regular_grid(1.5, True, 30, 60, -30, 20)
    regrid = between(grid, Grid(grid.latitude[::-1], grid.longitude + turn), method)
    values = noise(grid)
    np.testing.assert_array_equal(regrid(values), values[::-1])
    rows, columns = regrid.selection
    np.testing.assert_array_equal(values[np.ix_(rows, columns)], values[::-1])


def test_targets_at_source_points_are_a_selection():
    source = Grid(regular_grid(1.5, True).latitude[::-1], (regular_grid(1.5, True).longitude + 180) % 360 - 180)
    target = regular_grid(3, True, 30, 60, -30, 20)
    values, regrid = noise(source), between(source, target, "bilinear")
    rows, columns = regrid.selection
    np.testing.assert_array_equal(source.latitude[rows], target.latitude)
    np.testing.assert_array_equal(source.longitude[columns], target.longitude)
    np.testing.assert_array_equal(regrid(values), values[np.ix_(rows, columns)])
    assert between(source, target, "conservative").selection is None
    last_row_and_pole = Grid(np.array([75.0, 90.0]), regular_grid(30, False).longitude)
    assert between(regular_grid(30, False), last_row_and_pole, "bilinear").selection is None


def test_coordinates_in_single_precision_are_the_points_they_stand_for():
    target = regular_grid(0.1, True, 30, 33, 355, 2)
    source = Grid(np.float32(np.arange(340, 289, -1) / 10), np.float32(np.arange(-52, 25) / 10 % 360))
    rows, columns = between(source, target, "bilinear").selection
    np.testing.assert_allclose(source.latitude[rows], target.latitude, atol=1e-5)
    np.testing.assert_allclose(source.longitude[columns], target.longitude % 360, atol=1e-4)


@pytest.mark.parametrize("seed", range(10))
def test_bilinear_is_exact_for_what_is_linear_in_latitude_and_longitude(seed):
    generator = np.random.default_rng(seed)
    source = regular_grid(10, True, -70, 80, -60, 90)
    target = Grid(np.sort(generator.uniform(-70, 80, 9)), np.sort(generator.uniform(-60, 90, 7)))
    a, b, c, d = generator.standard_normal(4) / (1, 90, 90, 8100)
    plane = lambda grid: (
        a + b * grid.latitude[:, None] + c * grid.longitude + d * np.outer(grid.latitude, grid.longitude)
    )
    found = between(source, target, "bilinear")(plane(source))
    np.testing.assert_allclose(found, plane(target), atol=1e-6)


def test_bilinear_by_hand_between_points_round_the_globe_and_towards_the_pole():
    source = Grid(np.array([-67.5, -22.5, 22.5, 67.5]), np.array([0.0, 90.0, 180.0, 270.0]))
    values = np.zeros(source.shape, np.float32)
    values[1, 0], values[2, 0], values[2, 3], values[3] = 1, 2, 10, (4, 8, 0, 0)
    target = Grid(np.array([0.0, 22.5, 75.0, 90.0]), np.array([-45.0, 0.0, 22.5, 90.0]))
    expected = [
        [3.25, 1.5, 1.125, 0.0],  # half of the rows of 1 and of 2; halves, then quarters, in longitude
        [6.0, 2.0, 1.5, 0.0],  # on a row: between 10 and 2, a turn apart
        [7 / 3, 11 / 3, 13 / 3, 19 / 3],  # a third of the way from the row 2, 4, 5, 8 to its zonal mean, 3
        [3.0, 3.0, 3.0, 3.0],
    ]
    np.testing.assert_allclose(between(source, target, "bilinear")(values), expected, rtol=1e-6)
    upside_down = between(source, flipped(target), "bilinear")(values)
    np.testing.assert_allclose(upside_down, expected[::-1], rtol=1e-6)
    southern = between(source, Grid(-target.latitude, target.longitude), "bilinear")(values[::-1])
    np.testing.assert_allclose(southern, expected, rtol=1e-6)


def wave(latitude, longitude):
    """A sum of spherical harmonics that crosses the poles: sin(lat), cos(lat) cos(lon), cos(lat)**2 sin(2 lon)."""
    y, x = np.deg2rad(latitude)[:, None], np.deg2rad(longitude)
    return np.sin(y) + np.cos(y) * np.cos(x) + np.cos(y) ** 2 * np.sin(2 * x)


def mean_waves(grid):
    """Means over cells of `wave`, from its integral in sin(lat) and in lon."""
    y, x = (np.deg2rad(edges) for edges in grid.cell_edges)
    s, width = np.sin(y), np.diff(x)
    first = np.outer(np.diff((y + s * np.cos(y)) / 2), np.diff(np.sin(x)))  # cos(lat) d sin(lat) = cos(lat)**2 d lat
    second = np.outer(np.diff(s - s**3 / 3), np.diff(-np.cos(2 * x) / 2))
    return (np.outer(np.diff(s**2 / 2), width) + first + second) / np.outer(np.diff(s), width)


@pytest.mark.parametrize("poles", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_the_error_shrinks_with_the_square_of_the_source_spacing(method, poles):
    target = regular_grid(20, True) if method == "bilinear" else regular_grid(20, False)
    target = Grid(target.latitude, target.longitude + 1.7)
    expected = mean_waves(target) if method == "conservative" else wave(target.latitude, target.longitude)
    spacings = np.array([11.25, 7.2, 4.5, 2.5, 1.2, 0.75])
    error = []
    for spacing in spacings:
        source = regular_grid(spacing, poles)
        found = between(source, target, method)(wave(source.latitude, source.longitude))
        error.append(np.sqrt(np.mean((found - expected) ** 2)))
    order = np.polyfit(np.log(spacings), np.log(error), 1)[0]
    assert 1.75 < order < 2.4, error
    assert error[-1] < 2e-4


@pytest.mark.parametrize("method", METHODS)
def test_equivalent_grids_give_the_same_result(method):
    source, target = regular_grid(10, False), regular_grid(7.2, True)
    values, expected = noise(source), between(source, target, method)(noise(source))
    np.testing.assert_allclose(between(flipped(source), target, method)(values[::-1]), expected, atol=1e-6)
    np.testing.assert_allclose(between(source, flipped(target), method)(values), expected[::-1], atol=1e-6)
    for shift in (1, 17, 18, 30):
        for count in (lambda x: x % 360, lambda x: (x + 180) % 360 - 180, lambda x: x + 720):
            turned = Grid(source.latitude, count(np.roll(source.longitude, shift)))
            found = between(turned, target, method)(np.roll(values, shift, -1))
            np.testing.assert_allclose(found, expected, atol=1e-6)
            turned = Grid(target.latitude, count(np.roll(target.longitude, shift)))
            found = between(source, turned, method)(values)
            np.testing.assert_allclose(found, np.roll(expected, shift, -1), atol=1e-6)
    mirrored = between(Grid(source.latitude, source.longitude[::-1]), target, method)(values[:, ::-1])
    np.testing.assert_allclose(mirrored, expected, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("west, east", [(150, -150), (330, 40), (-30, 40), (-170, -100), (200, 300)])
def test_a_region_gets_the_values_of_the_globe_from_a_globe_or_a_wider_region(method, west, east):
    source, globe, region = regular_grid(4, True), regular_grid(10, True), regular_grid(10, True, -20, 50, west, east)
    values = noise(source)
    rows = [np.flatnonzero(np.isclose(globe.latitude, x))[0] for x in region.latitude]
    columns = [np.flatnonzero(np.isclose(globe.longitude, x % 360))[0] for x in region.longitude]
    expected = between(source, globe, method)(values)[np.ix_(rows, columns)]
    np.testing.assert_allclose(between(source, region, method)(values), expected, atol=1e-6)
    wider = regular_grid(4, True, -40, 70, region.longitude[0] - 12, region.longitude[-1] + 12)
    cut = between(source, wider, "bilinear").selection
    for turn in (-360, 0, 360):
        turned = Grid(wider.latitude, wider.longitude + turn)
        np.testing.assert_allclose(between(turned, region, method)(values[np.ix_(*cut)]), expected, atol=1e-6)


def test_a_region_that_is_too_small_is_refused_with_its_extent():
    source = regular_grid(1, True, 30, 60, -10, 40)
    lacks = "raw.zarr covers {} in {} from {} degrees, and the domain needs {}; download a wider region or"
    for method, box, words in (
        ("conservative", (30, 60, 0, 30), ("cells", "latitude", "29.5 to 60.5", "29 to 61")),
        ("conservative", (40, 50, 0, 40), ("cells", "longitude", "-10.5 to 40.5", "-1 to 41")),
        ("bilinear", (20, 50, 0, 40), ("points", "latitude", "30 to 60", "20 to 50")),
        ("bilinear", (40, 50, -20, 40), ("points", "longitude", "-10 to 40", "-20 to 40")),
        ("bilinear", (40, 50, 160, 200), ("points", "longitude", "-10 to 40", "160 to 200")),
    ):
        with pytest.raises(UserError, match=lacks.format(*words)):
            between(source, regular_grid(2, True, *box), method)
    belt = regular_grid(2, True, -60, 60)
    for method in METHODS:
        with pytest.raises(UserError, match="latitude"):
            between(belt, regular_grid(2, True), method)


def test_a_repeated_meridian_and_an_unknown_method_are_refused():
    twice = Grid(regular_grid(30, True).latitude, np.arange(0.0, 361, 30))
    with pytest.raises(UserError, match="more than the full circle; remove"):
        between(twice, regular_grid(30, True), "conservative")
    with pytest.raises(ValueError, match="'nearest'; expected conservative or bilinear"):
        between(regular_grid(30, True), regular_grid(30, True), "nearest")
    with pytest.raises(ValueError, match=r"\(7, 12\)"):
        between(regular_grid(30, True), regular_grid(30, True), "bilinear")(np.zeros((6, 12)))


@pytest.mark.parametrize("method", METHODS)
def test_blocks_change_no_bit_and_leading_axes_stay(method, monkeypatch):
    source, target = regular_grid(10, False), regular_grid(7.2, True)
    values = np.random.default_rng(0).standard_normal((5, 7, *source.shape)).astype(np.float32)
    whole = between(source, target, method)(values)
    assert whole.shape == (5, 7, *target.shape) and whole.dtype == np.float32
    monkeypatch.setattr(regridding, "BLOCK", 3 * 4 * np.prod(target.shape))
    assert between(source, target, method)._stack.shape[1] == 3 * source.shape[0]
    np.testing.assert_array_equal(between(source, target, method)(values), whole)
    for place in np.ndindex(5, 7):
        np.testing.assert_array_equal(between(source, target, method)(values[place]), whole[place])
    transposed = np.ascontiguousarray(values.swapaxes(-1, -2)).swapaxes(-1, -2)  # as in WeatherBench 2
    np.testing.assert_array_equal(between(source, target, method)(transposed.astype(float)), whole)


def test_rounding_stays_that_of_single_precision():
    source, target = regular_grid(1.5, True), regular_grid(5.625, False)
    values = (5e5 + 1e3 * noise(source)).astype(np.float32)
    regrid = between(source, target, "conservative")
    exact = regrid.latitude.toarray().astype(float) @ values.astype(float) @ regrid.longitude.toarray().astype(float).T
    assert np.abs(regrid(values) / exact - 1).max() < 5e-7


def test_conservative_agrees_with_xarray_regrid_where_edges_coincide():
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("xarray_regrid")
    source, target = regular_grid(3, False), regular_grid(9, False)
    source, target = (Grid(grid.latitude, grid.longitude + x / 2) for grid, x in ((source, 3), (target, 9)))
    coordinates = [{"latitude": grid.latitude, "longitude": grid.longitude} for grid in (source, target)]
    field = xarray.DataArray(noise(source).astype(float), coordinates[0], ("latitude", "longitude"))
    theirs = field.regrid.conservative(xarray.Dataset(coords=coordinates[1]), latitude_coord="latitude", skipna=False)
    found = between(source, target, "conservative")(noise(source))
    np.testing.assert_allclose(
        found[1:-1], theirs.values[1:-1], atol=1e-6
    )  # it adds rows on the poles, which we do not


def test_the_regular_grids_of_the_archives():
    weatherbench = regular_grid(5.625, False)
    np.testing.assert_array_equal(weatherbench.latitude, np.arange(32) * 5.625 - 87.1875)
    np.testing.assert_array_equal(weatherbench.longitude, np.arange(64) * 5.625)
    era5 = regular_grid(0.25, True)
    np.testing.assert_array_equal(era5.latitude, np.linspace(-90, 90, 721))
    np.testing.assert_array_equal(era5.longitude, np.arange(1440) * 0.25)
    assert regular_grid(1.5, True).shape == (121, 240)
    assert regular_grid(36, True).latitude.tolist() == [-90, -54, -18, 18, 54, 90]
    assert regular_grid(0.1, True).latitude[1200] == 30.0 and regular_grid(0.1, True).longitude[3] == 0.3
    assert all(regular_grid(spacing, poles).is_global for spacing in SPACINGS for poles in (True, False))


def test_a_box_holds_the_points_on_and_inside_its_bounds():
    def box(*bounds):
        grid = regular_grid(10, True, 30, 50, *bounds)
        assert grid.latitude.tolist() == [30, 40, 50] and set(np.diff(grid.longitude)) <= {10}
        return grid.longitude[0], grid.longitude[-1]

    assert box(-10, 40) == (-10, 40)
    assert box(-14, 44) == (-10, 40)
    assert box(0, 355) == (0, 350)
    assert box(200, 300) == (200, 300)
    assert box(170, -170) == (170, 190)  # across the date line
    assert box(350, 20) == (-10, 20)  # across Greenwich
    assert box(0, 360) == (0, 350) and box(-180, 180) == (-180, 170)  # a whole turn, once
    assert box(10, 10) == (10, 10)
    assert regular_grid(10, False, 30, 50, -10, 40).latitude.tolist() == [35, 45]
    assert regular_grid(10, True, -100, 100).latitude.tolist() == regular_grid(10, True).latitude.tolist()


def test_a_spacing_that_fits_no_globe_and_an_empty_box_are_refused():
    for spacing in (7.0, 0.0, -1.5, 200.0):
        with pytest.raises(UserError, match=f"spacing of {spacing:g} degrees; choose one that divides 180"):
            regular_grid(spacing, True)
    with pytest.raises(UserError, match="10 degrees has no points from 41 to 49 N"):
        regular_grid(10, True, 41, 49)
    with pytest.raises(UserError, match="and 1 to 9 E; choose a wider box"):
        regular_grid(10, True, 30, 50, 1, 9)


@pytest.mark.parametrize("pressures", [[1000.0, 850, 500, 250], [250.0, 500, 850, 1000], [500.0, 1000, 250, 850]])
def test_levels_interpolate_exactly_what_is_linear_in_the_logarithm_of_pressure(pressures):
    pressures = np.array(pressures)
    for wanted in (251.0, 300.0, 700.0, 925.0):
        weights = level_weights(pressures, wanted)
        assert sum(weight * np.log(pressures[index]) for index, weight in weights) == pytest.approx(np.log(wanted))
        assert sum(weight for _, weight in weights) == pytest.approx(1) and all(0 < weight < 1 for _, weight in weights)
        low, high = sorted(pressures[index] for index, _ in weights)
        assert low < wanted < high and not any(low < pressure < high for pressure in pressures)
    assert level_weights(pressures, 850.0) == [(list(pressures).index(850), 1.0)]
    assert level_weights(pressures, 1000.0) == [(list(pressures).index(1000), 1.0)]
    for outside in (100.0, 1013.0, np.nan):
        with pytest.raises(ValueError, match="250 to 1000 hPa"):
            level_weights(pressures, outside)
