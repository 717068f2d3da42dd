"""Observed channels that the state has not, against finite differences and exact moments."""

import numpy as np
import pytest
import torch

from hindsight.operators import derived

STATE = {
    "msl": np.array([99000.0, 101000, 103000]),
    "t850": np.array([265.0, 280, 288]),
    "u10": np.array([3.0, -8, 0.5]),
    "v10": np.array([4.0, 1, -20]),
    "z500": np.array([5.2e4, 5.5e4, 5.8e4]),
    "z1000": np.array([-500.0, 900, 2000]),
    "t1000": np.array([270.0, 290, 300]),
}
COLUMNS = {"elevation": np.array([10.0, 500, 1900]), "level": np.array([850.0, 900, 987.5])}
EXACT = [np.zeros(3)] * 2
OBSERVED = ["sp", "ws10", "dz500_1000", "t"]


def test_a_channel_of_the_state_is_itself():
    value, slopes, variance = derived.of("t850", ["z500", "t850"]).linearise([np.array([280.0])], EXACT, {})
    assert value == [280] and slopes[0] == [1] and variance == [0]


def test_what_cannot_be_computed_has_no_function():
    assert derived.of("sp", ["msl"]) is None and derived.of("q700", ["msl", "t850"]) is None
    assert derived.of("q", ["msl", "t850"]) is None and derived.of("anything", ["msl"]) is None


@pytest.mark.parametrize("observed", OBSERVED)
def test_slopes_are_those_of_finite_differences(observed):
    function = derived.of(observed, list(STATE))
    values = [STATE[name] for name in function.channels]
    _, slopes, _ = function.linearise(values, EXACT, COLUMNS)
    for number, slope in enumerate(slopes):
        step = 1e-4 * np.abs(values[number])
        ends = [
            function.linearise([v + sign * step * (k == number) for k, v in enumerate(values)], EXACT, COLUMNS)[0]
            for sign in (1, -1)
        ]
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("observed", ["sp", "ws10"])
def test_tensors_give_what_arrays_give(observed):
    function, tensor = derived.of(observed, list(STATE)), lambda array: torch.tensor(array, dtype=torch.float64)
    values, deviations = [STATE[name] for name in function.channels], [np.array([1.0, 0.2, 0]), np.array([2.0, 0, 0])]
    array = function.linearise(values, deviations, COLUMNS)
    columns = {name: tensor(column) for name, column in COLUMNS.items()}
    found = function.linearise(list(map(tensor, values)), list(map(tensor, deviations)), columns)
    np.testing.assert_allclose(found.value, array.value)
    np.testing.assert_allclose(torch.stack(found.slopes), np.stack(array.slopes))
    np.testing.assert_allclose(found.variance, array.variance)


def test_a_state_with_the_observed_channel_needs_no_function():
    assert derived.of("sp", ["sp", "msl", "t850"]).channels == ("sp",)


def test_thickness_is_the_difference_of_two_heights():
    function = derived.of("dz500_1000", list(STATE))
    value = function.linearise([np.array([5.5e4]), np.array([1000.0])], EXACT, {}).value
    assert value == pytest.approx(54000 / 9.80665) and not function.kind


@pytest.mark.parametrize(("wind", "mean", "variance"), [((20.0, 0.0), 2e-3, 5e-2), ((6.0, 8.0), 1e-2, 0.1)])
def test_an_uncertain_wind_has_the_moments_of_its_speed(wind, mean, variance):
    """By quadrature of Gauss and Hermite in both components, each uncertain by 1.5 m/s: mean, slopes and variance."""
    s, (node, weight) = 1.5, np.polynomial.hermite_e.hermegauss(60)
    weight = np.outer(weight, weight) / weight.sum() ** 2
    u, v = wind[0] + s * node[:, None], wind[1] + s * node
    speed = np.hypot(u, v)
    expected = (weight * speed).sum()
    slopes = [(weight * u / speed).sum(), (weight * v / speed).sum()]
    left = (weight * (speed - expected) ** 2).sum() - s**2 * (slopes[0] ** 2 + slopes[1] ** 2)
    found = derived.of("ws10", ["u10", "v10"]).linearise([np.array([x]) for x in wind], [np.array([s])] * 2, {})
    assert found.value == pytest.approx(expected, rel=mean)
    np.testing.assert_allclose(np.ravel(found.slopes), slopes, rtol=2 * mean, atol=2 * mean)
    assert found.variance == pytest.approx(left, rel=variance)


def test_without_wind_a_speed_says_nothing_of_its_direction():
    calm = [np.zeros(1)] * 2
    found = derived.of("ws10", ["u10", "v10"]).linearise(calm, [np.full(1, 2.0)] * 2, {})
    assert found.value == 2 and found.variance == 2 and not np.any(found.slopes)
    found = derived.of("ws10", ["u10", "v10"]).linearise(calm, calm, {})
    assert found.value == 0 and found.variance == 0 and not np.any(found.slopes)
