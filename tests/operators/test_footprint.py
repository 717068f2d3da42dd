"""Means over an area, against averages by hand and PyTorch's own resampling."""

import numpy as np
import pandas as pd
import pytest
import torch

from hindsight.fields.grid import Grid
from hindsight.operators import footprint
from hindsight.operators.footprint import observation_operator
from hindsight.operators.interpolate import bilinear
from hindsight.operators.linear import LinearObservations

TILE = Grid((np.arange(8) + 0.5) / 8 - 0.5, (np.arange(12) + 0.5) / 8 - 0.5)
GLOBE = Grid(np.linspace(-87.5, 87.5, 36), np.arange(0, 360, 10.0))
FIELD = np.random.default_rng(0).standard_normal(TILE.shape)


def middles(rows, columns, grid=TILE):
    """Of blocks side by side, row by row."""
    block = lambda axis, count: axis[: len(axis) // count * count].reshape(-1, count).mean(1)
    north, east = np.meshgrid(block(grid.latitude, rows), block(grid.longitude, columns), indexing="ij")
    return north.ravel(), east.ravel()


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (2, 3), (1, 1), (3, 4), (8, 12)])
def test_a_mean_is_that_of_all_points_of_its_block(rows, columns):
    found = footprint.block_mean(TILE, *middles(rows, columns), rows, columns).apply(FIELD.ravel())
    down, across = 8 // rows, 12 // columns
    expected = [
        np.mean([FIELD[r * rows + i, c * columns + j] for i in range(rows) for j in range(columns)])
        for r in range(down)
        for c in range(across)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-14)


@pytest.mark.parametrize("factor", [2, 4])
def test_the_centre_is_bilinear_resampling_without_smoothing(factor):
    at = middles(factor, factor)
    found = footprint.block_mean(TILE, *at, factor, factor, "centre").apply(FIELD.ravel())
    resampled = torch.nn.functional.interpolate(
        torch.tensor(FIELD)[None, None], scale_factor=1 / factor, mode="bilinear", align_corners=False, antialias=False
    )
    np.testing.assert_allclose(found, resampled.flatten(), atol=1e-12)
    assert factor == 2 or np.abs(found - footprint.block_mean(TILE, *at, 4, 4).apply(FIELD.ravel())).max() > 0.1


def test_the_centre_of_an_odd_block_is_its_middle_point():
    found = footprint.block_mean(TILE, TILE.latitude[[2]], TILE.longitude[[4]], 3, 5, "centre")
    assert found.point.tolist() == [[2 * 12 + 4]] and found.weight.tolist() == [[1.0]]


def test_the_middle_of_a_block_comes_first():
    found = footprint.block_mean(TILE, *middles(4, 4), 4, 4)
    middle = footprint.block_mean(TILE, *middles(4, 4), 4, 4, "centre")
    np.testing.assert_array_equal(np.sort(found.point[:, :4]), np.sort(middle.point))


def test_the_globe_is_periodic():
    field = np.arange(36.0) + 100 * np.arange(36.0)[:, None]  # row 18 is at 2.5 N; 350 E holds 35, 0 E holds 0
    found = footprint.block_mean(GLOBE, np.array([2.5, 2.5, 2.5]), np.array([355.0, -5.0, 715.0]), 1, 4)
    np.testing.assert_allclose(found.apply(field.ravel()), 1800 + (34 + 35 + 0 + 1) / 4)


def test_longitudes_may_be_counted_from_anywhere():
    north, east = middles(4, 4)
    here = footprint.block_mean(TILE, north, east, 4, 4).point
    np.testing.assert_array_equal(here, footprint.block_mean(TILE, north, east % 360, 4, 4).point)


@pytest.mark.parametrize("west", [0.0, -170.0])
def test_a_block_lies_anywhere_in_a_region_wider_than_half_the_globe_but_for_rounding(west):
    wide = Grid(np.arange(-60.0, 61, 10), west + np.arange(0, 301, 10.0))
    field = np.random.default_rng(0).standard_normal(wide.shape)
    middle = np.array([west + 5.0, west + 285.0, west + 285.0 - 360])
    found = footprint.block_mean(wide, np.full(3, 5.0 - 3e-5), middle + 3e-5, 2, 2).apply(field.ravel())
    expected = [field[6:8, c : c + 2].mean() for c in (0, 28, 28)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("latitude", "longitude", "says"),
    [
        (0.0, 1.0, "lies outside"),
        (0.5, 0.0, "lies outside"),
        (0.03, 0.0, "not at the middle"),
        (0.0, 0.03, "not at the mid"),
    ],
)
def test_a_block_that_is_not_on_the_grid_is_refused(latitude, longitude, says):
    with pytest.raises(ValueError, match=says):
        footprint.block_mean(TILE, np.array([latitude]), np.array([longitude]), 4, 4)


def table(*rows):
    return pd.DataFrame(rows, columns=["latitude", "longitude", "footprint"])


def test_the_footprint_column_defines_the_block_means():
    found = observation_operator(
        TILE, table((0.1, 0.2, ""), (0.0, 0.0, "mean 4x2"), (0.0, 0.25, "centre 4x4"), (-0.3, 0.7, ""))
    )
    values = found.apply(FIELD.ravel())
    assert found.point.shape == (4, 8) and found.weight.sum(1) == pytest.approx(1)
    points = bilinear(TILE, np.array([0.1, -0.3]), np.array([0.2, 0.7])).apply(FIELD.ravel())
    np.testing.assert_allclose(values, [points[0], FIELD[2:6, 3:5].mean(), FIELD[3:5, 5:7].mean(), points[1]])


def test_a_table_without_footprints_holds_point_values():
    rows = table((0.1, 0.2, ""), (-0.3, 0.7, ""))
    old, new = (
        observation_operator(TILE, rows.drop(columns="footprint")),
        observation_operator(TILE, rows),
    )
    np.testing.assert_array_equal(old.point, new.point)
    np.testing.assert_array_equal(old.weight, bilinear(TILE, rows["latitude"], rows["longitude"]).weight)
    assert observation_operator(TILE, rows.iloc[:0]).point.shape == (0, 4)


@pytest.mark.parametrize("shape", ["mean", "median 4x4", "mean 4", "mean 4x4 ", "4x4"])
def test_an_unknown_footprint_is_refused(shape):
    with pytest.raises(ValueError, match="has the footprint"):
        observation_operator(TILE, table((0.0, 0.0, shape)))


def test_the_adjoint_passes_the_dot_product_test():
    """Of blocks and places together, padded to one number of points."""
    found = observation_operator(TILE, table((0.0, 0.0, "mean 4x4"), (0.1, 0.2, ""), (0.0, 0.25, "centre 4x4")))
    generator = torch.Generator().manual_seed(0)
    tensor = lambda array: torch.tensor(np.stack([array] * 2))
    blank = torch.zeros(2, 3, dtype=torch.double)
    seen = LinearObservations(tensor(found.point), tensor(found.weight), blank, blank + 1, blank + 1)
    x = torch.randn(5, 2, FIELD.size, generator=generator, dtype=torch.double)
    y = torch.randn(5, 2, 3, generator=generator, dtype=torch.double)
    torch.testing.assert_close((seen.forward(x) * y).sum(), (x * seen.adjoint(y, FIELD.size)).sum())
    torch.testing.assert_close(seen.forward(x)[0, 0], torch.tensor(found.apply(x[0, 0].numpy())))
