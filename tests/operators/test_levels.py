"""Weights between levels, against a field that they reproduce exactly."""

import numpy as np
import pytest

from hindsight.operators import levels

ON = [500, 700, 850, 1000]


def test_what_is_linear_in_the_logarithm_of_pressure_is_reproduced():
    """The geopotential of an isothermal atmosphere."""
    geopotential = lambda pressure: -287.0 * 270 * np.log(np.asarray(pressure, float) / 1013.25)
    places = np.array([500.0, 512.3, 699.9, 925.0, 1000.0])
    found = sum(w * z for w, z in zip(levels.weights(ON, places), geopotential(ON)))
    np.testing.assert_allclose(found, geopotential(places), rtol=1e-12)


def test_the_error_falls_with_the_square_of_the_spacing():
    """Of a curved profile, in the middle between two levels."""
    profile, errors = lambda pressure: np.log(pressure) ** 3, []
    for spacing in (100, 50, 25):
        weight = levels.weights([600 - spacing, 600 + spacing], np.array([600.0]))
        errors.append(
            abs(float(weight[0][0] * profile(600 - spacing) + weight[1][0] * profile(600 + spacing)) - profile(600))
        )
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1) and errors[1] / errors[2] == pytest.approx(4, rel=0.1)


def test_on_a_level_the_weight_is_one_exactly():
    found = np.stack(levels.weights(ON, np.array([500.0, 850.00005, 1000.0])), 1)
    assert np.array_equal(found, [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize("level", [499.0, 1001.0, np.nan])
def test_outside_the_levels_there_is_no_weight(level):
    with pytest.raises(ValueError, match="lies outside 500 … 1000 hPa"):
        levels.weights(ON, np.array([700.0, level]))
