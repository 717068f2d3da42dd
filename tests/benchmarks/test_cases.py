"""The cases that benchmarks share, on the files of a run."""

import sys

import numpy as np
import pytest

from tests.workflow import runs, test_lorenz96


@pytest.fixture(scope="module")
def cases():
    sys.path.insert(0, str(runs.ROOT / "benchmarks"))
    import cases

    yield cases
    sys.path.remove(str(runs.ROOT / "benchmarks"))


def test_a_period_of_a_run_is_observed_as_its_network_observes_it(cases):
    run = test_lorenz96.whole() / "results/lorenz96"
    case = cases.observed(run, "every2", "test", 12)
    assert case.truth.shape == (12, 1, 1, 40) and len(case.table) == 12 * 20
    when = np.searchsorted(case.times, case.table["time"])
    where = np.searchsorted(case.prior.metadata.longitude, case.table["longitude"])
    departure = case.table["value"].to_numpy() - case.truth[when, 0, 0, where]
    assert 0.85 < departure.std() < 1.15 and (case.table["error"] == 1).all()
    off_by_half = case.scores(np.stack([case.truth, case.truth + 1]))["rmse"]
    np.testing.assert_allclose(off_by_half, 0.5 / case.prior.scaling.spread, rtol=1e-6)
