"""Fewer frames and points: means over boxes are those of their areas, whatever the cut into shards."""

import numpy as np
import pytest

from hindsight.archive.reduction import FINE, Reduction, ladder
from hindsight.fields.grid import Grid

GRIDS = [
    Grid(np.arange(-87.5, 90, 5), np.arange(0, 360, 7.5)),
    Grid(np.linspace(-90, 90, 13), np.arange(-20, 15, 1.5)),
    Grid(np.zeros(1), np.arange(0, 360, 9.0)),
]
generator = np.random.default_rng(0)


def areas(edges):
    """Areas of boxes on the sphere, (h, w)."""
    south_north, west_east = edges
    return np.diff(np.sin(np.deg2rad(south_north)))[:, None] * np.diff(west_east)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("box", [1, 2, 3, 5, 100])
def test_means_over_boxes_conserve_the_mean_over_the_area(grid, box):
    values = generator.standard_normal((4, *grid.shape)) + 3
    reduction = Reduction(box=box)
    means, weights = reduction.means(values, grid), areas(reduction.edges(grid))
    assert means.shape[1:] == weights.shape
    np.testing.assert_allclose(
        (means * weights).sum((1, 2)) / weights.sum(), (values * grid.weights).mean((1, 2)), rtol=1e-12
    )


@pytest.mark.parametrize("grid", GRIDS)
def test_a_mean_is_that_of_its_own_points(grid):
    values, box = generator.standard_normal(grid.shape), 4
    found = Reduction(box=box).means(values, grid)
    for row, column in np.ndindex(found.shape):
        part = np.s_[row * box : (row + 1) * box, column * box : (column + 1) * box]
        assert np.isclose(found[row, column], np.average(values[part], weights=grid.weights[part]))


def test_without_boxes_values_and_edges_are_those_of_the_grid():
    grid = GRIDS[1]
    values = generator.standard_normal(grid.shape)
    np.testing.assert_allclose(Reduction().means(values, grid), values, rtol=1e-14)
    for found, expected in zip(Reduction().edges(grid), grid.cell_edges):
        np.testing.assert_array_equal(found, expected)


def test_a_box_with_a_missing_value_is_missing():
    values = np.zeros((1, *GRIDS[0].shape))
    values[0, 2, 5] = np.nan
    assert np.argwhere(np.isnan(Reduction(box=2).means(values, GRIDS[0]))).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("length", [1, 3, 10, 64])
@pytest.mark.parametrize("stride", [1, 2, 4, 16])
def test_kept_frames_do_not_depend_on_the_cut_into_shards(length, stride):
    frames = np.arange(50)
    parts = [frames[Reduction(stride).kept(k, min(length, 50 - k))] for k in range(0, 50, length)]
    np.testing.assert_array_equal(np.concatenate(parts), frames[::stride])


@pytest.mark.parametrize(("frames", "shape"), [(1, (1, 1)), (360, (24, 48)), (90_000, (1, 40)), (5, (721, 1440))])
def test_each_reduction_is_coarser_than_the_one_before_and_the_last_is_one_value(frames, shape):
    """Measured by the number of values per step."""
    size = lambda one: -(-frames // one.stride) * np.prod([-(-length // one.box) for length in shape]) / one.fine
    sizes = [size(one) for one in ladder(frames, shape)]
    assert next(ladder(frames, shape)) == Reduction() and (np.diff(sizes) < 0).all()
    assert np.isclose(sizes[0], frames * np.prod(shape) / FINE[0]) and np.isclose(sizes[-1], 1 / FINE[-1])


def test_long_archives_lose_frames_and_fine_ones_points():
    assert list(ladder(7300, (21, 24)))[2] == Reduction(2, 1, FINE[-1])
    assert list(ladder(60, (181, 360)))[2] == Reduction(1, 2, FINE[-1])


def test_points_that_are_not_covered_do_not_count_in_the_mean_of_a_box():
    covered = np.ones(GRIDS[1].shape, bool)
    covered[:2, :3] = False
    grid = Grid(GRIDS[1].latitude, GRIDS[1].longitude, covered)
    values = generator.standard_normal(grid.shape)
    found = Reduction(box=2).means(np.where(covered, values, np.nan), grid)
    assert np.argwhere(np.isnan(found)).tolist() == [[0, 0]]
    part = np.s_[0:2, 2:4]
    assert np.isclose(found[0, 1], np.average(values[part], weights=grid.weights[part]))
    assert np.isclose(found[0, 1], np.average(values[:2, 3], weights=GRIDS[1].weights[:2, 3]))
