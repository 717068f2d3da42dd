"""The benchmark of exact answers, in its quick form."""

import json
import subprocess
import sys

import pytest

from tests.workflow import runs

pytestmark = pytest.mark.slow  # what the benchmark says of is tested in tests/diffusion/test_exact_smoother.py


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path = tmp_path_factory.mktemp("exact") / "exact.json"
    script = runs.ROOT / "benchmarks/exact_smoother.py"
    subprocess.run([sys.executable, script, "--quick", "--json", path], check=True, env=runs.environment())
    return json.loads(path.read_text())


@pytest.mark.parametrize("regime", ["nowcast", "fixed_lag", "batch"])
def test_every_regime_is_exact_up_to_sampling_error(found, regime):
    one = found[regime]
    assert found["quick"] and one["steps"] == 8
    assert one["mean_error"] < 1.6 * one["mean_chance"] and one["spread_error"] < 1.6 * one["spread_chance"]


def test_a_fixed_past_is_not_exact_and_the_usual_samplers_only_with_many_steps(found):
    rows = {(r["regime"], r["step"], r["steps"]): r for r in found["convergence"]}
    assert rows["nowcast, past fixed", "covariance", 16]["mean_error"] > 0.15
    few, many = (rows["batch", "second order", n]["spread_error"] for n in (1, 16))
    assert few > 0.5 and many < 0.1
    assert all(rows["batch", "covariance", n]["spread_error"] < 0.06 for n in (1, 4, 16))


def test_the_sliding_window_approaches_the_exact_answer_with_the_level_of_carried_frames(found):
    rows = {weighted: [r for r in found["sliding"] if r["weighted"] == weighted] for weighted in ("never", "before")}
    near, far = (rows["never"][k]["mean_error"] for k in (0, -1))
    assert far < near
    assert rows["before"][0]["mean_error"] < 0.5 * near


def test_the_particle_filter_approaches_the_exact_answer_with_the_number_of_members(found):
    few, many = [r for r in found["particles"] if r["lag"] == 0]
    assert many["mean_error"] < 0.3 * few["mean_error"] and many["kl"] < 5 * many["kl_chance"]
