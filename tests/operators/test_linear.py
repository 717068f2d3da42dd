"""Observations as an operator, and its adjoint."""

import dataclasses

import numpy as np
import pytest
import torch

from hindsight.operators.linear import LinearObservations


def test_the_adjoint_passes_the_dot_product_test():
    generator = torch.Generator().manual_seed(0)
    size, shape = 40, (3, 5)
    point = torch.randint(0, size, (*shape, 4), generator=generator)
    weight = torch.rand(*shape, 4, generator=generator)
    present = (torch.rand(shape, generator=generator) > 0.3).float()
    seen = LinearObservations(point, weight.double(), torch.zeros(shape), torch.ones(shape), present.double())
    x = torch.randn(2, 3, size, generator=generator, dtype=torch.double)
    y = torch.randn(2, *shape, generator=generator, dtype=torch.double)
    torch.testing.assert_close((seen.forward(x) * y).sum(), (x * seen.adjoint(y, size)).sum())


def test_the_operator_of_a_frame_as_a_matrix():
    """The product with the matrix is `forward`, with its transpose the adjoint; padding is a row of zeros."""
    generator = torch.Generator().manual_seed(0)
    size, shape = 12, (3, 9)  # few points, so that the four of a row are often the same one
    point = torch.randint(0, size, (*shape, 4), generator=generator)
    point[0, 0] = 5
    weight, present = torch.rand(*shape, 4, generator=generator), (torch.rand(shape, generator=generator) > 0.3).float()
    seen = LinearObservations(point, weight, torch.zeros(shape), torch.ones(shape), present)
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


def scattered(frames=4, most=5, size=30, counts=(2, 0, 5, 3), seed=0):
    """Observations packed to the front of each frame, random numbers in the padding."""
    generator = torch.Generator().manual_seed(seed)
    shape = (frames, most)
    present = (torch.arange(most) < torch.tensor(counts)[:, None]).float()
    point = torch.randint(0, size, (*shape, 4), generator=generator)
    weight, value, error = (torch.rand(*s, generator=generator) + 0.1 for s in ((*shape, 4), shape, shape))
    return LinearObservations(point, weight, value, error, present)


@pytest.mark.parametrize("view", [slice(0, 4), slice(0, 2), slice(1, 2), slice(3, 4), slice(1, 4)])
def test_the_observations_of_some_frames_do_not_depend_on_the_other_frames(view):
    """Nor does their padding, and none is lost."""
    whole, x = scattered(), torch.randn(2, 4, 30)
    part, most = whole.frames(view), max(1, int(whole.present[view].sum(1).max()))
    assert part.value.shape == (view.stop - view.start, most)
    torch.testing.assert_close(part.forward(x[:, view]), whole.forward(x)[:, view, :most])
    assert whole.present[view, most:].sum() == 0
    y = torch.randn(2, 4, 5)
    torch.testing.assert_close(part.adjoint(y[:, view, :most], 30), whole.adjoint(y, 30)[:, view])
    for name in ("value", "error", "present", "point", "weight"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[view, :most])


def test_the_geometry_key_of_a_frame_does_not_depend_on_frames_out_of_view():
    """Other frames with fewer observations, and so less padding, give the same key."""
    many = scattered()
    few = LinearObservations(
        *(tensor[:2, :2] for tensor in (many.point, many.weight, many.value, many.error, many.present))
    )
    for t in range(2):
        assert many.geometry(t) != few.geometry(t)
        assert many.frames(slice(0, 2)).geometry(t) == few.frames(slice(0, 2)).geometry(t)


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
    weight[..., 2] = torch.rand(4, 5, generator=generator) + 0.5  # the only weight need not come first
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


def test_observations_between_values_are_not_on_values():
    seen = scattered()
    assert seen.on_values(30) is None
    weight = torch.zeros(4, 5, 4)
    weight[..., 0] = 1
    weight[3, 4, 1] = 0.5  # padding does not count
    assert dataclasses.replace(seen, weight=weight).on_values(30) is not None
    weight = weight.clone()
    weight[3, 2, 1] = 0.01
    assert dataclasses.replace(seen, weight=weight).on_values(30) is None


def spanning(frames=5, most=4, size=20, seed=0):
    """Observations with values in the frame before, their own and the one after."""
    generator = torch.Generator().manual_seed(seed)
    shape = (frames, most)
    point = torch.randint(0, size, (*shape, 3), generator=generator)
    weight = torch.rand(*shape, 3, generator=generator) + 0.1
    offset = torch.tensor([-1, 0, 1]).expand(*shape, 3).clone()
    present = torch.ones(shape)
    present[0], present[-1] = 0, 0  # their neighbours lie outside
    return LinearObservations(
        point,
        weight,
        torch.rand(shape, generator=generator),
        torch.ones(shape),
        present,
        offset=offset * (present > 0)[..., None],
    )


def test_an_operator_over_several_frames_is_a_sum_over_them():
    seen, x = spanning(), torch.randn(2, 5, 20)
    for t, n in ((1, 0), (3, 2)):
        expected = sum(x[:, t + k - 1, seen.point[t, n, k]] * seen.weight[t, n, k] for k in range(3))
        torch.testing.assert_close(seen.forward(x)[:, t, n], expected)


def test_over_several_frames_the_adjoint_passes_the_dot_product_test():
    seen, generator = spanning(), torch.Generator().manual_seed(1)
    seen = dataclasses.replace(seen, weight=seen.weight.double(), present=seen.present.double())
    x = torch.randn(2, 5, 20, generator=generator, dtype=torch.double)
    y = torch.randn(2, 5, 4, generator=generator, dtype=torch.double)
    torch.testing.assert_close((seen.forward(x) * y).sum(), (x * seen.adjoint(y, 20)).sum())


def test_over_several_frames_the_matrices_of_all_offsets_are_the_operator():
    seen, x = spanning(), torch.randn(2, 5, 20)
    for t in range(5):
        found = sum(x[:, t + k] @ seen.rows(t, 20, k).T for k in seen.offsets(t))
        torch.testing.assert_close(found, seen.forward(x)[:, t])
    assert seen.offsets(0) == [0] and seen.offsets(2) == [-1, 0, 1]


def test_a_view_has_the_observations_that_need_no_frame_outside_it():
    """Causality: an observation that depends on a later frame is not used before that frame is in the view."""
    seen = spanning()
    for view, inside in ((slice(0, 5), [1, 2, 3]), (slice(1, 4), [2]), (slice(2, 4), []), (slice(0, 3), [1])):
        part = seen.frames(view)
        used = [view.start + int(t) for t in torch.nonzero(part.present.any(1))[:, 0]]
        assert used == inside
        x = torch.randn(2, view.stop - view.start, 20)
        whole = torch.zeros(2, 5, 20)
        whole[:, view] = x
        for t in inside:
            torch.testing.assert_close(part.forward(x)[:, t - view.start], seen.forward(whole)[:, t])
    assert seen.on_values(20) is None
