"""Wind speed in optimal interpolation: against quadrature of the exact posterior, and by finite differences."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hindsight.baselines import outer_loops
from hindsight.baselines.optimal_interpolation import OptimalInterpolation
from hindsight.fields.scaling import Scaling
from hindsight.operators.rows import normalise
from hindsight.settings import Product
from tests.baselines.test_optimal_interpolation import GRID, TIME

POINTS, SPREAD = 12, 4.0
CHANNELS = ["u10", "v10"]


def scaling(mean):
    """A climatology without seasons, the same everywhere."""
    return Scaling(np.tile(np.array(mean, float)[:, None, None], (1, 1, *GRID.shape)), np.full(2, SPREAD), 0, 0)


def method(span=1):
    """Each component is one number everywhere, so that a state has two values."""
    return OptimalInterpolation.from_covariance(np.kron(np.eye(2 * span), np.ones((POINTS, POINTS))), span)


def table(**values):
    """One report of each channel, at one place."""
    rows = [{"channel": channel, "value": value, "error": error} for channel, (value, error) in values.items()]
    return pd.DataFrame(rows).assign(time=TIME, latitude=42.0, longitude=5.0, station="a", level=np.nan)


def rows(mean, **values):
    return normalise(table(**values), CHANNELS, GRID, scaling(mean))


def exact(mean, **values):
    """Mean and standard deviation of u, v and the speed, by quadrature on a fine grid."""
    axis = np.linspace(-30, 30, 1501)
    u, v = np.meshgrid(axis, axis)
    wind = {"u10": u, "v10": v, "ws10": np.hypot(u, v)}
    cost = ((u - mean[0]) ** 2 + (v - mean[1]) ** 2) / SPREAD**2
    cost += sum(((wind[name] - value) / error) ** 2 for name, (value, error) in values.items())
    weight = np.exp(-cost / 2)
    moment = lambda x: (weight * x).sum() / weight.sum()
    return {name: (moment(x), np.sqrt(moment(x**2) - moment(x) ** 2)) for name, x in wind.items()}


CASES = {
    "strong": ((20.0, -15.0), {"ws10": (30.0, 1.0)}),
    "beside a component": ((6.0, 2.0), {"ws10": (9.0, 0.5), "v10": (3.0, 1.0)}),
    "calm climatology": ((0.0, 0.0), {"ws10": (9.0, 0.5), "u10": (5.0, 1.0), "v10": (-4.0, 1.0)}),
}


@pytest.mark.parametrize("case", CASES)
def test_members_are_near_the_exact_posterior(case):
    """Where the direction is known, so that it has one peak; in its standard deviations.

    Linearised about the climatology alone the last two have a mean speed two and five deviations off.
    """
    mean, values = CASES[case]
    found = method().members(rows(mean, **values), TIME, 24, Product(members=4000))
    u, v = mean[0] + SPREAD * found[:, 0], mean[1] + SPREAD * found[:, POINTS]
    members = {"u10": u, "v10": v, "ws10": np.hypot(u, v)}
    for name, (centre, deviation) in exact(mean, **values).items():
        assert abs(members[name].mean() - centre) < 0.2 * deviation, name
        assert members[name].std() == pytest.approx(deviation, rel=0.4), name


def test_the_first_linearisation_is_about_the_analysis_of_the_other_observations(monkeypatch):
    """One loop suffices in a calm climatology, where the speed has no slope about the background."""
    monkeypatch.setattr(outer_loops, "LOOPS", 1)
    mean, values = CASES["calm climatology"]
    found = method().members(rows(mean, **values), TIME, 24, Product(members=1000))
    (centre, deviation), speed = exact(mean, **values)["ws10"], SPREAD * np.hypot(found[:, 0], found[:, POINTS])
    assert abs(speed.mean() - centre) < 0.3 * deviation


def test_about_a_calm_climatology_a_speed_alone_says_nothing():
    """Its direction is unknown: no slope, and the members are those of the climatology."""
    found = method().members(rows((0.0, 0.0), ws10=(9.0, 0.5)), TIME, 24, Product(members=3))
    nothing = rows((0.0, 0.0), ws10=(9.0, 0.5)).each(lambda column: column[:0])
    np.testing.assert_array_equal(found, method().members(nothing, TIME, 24, Product(members=3)))


def test_the_rows_are_the_tangent_of_the_speed_at_the_analysis_before():
    """By finite differences, with an estimate that is nearly exact; the linear rows keep theirs."""
    given = rows((1.0, -2.0), u10=(5.0, 1e-3), v10=(-4.0, 1e-3), ws10=(9.0, 0.5))
    found, state, step = outer_loops.linearised(method(), given), method().mean, 1e-4
    before = state(found)
    unit = given.nonlinear.unit[2]
    speed = lambda x: np.hypot(1 + SPREAD * x[:POINTS].mean(), -2 + SPREAD * x[POINTS:].mean()) / unit
    departure = (before[found.point[2]] * found.weight[2]).sum() - found.value[2]
    assert departure + 9 / unit == pytest.approx(speed(before), abs=1e-3)
    for first in (0, POINTS):
        moved = before.copy()
        moved[first : first + POINTS] += step
        slope = found.weight[2] @ (moved - before)[found.point[2]]
        assert slope == pytest.approx(speed(moved) - speed(before), rel=2e-3)
    for name in ("weight", "value", "error"):
        np.testing.assert_array_equal(getattr(found, name)[:2], getattr(given, name)[:2])


def test_linear_rows_are_left_as_they_are():
    given = rows((1.0, -2.0), u10=(5.0, 1.0))
    assert outer_loops.linearised(method(), given) is given


def test_station_pressure_stays_linearised_about_the_climatology():
    """Another time and station would give it other slopes every frame, for next to nothing."""
    fields = np.array([1013.0, 280.0])[:, None, None] * np.ones((1, 2, *GRID.shape))
    given = table(sp=(900.0, 1.0)).assign(elevation=900.0)
    given = normalise(given, ["msl", "t850"], GRID, Scaling(fields, np.array([8.0, 6.0]), 0, 0))
    assert (given.nonlinear.kind > 0).all() and outer_loops.linearised(method(), given) is given


def test_deviations_are_those_of_dense_conditioning():
    generator = np.random.default_rng(0)
    root = generator.standard_normal((24, 24))
    interpolation = OptimalInterpolation.from_covariance(root @ root.T, 1)
    given = rows((1.0, -2.0), u10=(5.0, 2.0), v10=(3.0, 8.0))
    point, weight = generator.integers(0, 24, (5, 4)), generator.standard_normal((5, 4))
    dense = lambda p, w: (np.eye(24)[p] * w[..., None]).sum(1)
    h, wanted = dense(given.point, given.weight), dense(point, weight)
    background = root @ root.T
    gain = background @ h.T @ np.linalg.inv(h @ background @ h.T + np.diag(given.error**2))
    expected = np.sqrt(np.diag(wanted @ (background - gain @ h @ background) @ wanted.T))
    np.testing.assert_allclose(interpolation.deviations(given, point, weight), expected, rtol=1e-4)
    nothing = given.each(lambda column: column[:0])
    expected = np.sqrt(np.diag(wanted @ background @ wanted.T))
    np.testing.assert_allclose(interpolation.deviations(nothing, point, weight), expected, rtol=1e-4)


def test_frames_of_the_span_are_linearised_in_their_own_frame():
    """A speed of the frame before, where frames are independent, leaves the frame itself as it was."""
    late = rows((6.0, 2.0), ws10=(9.0, 0.5))
    late = replace(late, time=late.time - np.timedelta64(24, "h"))
    found = method(3).members(late, TIME, 24, Product(members=3))
    nothing = method(3).members(late.each(lambda column: column[:0]), TIME, 24, Product(members=3))
    np.testing.assert_allclose(found, nothing, atol=1e-5)
