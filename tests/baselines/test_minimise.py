"""The cost function against finite differences, its minimum against dense algebra, and refusal without convergence."""

import numpy as np
import pytest

from hindsight.baselines import minimise
from hindsight.baselines.minimise import TOLERANCE, Cost
from hindsight.baselines.three_d_var import Sums
from hindsight.errors import UserError
from hindsight.settings.baselines import Minimisation
from tests.baselines.test_optimal_interpolation import BACKGROUND, ERROR, SIZE, STATIONS, VALUE, operator
from tests.baselines.test_optimal_interpolation import rows as linear_rows
from tests.baselines.test_outer_loops import POINTS, SPREAD
from tests.baselines.test_outer_loops import rows as wind_rows

ROOT = np.linalg.cholesky(BACKGROUND)
MEMBERS = 3
LIMITS = Minimisation()


def drawn(*shape):
    return np.random.default_rng(1).standard_normal(shape)


def cost(rows, root, members=MEMBERS):
    background, noise = drawn(members, root.shape[1]), drawn(members, len(rows))
    return Cost(rows, Sums(root, *minimise.parts(rows)), background, noise)


def wind_cost(mean=(1.0, -2.0), members=MEMBERS, **values):
    """Two independent components, each a number everywhere."""
    root = np.kron(np.eye(2), np.ones((POINTS, 1)))
    return cost(wind_rows(mean, **(values or {"ws10": (9.0, 0.5), "u10": (5.0, 1.0)})), root, members)


CASES = {"linear": lambda: cost(linear_rows(), ROOT), "wind speed": wind_cost}


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_is_that_of_finite_differences(case):
    given, step = CASES[case](), 1e-5
    here = given.background + 0.3 * drawn(*given.background.shape)
    found = given.at(here).gradient
    for k in range(here.shape[1]):
        ahead, back = (given.at(here + sign * step * np.eye(here.shape[1])[k]).cost for sign in (1, -1))
        np.testing.assert_allclose(found[:, k], (ahead - back) / (2 * step), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_hessian_is_symmetric_and_the_identity_and_a_square_of_the_tangent(case):
    """Dot products: u H v = v H u, and u H u = |u|^2 + |G u|^2 with G by finite differences of the departures."""
    given, step = CASES[case](), 1e-6
    here = given.at(given.background)
    u, v = drawn(2, *here.control.shape)
    across = [(a * given.hessian(here.slopes, b)).sum(1) for a, b in ((u, v), (v, u))]
    np.testing.assert_allclose(*across, rtol=1e-10)
    departure = lambda control: minimise.departures(given.rows, given.terms.forward(control))[1]
    seen = (departure(here.control + step * u) - departure(here.control - step * u)) / (2 * step)
    expected = (u**2).sum(1) + (seen**2).sum(1)
    np.testing.assert_allclose((u * given.hessian(here.slopes, u)).sum(1), expected, rtol=1e-5)


def test_linear_rows_have_the_minimum_of_dense_algebra_after_one_loop():
    """No farther from it, in the norm of the inverse of B, than the tolerance."""
    given = cost(linear_rows(), ROOT)
    found = minimise.minimise(given, given.background, LIMITS, "here")
    g = operator() @ ROOT / ERROR[:, None]
    right = given.background + (VALUE / ERROR + given.noise) @ g
    expected = np.linalg.solve(np.eye(SIZE) + g.T @ g, right.T).T
    assert np.linalg.norm(found.control - expected, axis=1).max() <= TOLERANCE
    assert found.loops == 1 and STATIONS <= found.iterations <= SIZE


def test_the_gradient_at_the_minimum_is_short_for_wind_speeds_too():
    given = wind_cost(members=50)
    found = minimise.minimise(given, given.background, LIMITS, "here")
    assert found.loops > 1 and given.at(found.control).length.max() <= TOLERANCE


def test_it_is_a_minimum_of_the_exact_cost_by_brute_force():
    """On a fine grid of two components, nothing within reach of it is lower."""
    given = wind_cost((6.0, 2.0), ws10=(9.0, 0.5), v10=(3.0, 1.0))
    found = minimise.minimise(given, given.background, LIMITS, "here").control
    axis = np.linspace(-4, 4, 401)
    u, v = np.meshgrid(axis, axis, indexing="ij")
    wind = 6 + SPREAD * u, 2 + SPREAD * v
    for member in range(MEMBERS):
        b, noise = given.background[member], given.noise[member]
        speed = (9.0 + 0.5 * noise[0] - np.hypot(*wind)) / 0.5
        component = (3.0 + noise[1] - wind[1]) / 1.0
        total = ((u - b[0]) ** 2 + (v - b[1]) ** 2 + speed**2 + component**2) / 2
        lowest = np.unravel_index(total.argmin(), total.shape)
        np.testing.assert_allclose(found[member], [axis[k] for k in lowest], atol=0.02)


def test_members_do_not_depend_on_each_other():
    given = wind_cost(members=8)
    found = minimise.minimise(given, given.background, LIMITS, "here").control
    alone = Cost(given.rows, given.terms, given.background[3:4], given.noise[3:4])
    np.testing.assert_allclose(
        minimise.minimise(alone, alone.background, LIMITS, "here").control[0], found[3], atol=1e-9
    )


def test_without_rows_the_minimum_is_the_background():
    given = cost(linear_rows(count=0), ROOT)
    found = minimise.minimise(given, given.background, LIMITS, "here")
    np.testing.assert_array_equal(found.control, given.background)
    assert found.loops == found.iterations == 0


@pytest.mark.parametrize(("limits", "case"), [((1, 2), "linear"), ((1, 1000), "wind speed")])
def test_a_cost_that_has_not_converged_is_refused(limits, case):
    few = Minimisation(outer_loops=limits[0], iterations=limits[1])
    with pytest.raises(UserError, match=r"baselines.x: the minimisation has not converged.*1 outer loops.*raise"):
        given = CASES[case]()
        minimise.minimise(given, given.background, few, "baselines.x")


def test_no_step_raises_the_cost(monkeypatch):
    """From a wind opposite to the observed one, where the whole Gauss-Newton step overshoots."""
    given = wind_cost((0.0, 0.0), ws10=(2.0, 0.1), u10=(2.0, 3.0))
    costs, inside = [], minimise._downhill
    watched = lambda *arguments: costs.append((arguments[1].cost, (there := inside(*arguments)).cost)) or there
    monkeypatch.setattr(minimise, "_downhill", watched)
    minimise.minimise(given, given.background, Minimisation(outer_loops=200), "here")
    assert all((after <= before * (1 + 1e-9)).all() for before, after in costs) and len(costs) > 1


def test_a_speed_is_linearised_about_the_mode_for_all_members():
    """The members are those of dense algebra with the tangent at the mode, which is the minimum of the exact cost."""
    given = wind_cost((6.0, 2.0), ws10=(9.0, 0.5), v10=(3.0, 1.0))
    whole = given.rows, given.terms, given.background, given.noise
    found = minimise.analyse(*whole, LIMITS, "here").control
    mode = minimise._mode(given.rows, given.rows.nonlinear, given.terms, 2, LIMITS, "here").control
    exact = Cost(given.rows, given.terms, np.zeros((1, 2)), np.zeros((1, 2)))
    assert exact.at(mode).length[0] <= TOLERANCE
    wind, error = np.array([6.0, 2.0]) + SPREAD * mode[0], np.array([0.5, 1.0])
    tangent = SPREAD * np.array([wind / np.hypot(*wind), [0, 1]]) / error[:, None]
    departure = (np.array([9.0, 3.0]) - [np.hypot(*wind), wind[1]]) / error + tangent @ mode[0]
    right = given.background + (departure + given.noise) @ tangent
    expected = np.linalg.solve(np.eye(2) + tangent.T @ tangent, right.T).T
    np.testing.assert_allclose(found, expected, atol=5 * TOLERANCE)
