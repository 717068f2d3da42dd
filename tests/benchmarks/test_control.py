"""The comparison of a trained controller with guidances: errors by quarter, tuning, and its quick form."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from hindsight import controller
from hindsight.settings import Reanalyse
from tests.workflow import runs


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(runs.ROOT / "benchmarks"))
    import control

    yield control
    sys.path.remove(str(runs.ROOT / "benchmarks"))


def test_errors_of_quarters_are_those_of_the_mean_in_standard_deviations(benchmark):
    truth = np.zeros((10, 1, 2, 2))
    mean = np.broadcast_to(np.arange(10.0)[:, None, None, None], truth.shape)
    fields = np.stack([mean - 1, mean + 1])
    scaling = SimpleNamespace(spread=np.array([2.0]))
    case = SimpleNamespace(truth=truth, scored=slice(2, None), prior=SimpleNamespace(scaling=scaling))
    found = benchmark.quarters(case, fields)  # of frames 2 to 9, whose mean is off by their number
    assert found["rmse_first"] == pytest.approx(np.sqrt((2**2 + 3**2) / 2) / 2)
    assert found["rmse_last"] == pytest.approx(np.sqrt((8**2 + 9**2) / 2) / 2)


def test_the_strength_with_the_least_crps_is_taken_and_one_that_diverges_is_not(benchmark, monkeypatch):
    crps = {0.1: 0.4, 0.5: 0.3, 2.0: float("inf")}
    monkeypatch.setattr(
        benchmark, "scored", lambda case, settings, run, members: {"crps": crps[settings["guidance"]["zeta"]]}
    )
    found = benchmark.tuned(None, {"steps": 8, "guidance": {"method": "dps"}}, "zeta", tuple(crps))
    assert found == {"steps": 8, "guidance": {"method": "dps", "zeta": 0.5}}


@pytest.mark.parametrize("world", ["kuramoto_sivashinsky", "lorenz96"])
def test_a_configuration_changes_no_setting_that_a_controller_depends_on(benchmark, world):
    """The workflow trains with the configuration's other settings, the benchmark analyses without them."""
    given = yaml.safe_load((runs.ROOT / f"config/{world}.yaml").read_text())["reanalyse"]
    trained, used = (Reanalyse.model_validate(x | benchmark.CONTROLLED) for x in (given, {}))
    assert controller.recorded(trained) == controller.recorded(used)


@pytest.mark.slow
def test_the_quick_form_scores_every_method(tmp_path):
    path, script = tmp_path / "control.json", runs.ROOT / "benchmarks/control.py"
    words = ["--quick", "--worlds", "lorenz96", "--json", path]
    subprocess.run([sys.executable, script, *words], check=True, env=runs.environment())
    found = json.loads(path.read_text())["lorenz96"]
    assert found["quick"] and set(found["short"]) == {"controlled", "default", "sda", "dps", "sda, batch"}
    for name, row in found["short"].items():
        assert 0 < row["rmse"] < 3 and row["seconds"] > 0 and (row["backward"] > 0) == (name in found["strengths"]), (
            name
        )
    controlled, guided = found["short"]["controlled"], found["short"]["sda"]
    assert controlled["evaluations"] == pytest.approx(guided["evaluations"]) and "at_bound" in controlled
