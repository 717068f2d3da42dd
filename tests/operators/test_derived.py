"""Observed channels that the state has not, against finite differences."""

import numpy as np
import pandas as pd
import pytest

from hindsight.operators import derived


def test_a_channel_of_the_state_is_itself():
    value, slopes = derived.of("t850", ["z500", "t850"]).linearise([np.array([280.0])], pd.DataFrame(index=[0]))
    assert value == [280] and slopes[0] == [1]


def test_what_cannot_be_computed_has_no_function():
    assert derived.of("sp", ["msl"]) is None and derived.of("q700", ["msl", "t850"]) is None


@pytest.mark.parametrize("observed", derived.DERIVED)
def test_slopes_are_those_of_finite_differences(observed):
    function = derived.DERIVED[observed]
    rows = pd.DataFrame({"elevation": [10.0, 500, 1900]})
    state = {"msl": np.array([99000.0, 101000, 103000]), "t850": np.array([265.0, 280, 288])}
    values = [state[name] for name in function.channels]
    _, slopes = function.linearise(values, rows)
    for number, slope in enumerate(slopes):
        step = 1e-4 * np.abs(values[number])
        ends = [
            function.linearise([v + sign * step * (k == number) for k, v in enumerate(values)], rows)[0]
            for sign in (1, -1)
        ]
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-9)


def test_a_state_with_the_observed_channel_needs_no_function():
    assert derived.of("sp", ["sp", "msl", "t850"]).channels == ("sp",)
