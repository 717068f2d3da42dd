"""The covariance of the training period."""

import numpy as np

from hindsight.baselines import covariance
from tests.oracles import linear_gaussian as oracle

SIZE = 10


def test_the_lagged_covariance_is_the_processs_own():
    process = oracle.process(SIZE)
    model, noise = oracle.transition(process)
    root = np.linalg.cholesky(noise)
    x, series, generator = np.zeros(SIZE), [], np.random.default_rng(0)
    for _ in range(60000):
        x = model @ x + root @ generator.standard_normal(SIZE)
        series.append(x)
    expected = oracle.covariance(process, 2)
    np.testing.assert_allclose(covariance.lagged(np.array(series[100:]), 2), expected, atol=0.08 * expected.max())
