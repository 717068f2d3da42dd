"""The system of the observation solver without matrices, against the matrices themselves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hindsight.diffusion import dense_rows, information, observation_system, zonal_covariance
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.diffusion.modes import Empirical, Values
from hindsight.diffusion.observation_system import Dense, MatrixFree, StateSpace
from hindsight.operators.linear import LinearObservations
from tests.diffusion.guidance import scenes
from tests.diffusion.guidance.test_analytic import crowded
from tests.diffusion.test_dense_rows import sloped
from tests.diffusion.test_exact_smoother import closed_form
from tests.diffusion.test_zonal_covariance import fitted
from tests.oracles import linear_gaussian as oracle

SEEN = {"of a frame": scenes.seen(), "between frames": scenes.between()}
PRECISION = {"single": torch.float32, "double": torch.float64}


def both(seen, process=scenes.PROCESS, **more):
    return Dense(process, seen, {}), MatrixFree(process, seen, **more)


@pytest.mark.parametrize("precision", PRECISION)
@pytest.mark.parametrize("seen", SEEN)
def test_without_matrices_the_products_are_those_with_matrices(seen, precision):
    dtype, generator = PRECISION[precision], torch.Generator().manual_seed(0)
    dense, free = both(SEEN[seen])
    a = torch.randn(2, scenes.FRAMES, len(scenes.PROCESS.variance), generator=generator).to(dtype)
    v = torch.randn(2, *SEEN[seen].present.shape, generator=generator).to(dtype)
    torch.testing.assert_close(free.at_places(a), dense.at_places(a), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(free.into_modes(v), dense.into_modes(v), rtol=1e-5, atol=1e-5)
    assert free.into_modes(v).dtype == dtype
    variance = scenes.PROCESS.variance
    torch.testing.assert_close(free.largest_variance(variance), dense.largest_variance(variance))


@pytest.mark.parametrize("precision", PRECISION)
@pytest.mark.parametrize("seen", SEEN)
def test_without_matrices_one_is_the_adjoint_of_the_other(seen, precision):
    dtype, free = PRECISION[precision], MatrixFree(scenes.PROCESS, SEEN[seen])
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(2, scenes.FRAMES, len(scenes.PROCESS.variance), generator=generator).to(dtype)
    v = torch.randn(2, *SEEN[seen].present.shape, generator=generator).to(dtype)
    torch.testing.assert_close((free.at_places(a) * v).sum(), (a * free.into_modes(v)).sum())


@pytest.mark.parametrize("precision", PRECISION)
@pytest.mark.parametrize("seen", SEEN)
def test_a_block_with_all_rows_of_a_frame_is_the_dense_preconditioner(seen, precision):
    dense, free = both(SEEN[seen])
    posterior = scenes.PROCESS.posterior(scenes.ABOVE[None])
    v = torch.randn(2, *SEEN[seen].present.shape, generator=torch.Generator().manual_seed(2)).to(PRECISION[precision])
    expected = dense.preconditioner(posterior)(v)
    torch.testing.assert_close(free.preconditioner(posterior)(v), expected, rtol=1e-4, atol=1e-4)


def test_a_block_is_the_inverse_of_the_system_among_its_rows():
    """Four rows at a time of the system among rows of one frame, by dense matrices."""
    process, seen, _, _, _ = crowded(0.3)
    free, level = MatrixFree(process, seen, block=4), torch.full((1, 8), 0.7)
    apply = free.preconditioner(process.posterior(level))
    u = process.modes.matrix.double().numpy()
    left = u @ np.diag(1 / (1 / process.variance.double().numpy() + 1 / 0.7**2)) @ u.T
    operator = seen.rows(2, process.size).double().numpy()
    whole = operator @ left @ operator.T + 0.3**2 * np.eye(len(operator))
    order = np.argsort(seen.point[2, :, 0].numpy(), kind="stable")
    for first in (0, 56, 116):
        rows = order[first : first + 4]
        unit = torch.zeros(1, *seen.present.shape)
        unit[0, 2, rows[1]] = 1
        found = apply(unit)[0, 2].numpy()
        np.testing.assert_allclose(found[rows], np.linalg.inv(whole[np.ix_(rows, rows)])[1], rtol=2e-3, atol=2e-3)
        assert not np.delete(found, rows).any()


@pytest.mark.parametrize(("error", "block"), [(0.1, 16), (0.1, 50), (0.1, 256), (0.01, 256), (0.003, 256)])
def test_without_matrices_the_gain_is_the_dense_gain(error, block, monkeypatch):
    """Single precision at the larger errors, double precision at the smallest; in posterior standard deviations."""
    monkeypatch.setattr(observation_system, "BLOCK", block)
    process, seen, prior, operator, gap = crowded(error)
    level = process.posterior(torch.full((1, len(seen.value)), torch.inf))
    found = [
        Analytic(Unguided(process, closed_form), seen, 1e-4, 800, memory=memory).gain(gap, level)
        for memory in (0.0, 2.0)
    ]
    whole = operator @ prior @ operator.T + error**2 * np.eye(len(operator))
    gain = np.linalg.solve(whole, operator @ prior).T
    deviation = np.sqrt(np.diag(prior - gain @ operator @ prior))
    exact = gap.double().numpy().reshape(2, -1) @ gain.T
    for one in found:
        off = (one.double().numpy().reshape(2, -1) - exact) / deviation
        assert np.sqrt((off**2).mean()) < 0.06 and np.abs(off).max() < 0.3


@pytest.mark.parametrize("seen", SEEN)
def test_without_matrices_the_mean_is_dense_conditioning_of_every_member(seen):
    x = scenes.noisy()
    expected, _ = scenes.conditioned(x, SEEN[seen])
    found = Analytic(scenes.prior(), SEEN[seen], 1e-6, memory=0.0, shape=(2, 4)).mean(x, scenes.ABOVE, scenes.BELOW)
    scenes.agree(found, expected)


def test_members_may_have_operators_and_errors_of_their_own():
    x, seen, generator = scenes.noisy(), scenes.seen(), torch.Generator().manual_seed(5)
    factor = 0.5 + torch.rand(scenes.MEMBERS, *seen.value.shape, generator=generator)
    own = replace(
        seen, weight=seen.weight * factor[..., None], value=seen.value * factor, error=seen.error * factor.square()
    )
    found = Analytic(scenes.prior(), own, 1e-6).update(x, scenes.PROCESS.posterior(scenes.ABOVE[None]))
    _, spread = scenes.posterior()
    for member in range(scenes.MEMBERS):
        alone = replace(own, weight=own.weight[member], value=own.value[member], error=own.error[member])
        operator, error, value = scenes.dense(alone)
        flat = x[member].double().numpy().ravel()
        moved, _ = oracle.condition(spread, operator, error, value - operator @ flat)
        scenes.agree(found[member], flat + moved)


def test_functions_of_any_kind_give_the_same_rows():
    """The same functions as a matrix and as values of the grid, a few rows at a time."""
    seen, size = scenes.seen(), scenes.SIZE
    rest = torch.ones(size), torch.zeros(0, 0, 0), torch.zeros(size)
    matrix, values = (GaussMarkov(modes, *rest) for modes in (Empirical(torch.eye(size)), Values(torch.tensor(size))))
    places = torch.tensor([0, 2, 4])
    rows = [MatrixFree(process, seen)._rows(places) for process in (matrix, values)]
    torch.testing.assert_close(*rows)


def test_blocks_hold_every_row_once_and_are_compact():
    """1000 rows on 40 x 60 points, in blocks of 50: a block spans little of the grid, in strips or squares."""
    generator = torch.Generator().manual_seed(0)
    north, east = torch.randint(40, (2, 1000), generator=generator), torch.randint(60, (2, 1000), generator=generator)
    present = torch.ones(2, 1000)
    present[1, 700:] = 0
    channel = torch.randint(3, (2, 1000), generator=generator)  # not by channel
    seen = replace(scenes.seen(), point=(channel * 2400 + north * 60 + east)[..., None], present=present)
    seen = replace(seen, value=present, error=present, weight=torch.ones(2, 1000, 1))
    blocks = observation_system._in_space(seen, (40, 60), 50)
    held = torch.cat(blocks)
    assert torch.equal(held.sort().values, torch.nonzero(present.flatten())[:, 0])
    assert len(blocks) == 34 and all(len({int(place) // 1000 for place in block}) == 1 for block in blocks)
    for block in blocks:
        frame, place = int(block[0]) // 1000, block % 1000
        spans = [float(axis[frame, place].max() - axis[frame, place].min()) for axis in (north / 40, east / 60)]
        assert spans[0] * spans[1] < 0.11 and max(spans) < 0.6


def test_the_form_is_that_of_least_work_whose_matrices_fit():
    """120 rows in each of eight frames with places of their own, of 60 modes; then few rows, and places that stay."""
    process, seen, _, _, _ = crowded(0.1)
    chosen = lambda seen, gigabytes: type(observation_system.build(process, seen, None, gigabytes))
    dense, state = dense_rows.memory(process, seen), information.memory(process, seen)
    assert dense == 8 * 120 * (4 * 60 + 12 * 120) and state == 4 * 8 * 60**2
    assert chosen(seen, 2.0) is chosen(seen, state / 1e9) is StateSpace
    assert chosen(seen, state / 1e9 - 1e-9) is MatrixFree
    few = replace(seen, **{name: getattr(seen, name)[:, :29] for name in NAMES})
    assert chosen(few, 2.0) is chosen(few, dense_rows.memory(process, few) / 1e9) is Dense
    assert chosen(few, state / 1e9) is StateSpace and dense_rows.memory(process, few) > state
    assert chosen(few, 0.0) is MatrixFree


NAMES = ("point", "weight", "value", "error", "present")


@pytest.mark.parametrize("seen", [*SEEN, "with slopes"])
def test_the_preconditioner_in_the_space_of_the_state_is_the_inverse_of_the_system(seen):
    """Where members have their own weights, of the system with their means."""
    own = SEEN[seen] if seen in SEEN else sloped(scenes.seen())
    seen, posterior = own.average(), scenes.PROCESS.posterior(scenes.ABOVE[None])
    operator, error, _ = scenes.dense(seen)
    whole = operator @ scenes.posterior()[1] @ operator.T + np.diag(error**2)
    v = torch.randn(3, *seen.present.shape, generator=torch.Generator().manual_seed(2))
    found = StateSpace(scenes.PROCESS, own).preconditioner(posterior)(v)[:, seen.present > 0]
    np.testing.assert_allclose(found, v[:, seen.present > 0].numpy() @ np.linalg.inv(whole), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("error", "most"), [(0.01, 2), (0.003, 2), (0.001, 2), (1e-4, 12), (1e-5, 40)])
def test_a_crowded_scene_takes_few_iterations_at_any_error(error, most):
    """Where blocks need more than 400; the increments are the dense gain's."""
    process, seen, prior, operator, gap = crowded(error)
    level, products = process.posterior(torch.full((1, len(seen.value)), torch.inf)), []
    guide = Analytic(Unguided(process, closed_form), seen, 1e-4, 400)
    inner = guide.system.at_places
    guide.system.at_places = lambda coefficients: products.append(1) or inner(coefficients)
    whole = operator @ prior @ operator.T + error**2 * np.eye(len(operator))
    gain = np.linalg.solve(whole, operator @ prior).T
    deviation = np.sqrt(np.diag(prior - gain @ operator @ prior))
    off = guide.gain(gap, level).double().numpy().reshape(2, -1) - gap.double().numpy().reshape(2, -1) @ gain.T
    assert np.sqrt(((off / deviation) ** 2).mean()) < (0.002 if error > 5e-4 else 0.05)
    assert isinstance(guide.system, StateSpace) and len(products) <= most


@pytest.mark.parametrize("name", SEEN)
def test_in_the_space_of_the_state_the_mean_is_dense_conditioning_of_every_member(name, monkeypatch):
    monkeypatch.setattr(dense_rows, "applies", lambda observations: False)
    x, seen = scenes.noisy(), SEEN[name]
    guide = Analytic(scenes.prior(), seen, 1e-6)
    scenes.agree(guide.mean(x, scenes.ABOVE, scenes.BELOW), scenes.conditioned(x, seen)[0])
    assert isinstance(guide.system, StateSpace)


@pytest.mark.parametrize("memory", [0.0, 2.0])
def test_errors_too_small_to_tell_rows_apart_raise_an_error(memory):
    process, seen, _, _, gap = crowded(1e-9)
    with pytest.raises(ArithmeticError, match="cannot distinguish observations with errors as small as 1.0e-09"):
        Analytic(Unguided(process, closed_form), seen, memory=memory).gain(
            gap, process.posterior(torch.full((1, 8), torch.inf))
        )


def globe():
    """Rows at three values each of a globe's prior, in frames with two levels; some missing, one frame without any."""
    process, generator = fitted("few modes and the rest")[0], torch.Generator().manual_seed(3)
    point = torch.randint(process.size, (4, 9, 3), generator=generator)
    present = torch.ones(4, 9)
    present[1], present[2, 5:] = 0, 0
    weight = torch.randn(4, 9, 3, generator=generator) * present[..., None]
    error = 0.1 * (1 + torch.rand(4, 9, generator=generator)) * present
    value = torch.randn(4, 9, generator=generator) * present
    seen = LinearObservations(point, weight, value, error, present)
    return process, seen, torch.tensor([[0.3, 2.0, 2.0, 2.0]])


def test_blocks_from_circles_are_those_from_rows(monkeypatch):
    process, seen, level = globe()
    v = torch.randn(2, *seen.present.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    free = MatrixFree(process, seen, (14, 12), block=4)
    found = free.preconditioner(process.posterior(level))(v)
    variances = process.variance, 1 / (1 / process.variance + 1 / 0.3**2)
    bounds = [free.largest_variance(variance) for variance in variances]
    monkeypatch.setattr(zonal_covariance, "applies", lambda process: False)
    expected = MatrixFree(process, seen, (14, 12), block=4)
    torch.testing.assert_close(found, expected.preconditioner(process.posterior(level))(v), rtol=2e-3, atol=2e-2)
    assert float(found.abs().max()) > 10
    for bound, variance in zip(bounds, variances):
        exact = expected.largest_variance(variance)
        assert exact <= bound < 4 * exact


def test_on_a_globe_the_gain_without_matrices_is_that_with_matrices():
    process, seen, level = globe()
    posterior, gap = process.posterior(level), seen.value.expand(2, -1, -1)
    found, expected = (
        Analytic(Unguided(process, closed_form), seen, 1e-6, memory=memory, shape=(14, 12)).gain(gap, posterior)
        for memory in (0.0, 2.0)
    )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
