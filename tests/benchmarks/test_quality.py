"""Planted errors in fields that are drawn from the prior: what is found is what the closed form says."""

import sys

import pytest

from tests.workflow import runs

pytestmark = pytest.mark.slow  # observe/test_screen and observe/test_denials plant faults in small tables


@pytest.fixture(scope="module")
def found():
    sys.path.insert(0, str(runs.ROOT / "benchmarks"))
    import quality

    yield quality.main(["--quick"])
    sys.path.remove(str(runs.ROOT / "benchmarks"))


def test_gross_errors_are_found_as_often_as_expected_with_few_false_alarms(found):
    (rates,) = found["gross"].values()
    assert rates["departure_over_claimed"] == pytest.approx(1, abs=0.03)
    assert rates["rejected_without_gross_errors"] == pytest.approx(0.0027, abs=0.0015)
    for row in (rates["errors"]["5"], rates["departures"]["5"]):
        assert row["planted"] > 60 and row["false_alarms"] <= 0.005
        assert row["detected"] == pytest.approx(row["expected"], abs=0.08)
    assert rates["departures"]["5"]["detected"] >= 0.95


def test_drifts_steps_and_dead_sensors_are_found_within_the_year_and_hardly_a_good_one_proposed(found):
    after = {
        kind: [row["found_after_days"] for row in found["stations"] if row["kind"] == kind] for kind in found["kinds"]
    }
    assert all(days is not None and days <= 365 for of in after.values() for days in of), after
    assert max(after["step"]) <= 90 and max(after["dead"]) <= 60
    assert len(found["false_proposals"]) <= 1  # of 36 good series; six neighbours are faulty
