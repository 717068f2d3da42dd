"""Interpolation and its adjoint."""

import dataclasses

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


RING = Grid(np.zeros(1), np.arange(0, 360, 9.0))


def test_on_a_ring_only_its_two_neighbours_make_a_value():
    field = np.random.default_rng(0).standard_normal(40)
    places = np.array([0.0, 27.0, 30.0, 355.5, -4.5, 715.5])
    found = bilinear(RING, np.zeros(6), places)
    around = np.append(field, field[0])
    expected = np.interp(places % 360, np.arange(0, 361, 9.0), around)
    np.testing.assert_allclose(found.numpy(field), expected, rtol=1e-12)
    np.testing.assert_allclose(found.weight.sum(1), 1)
    with pytest.raises(ValueError, match="1.0 lies outside 0.0 … 0.0"):
        bilinear(RING, np.array([1.0]), np.array([0.0]))


def test_on_a_meridian_longitudes_are_its_own():
    meridian, field = Grid(np.linspace(-60, 60, 5), np.array([10.0])), np.arange(5.0) ** 2
    found = bilinear(meridian, np.array([-60.0, 0.0, 45.0]), np.array([10.0, 370.0, -350.0]))
    np.testing.assert_allclose(found.numpy(field), [0.0, 4.0, 12.5])


def scattered(frames=4, most=5, size=30, counts=(2, 0, 5, 3), seed=0):
    """Observations packed to the front of each frame, rubbish in the padding."""
    generator = torch.Generator().manual_seed(seed)
    shape = (frames, most)
    present = (torch.arange(most) < torch.tensor(counts)[:, None]).float()
    point = torch.randint(0, size, (*shape, 4), generator=generator)
    weight, value, error = (torch.rand(*s, generator=generator) + 0.1 for s in ((*shape, 4), shape, shape))
    return Observed(point, weight, value, error, present)


@pytest.mark.parametrize("view", [slice(0, 4), slice(0, 2), slice(1, 2), slice(3, 4), slice(1, 4)])
def test_the_observations_of_some_frames_are_those_of_a_table_that_has_no_other(view):
    """Padded as far as they need: what other frames have leaves no trace, and nothing is lost."""
    whole, x = scattered(), torch.randn(2, 4, 30)
    part, most = whole.frames(view), max(1, int(whole.present[view].sum(1).max()))
    assert part.value.shape == (view.stop - view.start, most)
    torch.testing.assert_close(part.forward(x[:, view]), whole.forward(x)[:, view, :most])
    assert whole.present[view, most:].sum() == 0
    y = torch.randn(2, 4, 5)
    torch.testing.assert_close(part.adjoint(y[:, view, :most], 30), whole.adjoint(y, 30)[:, view])
    for name in ("value", "error", "present", "point", "weight"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[view, :most])


def test_what_a_frame_is_known_by_does_not_depend_on_frames_out_of_view():
    """The key of its places is the same beside frames that have fewer observations, and so padded less."""
    many = scattered()
    few = Observed(*(value[:2, :2] for value in vars(many).values()))
    for t in range(2):
        assert many.places(t) != few.places(t)
        assert many.frames(slice(0, 2)).places(t) == few.frames(slice(0, 2)).places(t)


def test_the_adjoint_of_a_part_passes_the_dot_product_test():
    part = scattered().frames(slice(1, 3))
    x, y = torch.randn(3, 2, 30), torch.randn(3, *part.value.shape)
    torch.testing.assert_close((part.forward(x) * y).sum(), (x * part.adjoint(y, 30)).sum())


def test_the_squared_length_of_each_row_is_that_of_the_operator():
    seen = scattered()
    seen = dataclasses.replace(seen, point=torch.stack([torch.randperm(30)[:4] for _ in range(20)]).view(4, 5, 4))
    for t in range(4):
        torch.testing.assert_close(seen.squared()[t], seen.rows(t, 30).square().sum(1))


def test_observations_of_values_as_values_and_precisions_by_brute_force():
    """Weights other than 1, two observations of one value with unequal errors, and padding that points at something."""
    seen, size = scattered(), 6
    weight = torch.zeros(4, 5, 4)
    generator = torch.Generator().manual_seed(1)
    weight[..., 2] = torch.rand(4, 5, generator=generator) + 0.5  # the one that counts need not come first
    point = torch.randint(0, size, (4, 5, 4), generator=generator)
    point[2, :3, 2] = 4  # thrice
    seen = dataclasses.replace(seen, point=point, weight=weight)
    value, precision = seen.on_values(size)
    for t in range(4):
        for place in range(size):
            total, pull = 0.0, 0.0
            for n in range(5):
                if seen.present[t, n] and point[t, n, 2] == place:
                    trust = (weight[t, n, 2] / seen.error[t, n]).item() ** 2
                    total, pull = total + trust, pull + trust * (seen.value[t, n] / weight[t, n, 2]).item()
            assert precision[t, place].item() == pytest.approx(total, rel=1e-4)
            assert value[t, place].item() == pytest.approx(pull / total if total else 0.0, rel=1e-4)
    assert precision[1].abs().max() == 0


def test_an_observation_between_values_is_on_none():
    seen = scattered()
    assert seen.on_values(30) is None
    weight = torch.zeros(4, 5, 4)
    weight[..., 0] = 1
    weight[3, 4, 1] = 0.5  # in the padding nothing is between
    assert dataclasses.replace(seen, weight=weight).on_values(30) is not None
    weight = weight.clone()
    weight[3, 2, 1] = 0.01
    assert dataclasses.replace(seen, weight=weight).on_values(30) is None
