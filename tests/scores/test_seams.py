"""Transitions between frames of first-order autoregressions, whose moments are known."""

import numpy as np
import pytest

from hindsight.scores import seams

RHO = 0.8


def moments(rho):
    """Means over many points of one transition, truth and members being independent walks of memory `rho`."""
    generator = np.random.default_rng(0)
    early = generator.standard_normal((9, 1, 100000))
    late = rho * early + np.sqrt(1 - rho**2) * generator.standard_normal(early.shape)
    return seams.transition(early[1:], late[1:], (early[0], late[0]), np.ones(early.shape[-1]))


def test_the_measures_of_a_walk_are_its_closed_forms():
    found = seams.measures(moments(RHO))
    assert np.isclose(found["members"], np.sqrt(2 - 2 * RHO), rtol=0.01)
    assert np.isclose(found["truth"], np.sqrt(2 - 2 * RHO), rtol=0.01)
    assert np.isclose(found["mean"], np.sqrt((2 - 2 * RHO) / 8), rtol=0.01)
    assert np.isclose(found["correlation"], RHO, rtol=0.01)
    assert np.isclose(found["members_to_truth"], 1, rtol=0.01)
    assert np.isclose(found["mean_to_truth"], np.sqrt(1 / 8), rtol=0.01)


def test_the_spread_of_independent_frames_jumps_by_its_sampling_error():
    """Two independent sample deviations of 8 normal values differ by sqrt(2 var s), var s = 1 - c4(8)^2."""
    from scipy.special import gammaln

    c4 = np.sqrt(2 / 7) * np.exp(gammaln(4) - gammaln(3.5))
    assert np.isclose(seams.measures(moments(0.0))["spread"], np.sqrt(2 * (1 - c4**2)), rtol=0.01)


def test_weights_count():
    a, b = np.zeros((2, 1, 2)), np.array([[[1.0, 5.0]], [[3.0, 9.0]]])
    found = seams.transition(a, b, (a[0], b[0]), np.array([1.0, 0.0]))
    assert found["members"] == [pytest.approx(5.0)] and found["mean"] == [pytest.approx(4.0)]
    assert found["truth"] == [pytest.approx(1.0)] and found["spread"] == [pytest.approx(2.0)]
