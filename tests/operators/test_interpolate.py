"""Interpolation and its adjoint."""

import numpy as np
import pytest
import torch

from hindsight.fields.grid import Grid
from hindsight.operators.interpolate import Observed, bilinear

REGION = Grid(np.linspace(30, 60, 7), np.linspace(-20, 14.5, 9))
GLOBE = Grid(np.linspace(-87.5, 87.5, 36), np.arange(0, 360, 10.0))


def test_a_bilinear_field_is_interpolated_exactly():
    latitude, longitude = np.meshgrid(REGION.latitude, REGION.longitude, indexing="ij")
    field = lambda a, b: 3 + 2 * a - b + 0.1 * a * b
    lat, lon = np.random.default_rng(0).uniform(30, 60, 50), np.random.default_rng(1).uniform(-20, 14.5, 50)
    found = bilinear(REGION, lat, lon).numpy(field(latitude, longitude).ravel())
    np.testing.assert_allclose(found, field(lat, lon), rtol=1e-12)


def test_grid_points_give_their_own_values():
    field = np.random.default_rng(0).standard_normal(REGION.shape)
    found = bilinear(REGION, REGION.latitude[[0, 3, 6]], REGION.longitude[[0, 4, 8]]).numpy(field.ravel())
    np.testing.assert_allclose(found, field[[0, 3, 6], [0, 4, 8]], atol=1e-9)


@pytest.mark.parametrize("longitude", [355.0, -5.0, 715.0])
def test_the_globe_goes_round(longitude):
    field = np.tile(np.arange(36.0), (36, 1))  # 350 E holds 35, 0 E holds 0
    assert np.isclose(bilinear(GLOBE, np.array([0.0]), np.array([longitude])).numpy(field.ravel())[0], 17.5)


def test_longitudes_may_be_given_in_any_turn():
    field = np.random.default_rng(0).standard_normal(REGION.shape).ravel()
    here = bilinear(REGION, np.array([45.0]), np.array([-11.0])).numpy(field)
    assert np.allclose(here, bilinear(REGION, np.array([45.0]), np.array([349.0])).numpy(field))


def test_a_place_outside_is_refused():
    with pytest.raises(ValueError, match="outside"):
        bilinear(REGION, np.array([61.0]), np.array([0.0]))


def test_the_adjoint_passes_the_dot_product_test():
    generator = torch.Generator().manual_seed(0)
    size, shape = 40, (3, 5)
    point = torch.randint(0, size, (*shape, 4), generator=generator)
    weight = torch.rand(*shape, 4, generator=generator)
    present = (torch.rand(shape, generator=generator) > 0.3).float()
    seen = Observed(point, weight.double(), torch.zeros(shape), torch.ones(shape), present.double())
    x = torch.randn(2, 3, size, generator=generator, dtype=torch.double)
    y = torch.randn(2, *shape, generator=generator, dtype=torch.double)
    torch.testing.assert_close((seen.forward(x) * y).sum(), (x * seen.adjoint(y, size)).sum())


def test_the_operator_of_a_frame_as_a_matrix():
    """Row by row what `forward` does and, turned over, what the adjoint does; padding is a row of nothing."""
    generator = torch.Generator().manual_seed(0)
    size, shape = 12, (3, 9)  # few points, so that the four of a row are often the same one
    point = torch.randint(0, size, (*shape, 4), generator=generator)
    point[0, 0] = 5
    weight, present = torch.rand(*shape, 4, generator=generator), (torch.rand(shape, generator=generator) > 0.3).float()
    seen = Observed(point, weight, torch.zeros(shape), torch.ones(shape), present)
    x, y = torch.randn(2, 3, size, generator=generator), torch.randn(2, *shape, generator=generator)
    forward, adjoint = seen.forward(x), seen.adjoint(y, size)
    for t in range(3):
        expected = np.zeros((9, size))
        for n in range(9):
            for k in range(4):
                expected[n, point[t, n, k]] += float(weight[t, n, k] * present[t, n])
        found = seen.rows(t, size)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        torch.testing.assert_close(x[:, t] @ found.T, forward[:, t])
        torch.testing.assert_close(y[:, t] @ found, adjoint[:, t])
    assert found[present[2] == 0].abs().max() == 0 and seen.rows(0, size)[0].count_nonzero() <= 1
