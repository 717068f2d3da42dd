"""The exact posterior of a small linear-Gaussian process."""

import numpy as np
import pytest

from tests.diffusion.test_exact_smoother import FRAMES, SIZE, observe, rows
from tests.oracles import linear_gaussian as oracle


@pytest.fixture(scope="module")
def exact_posterior():
    """A process, its observations, and the exact smoother as one Gaussian over all frames."""
    process, seen = oracle.process(SIZE), observe([2, 7])
    operators, errors, values = rows(seen)
    prior = oracle.covariance(process, FRAMES)
    mean, spread = oracle.condition(prior, oracle.stacked(operators), np.concatenate(errors), np.concatenate(values))
    return process, seen, mean, spread
