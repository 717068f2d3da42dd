"""Free-air temperature against an atmosphere of constant lapse rate and against finite differences."""

import numpy as np
import pytest

from hindsight.operators import free_air
from hindsight.operators.free_air import GAS, GRAVITY


def atmosphere(rate, ground_temperature, sea_level):
    """t850 and z500 of an atmosphere with a constant lapse rate, by its barometric formula."""
    at = lambda p: ground_temperature * (p / sea_level) ** (GAS * rate / GRAVITY)
    return at(85000.0), GRAVITY * (ground_temperature - at(50000.0)) / rate


@pytest.mark.parametrize("rate", [0.003, 0.0065, 0.009])
def test_an_atmosphere_of_constant_lapse_rate_is_recovered(rate):
    ground, sea_level, height = np.array([275.0, 290.0]), np.array([99000.0, 103000.0]), 3106.0
    temperature, geopotential = atmosphere(rate, ground, sea_level)
    np.testing.assert_allclose(free_air.lapse_rate(geopotential, temperature, sea_level), rate, rtol=1e-9)
    found = free_air.linearised(geopotential, temperature, sea_level, height)
    np.testing.assert_allclose(found.value, ground - rate * height, rtol=1e-10)


def test_the_slopes_are_those_of_finite_differences():
    state = np.array([54500.0, 278.0, 101500.0])
    found = free_air.linearised(*state, 2400.0)
    slopes = found.by_geopotential, found.by_temperature, found.by_pressure
    for number, (slope, step) in enumerate(zip(slopes, (1.0, 1e-3, 1.0))):
        change = np.eye(3)[number] * step
        up, down = (free_air.linearised(*(state + sign * change), 2400.0).value for sign in (1, -1))
        assert slope == pytest.approx((up - down) / (2 * step), rel=1e-6)


def test_the_height_of_850_hpa_gives_the_temperature_there():
    temperature, geopotential = atmosphere(0.0065, 288.0, 101325.0)
    height = (288.0 - temperature) / 0.0065
    found = free_air.linearised(geopotential, temperature, 101325.0, height)
    assert found.value == pytest.approx(temperature) and found.by_temperature == pytest.approx(1, abs=0.1)
