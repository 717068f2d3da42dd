"""Moment matching by the Jacobian, and its solver."""

import numpy as np
import pytest
import torch

from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.mmps import Mmps, gmres
from tests.diffusion.guidance import scenes


def test_with_enough_iterations_it_is_the_analytic_mean_and_dense_conditioning():
    x, seen = scenes.noisy(), scenes.seen()
    expected, _ = scenes.conditioned(x, seen)
    found = Mmps(scenes.prior(), seen, iterations=12).mean(x, scenes.ABOVE, scenes.BELOW)
    scenes.agree(found, expected)
    analytic = Analytic(scenes.prior(), seen, tolerance=1e-6).mean(x, scenes.ABOVE, scenes.BELOW)
    scenes.agree(found, analytic.numpy())
    one = Mmps(scenes.prior(), seen, iterations=1).mean(x, scenes.ABOVE, scenes.BELOW)
    assert np.abs(one.flatten(1).numpy() - expected).max() > 0.05  # there is something to iterate for


def test_with_a_network_the_covariance_is_its_jacobian():
    """D + S J^T H^T (R + H S J^T H^T)^-1 (y - H D), written out."""
    x, seen = scenes.noisy(), scenes.seen()
    found = Mmps(scenes.prior(scenes.crooked), seen, iterations=12).mean(x, scenes.ABOVE, scenes.BELOW)
    operator, error, value = scenes.dense(seen)
    for member in range(scenes.MEMBERS):
        slope, clean = scenes.jacobian(scenes.crooked, x[member])
        spread = scenes.squares()[:, None] * slope.T
        inner = np.diag(error**2) + operator @ spread @ operator.T
        expected = clean + spread @ operator.T @ np.linalg.solve(inner, value - operator @ clean)
        scenes.agree(found[member].flatten(), expected, 1e-3)


def test_observations_of_waiting_frames_have_no_effect():
    x, seen, below = scenes.noisy(), scenes.seen(), scenes.BELOW.clone()
    below[1] = scenes.ABOVE[1]
    expected, _ = scenes.conditioned(x, seen, frames=[True, False, True, True, True])
    scenes.agree(Mmps(scenes.prior(), seen, iterations=12).mean(x, scenes.ABOVE, below), expected)
    everything, _ = scenes.conditioned(x, seen)
    scenes.agree(Mmps(scenes.prior(), seen, iterations=12).mean(x, scenes.ABOVE, scenes.ABOVE), everything)


def test_without_observations_it_is_the_prior():
    x, seen = scenes.noisy(), scenes.seen()
    nothing = seen.frames(slice(2, 3))
    found = Mmps(scenes.prior(), nothing).mean(x[:, 2:3], scenes.ABOVE[2:3], scenes.BELOW[2:3])
    torch.testing.assert_close(found, scenes.prior().mean(x[:, 2:3], scenes.ABOVE[2:3], scenes.BELOW[2:3]))


def test_the_cost_is_a_backward_pass_for_every_iteration_and_one_more():
    from hindsight.diffusion.guidance.unguided import Cost

    cost = Cost()

    def estimate(noisy, posterior, falling, points):
        cost.evaluations += noisy.shape[0] * noisy.shape[1]
        return scenes.linear(noisy, posterior, falling, points)

    guidance = Mmps(scenes.prior(estimate, cost=cost, at_once=2), scenes.seen(), iterations=4)
    guidance.mean(scenes.noisy(), scenes.ABOVE, scenes.BELOW)
    frames = scenes.MEMBERS * scenes.FRAMES
    assert cost == Cost(evaluations=frames, backward=5 * frames)


SHAPE = (3, 2, 6)  # members, frames, places


def unsymmetric(strength):
    generator = np.random.default_rng(0)
    skew = generator.standard_normal((3, 12, 12))
    return np.eye(12) + strength * (skew - skew.transpose(0, 2, 1)) + 0.3 * generator.standard_normal((3, 12, 12))


def applied(matrices):
    whole = torch.tensor(matrices, dtype=torch.float32)
    return lambda v: (whole @ v.flatten(1)[..., None]).view(v.shape)


def krylov(matrix, right, count):
    """The least residual over right, A right, … by numpy, and the vector that has it."""
    basis = [right / np.linalg.norm(right)]
    for _ in range(count - 1):
        fresh = matrix @ basis[-1]
        for _ in range(2):
            for vector in basis:
                fresh = fresh - vector * (vector @ fresh)
        basis.append(fresh / np.linalg.norm(fresh))
    basis = np.array(basis).T
    best = basis @ np.linalg.lstsq(matrix @ basis, right, rcond=None)[0]
    return best, np.linalg.norm(matrix @ best - right)


def conjugate_gradients(matrix, right, count):
    """Conjugate gradients, for matrices that are not symmetric."""
    x, residual = np.zeros_like(right), right
    search, worst = residual, 0.0
    for _ in range(count):
        length = residual @ residual / (search @ matrix @ search)
        x, after = x + length * search, residual - length * matrix @ search
        search, residual = after + (after @ after) / (residual @ residual) * search, after
        worst = max(worst, np.linalg.norm(residual))
    return worst


@pytest.mark.parametrize("strength", [0.0, 0.5, 5.0])
def test_the_solver_has_the_least_residual_and_members_do_not_mix(strength):
    matrices, right = unsymmetric(strength), torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    before = right.flatten(1).norm(dim=1).double().numpy()
    for count in range(1, 13):
        found = gmres(applied(matrices), right, count).double()
        for member in range(3):
            b = right[member].flatten().double().numpy()
            _, least = krylov(matrices[member], b, count)
            residual = np.linalg.norm(matrices[member] @ found[member].flatten().numpy() - b)
            assert residual <= least * 1.001 + 1e-5 * before[member]
            assert residual <= before[member] * (1 + 1e-6)
    solved = np.linalg.solve(matrices, right.flatten(1).double().numpy()[..., None])[..., 0]
    np.testing.assert_allclose(found.flatten(1), solved, atol=1e-4 * np.abs(solved).max())


def test_it_converges_where_conjugate_gradients_diverge():
    matrices, right = unsymmetric(5.0), torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    for member in range(3):
        b = right[member].flatten().double().numpy()
        assert conjugate_gradients(matrices[member], b, 4) > 3 * np.linalg.norm(b)
    left = applied(matrices)(gmres(applied(matrices), right, 4)) - right
    assert (left.flatten(1).norm(dim=1) <= right.flatten(1).norm(dim=1)).all()


def test_an_exhausted_space_and_a_zero_right_hand_side_do_no_harm():
    """More iterations than directions: an eigenvector, zero, and a system of two eigenvalues."""
    matrices = np.stack([np.eye(12) * 3, np.eye(12) * 2, np.diag([1.0] * 6 + [4.0] * 6)])
    right = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    right[1] = 0
    found = gmres(applied(matrices), right, 9)
    torch.testing.assert_close(applied(matrices)(found), right, atol=1e-5, rtol=1e-4)
    assert torch.equal(found[1], right[1])
