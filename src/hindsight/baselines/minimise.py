"""The cost function of variational methods and its minimum: Gauss-Newton iterations by conjugate gradients.

In control variables v the background error covariance is the identity: the state is x = L v with B = L L^T, which
preconditions the minimisation (Lorenc 1997, doi:10.2151/jmsj1965.75.1B_339; Bannister 2008, doi:10.1002/qj.340). Each
member has a background b and perturbed observations y of its own, and its cost is

    J(v) = |v - b|^2 / 2 + |d(v)|^2 / 2,      d(v) = (y - h(L v)) / r,

so that for linear h and Gaussian errors the minima are draws from the posterior. Nonlinear observations are linearised
about one estimate for all members: the minimum of J for the mean background, b = 0, and unperturbed observations.
(Linearised about its own estimate, a member whose background has the wrong direction of the wind would keep it.) This
minimum is found by outer loops, from the one for the linear observations alone: each loop linearises h about v,
G = -d'(v), and minimises the quadratic cost by conjugate gradients (Courtier et al. 1994,
doi:10.1002/qj.49712051912); the step is halved until J falls.

The Hessian I + G^T G of a quadratic cost has no eigenvalue below 1, so v is no farther from its minimum than the
gradient is long. So the length of the true gradient at the end, computed without the recurrences, says whether a
minimisation has converged: then no value of the state is more than `TOLERANCE` of its background standard deviation
from the minimum.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from hindsight.errors import UserError
from hindsight.operators.nonlinear import NonlinearRows
from hindsight.operators.rows import Rows
from hindsight.settings.baselines import Minimisation

TOLERANCE = 1e-4  # length of the gradient
INNER = 0.1  # tolerance of the quadratic cost, as a share of `TOLERANCE`
HALVINGS = 30  # of a step, at most
ROUNDING = 1e-12  # share of the cost by which a step may raise it


class Terms(Protocol):
    """The P weighted sums of the state that observations are functions of, and their adjoint."""

    def forward(self, control: np.ndarray) -> np.ndarray:
        """From control variables (E, m) to sums (E, P)."""
        ...

    def adjoint(self, sums: np.ndarray) -> np.ndarray:
        """The transposed map, (E, P) to (E, m)."""
        ...


def parts(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of the sums that N rows are functions of, both (N * J, K / J).

    J is the number of blocks of a nonlinear row (`operators.nonlinear`); a linear row is the sum of its blocks.
    """
    if rows.nonlinear is None:
        return rows.point, rows.weight
    weight = np.where((rows.nonlinear.kind > 0)[:, None], rows.nonlinear.operator, rows.weight)
    shape = (rows.nonlinear.mean.size, -1) if len(rows) else (0, 1)
    return rows.point.reshape(shape), weight.reshape(shape)


def departures(rows: Rows, sums: np.ndarray, estimate: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Slopes of N rows by their J sums (E, N, J) and departures of the rows (E, N), both over the rows' errors.

    Args:
        rows: N observations.
        sums: those of `parts(rows)` in E states, (E, N * J).
        estimate: sums (1, N * J) about which nonlinear rows are linearised; none: about `sums`, exactly.
    """
    nonlinear = rows.nonlinear
    blocks = 1 if nonlinear is None else nonlinear.mean.shape[1]
    split = lambda array: array.reshape(len(array), len(rows), blocks)
    sums = split(sums)
    slopes, value, error = np.ones(sums.shape), *(np.tile(a, (len(sums), 1)) for a in (rows.value, rows.error))
    if nonlinear is not None and (nonlinear.kind > 0).any():
        where = sums if estimate is None else split(estimate)
        *found, which = nonlinear.at(where, np.zeros(nonlinear.mean.shape))
        slopes[:, which], value[:, which], error[:, which] = found
    return slopes / error[..., None], (value - (slopes * sums).sum(-1)) / error


@dataclass(frozen=True)
class Linearised:
    """The costs of E members at some control variables, and the slopes of h there."""

    control: np.ndarray  # (E, m)
    slopes: np.ndarray  # (E, N, J), of the rows by the sums, over the rows' errors
    cost: np.ndarray  # (E,)
    gradient: np.ndarray  # (E, m)

    @property
    def length(self) -> np.ndarray:
        """Length of the gradient, (E,)."""
        return np.linalg.norm(self.gradient, axis=1)


class Cost:
    """The cost functions of E members with the same rows.

    Args:
        rows: N observations.
        terms: the sums of `parts(rows)`.
        background: b of each member, (E, m).
        noise: standard normal perturbations of the observations, (E, N).
        estimate: sums (1, P) about which nonlinear rows are linearised; none: those of the control variables.
    """

    def __init__(
        self, rows: Rows, terms: Terms, background: np.ndarray, noise: np.ndarray, estimate: np.ndarray | None = None
    ) -> None:
        self.rows, self.terms, self.background, self.noise, self.estimate = rows, terms, background, noise, estimate

    def at(self, control: np.ndarray) -> Linearised:
        """The costs and their gradients at control variables (E, m)."""
        slopes, departure = departures(self.rows, self.terms.forward(control), self.estimate)
        departure = departure + self.noise
        away = control - self.background
        gradient = away - self._adjoint(slopes, departure)
        cost = ((away**2).sum(1) + (departure**2).sum(1)) / 2
        return Linearised(control, slopes, cost, gradient)

    def hessian(self, slopes: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """(I + G^T G) times directions (E, m)."""
        seen = (self.terms.forward(direction).reshape(slopes.shape) * slopes).sum(-1)
        return direction + self._adjoint(slopes, seen)

    def _adjoint(self, slopes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """G^T times values of the rows (E, N)."""
        return self.terms.adjoint((slopes * values[..., None]).reshape(len(values), -1))


class Minimum(NamedTuple):
    """Control variables at the minima (E, m), with the largest numbers of loops and iterations of a member."""

    control: np.ndarray
    loops: int
    iterations: int


def analyse(
    rows: Rows, terms: Terms, background: np.ndarray, noise: np.ndarray, settings: Minimisation, where: str
) -> Minimum:
    """The minima of the costs of E members, see `Cost`.

    Args:
        rows: N observations.
        terms: the sums of `parts(rows)`.
        background: of each member, (E, m).
        noise: perturbations of the observations, (E, N).
        settings: limits of the numbers of loops and iterations.
        where: the section of the settings and what is analysed, for errors.

    Raises:
        UserError: if a minimisation has not converged.
    """
    if rows.nonlinear is None or not (rows.nonlinear.kind > 0).any():
        return minimise(Cost(rows, terms, background, noise), background, settings, where)
    mode = _mode(rows, rows.nonlinear, terms, background.shape[1], settings, where)
    found = minimise(Cost(rows, terms, background, noise, terms.forward(mode.control)), background, settings, where)
    return Minimum(found.control, mode.loops, max(found.iterations, mode.iterations))


def _mode(rows: Rows, nonlinear: NonlinearRows, terms: Terms, size: int, settings: Minimisation, where: str) -> Minimum:
    """The minimum for the mean background and unperturbed observations, (1, m)."""
    mean, exact = np.zeros((1, size)), np.zeros((1, len(rows)))
    without, error = np.zeros_like(nonlinear.kind), np.where(nonlinear.kind > 0, np.inf, rows.error)
    linear = replace(rows, error=error, nonlinear=replace(nonlinear, kind=without))
    start = minimise(Cost(linear, terms, mean, exact), mean, settings, where).control
    return minimise(Cost(rows, terms, mean, exact), start, settings, where)


def minimise(cost: Cost, start: np.ndarray, settings: Minimisation, where: str) -> Minimum:
    """The minima of costs, starting from control variables (E, m).

    Raises:
        UserError: if a gradient is longer than `TOLERANCE` in the end.
    """
    here, iterations, loops = cost.at(start), 0, 0
    while (here.length > TOLERANCE).any() and loops < settings.outer_loops:
        step, count = _conjugate_gradients(cost, here, settings.iterations)
        here = _downhill(cost, here, step)
        iterations, loops = iterations + count, loops + 1
    if not (worst := here.length.max()) <= TOLERANCE:
        raise UserError(
            f"{where}: the minimisation has not converged: the gradient of the cost has a length of {worst:.1e} after "
            f"{loops} outer loops and {iterations} iterations, and should have at most {TOLERANCE:.0e}; raise "
            "outer_loops or iterations in that section, or give nonlinear observations larger errors"
        )
    return Minimum(here.control, loops, iterations)


def _conjugate_gradients(cost: Cost, here: Linearised, iterations: int) -> tuple[np.ndarray, int]:
    """Steps to the minima of the quadratic costs, (E, m), and the number of iterations (Hestenes and Stiefel 1952).

    A member that has converged stays as it is, so that no member depends on the others.
    """
    step, residual = np.zeros_like(here.gradient), -here.gradient
    residual[here.length <= TOLERANCE] = 0.0
    direction, square = residual.copy(), (residual**2).sum(1)
    for count in range(iterations):
        active = square > (INNER * TOLERANCE) ** 2
        if not active.any():
            return step, count
        image = cost.hessian(here.slopes, direction)
        length = np.where(active, square / np.maximum((direction * image).sum(1), np.finfo(float).tiny), 0.0)
        step += length[:, None] * direction
        residual -= length[:, None] * image
        before, square = square, np.where(active, (residual**2).sum(1), square)
        turn = np.where(active, square / np.maximum(before, np.finfo(float).tiny), 0.0)
        direction = np.where(active[:, None], residual + turn[:, None] * direction, direction)
    return step, iterations


def _downhill(cost: Cost, here: Linearised, step: np.ndarray) -> Linearised:
    """The costs after each member's step, halved until it does not raise that member's cost."""
    share = np.ones(len(step))
    for _ in range(HALVINGS):
        there = cost.at(here.control + share[:, None] * step)
        up = there.cost > here.cost * (1 + ROUNDING)
        if not up.any():
            break
        share[up] /= 2
    return there
