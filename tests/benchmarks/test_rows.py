"""The benchmark of the observation solver: small cases in this process, with the answers of other forms."""

import json
import sys

import pytest
import torch

from tests.workflow import runs


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(runs.ROOT / "benchmarks"))
    import rows

    yield rows
    sys.path.remove(str(runs.ROOT / "benchmarks"))


@pytest.fixture
def small(benchmark, monkeypatch):
    """108 grid values in four frames."""
    for name, value in {"SHAPE": (6, 6), "FRAMES": 4, "FUNCTIONS": 100, "COUPLED": 10, "SAMPLES": 300}.items():
        monkeypatch.setattr(benchmark, name, value)
    return benchmark


@pytest.mark.parametrize(
    ("rows", "form", "system"),
    [(40, "by default", "Dense"), (800, "by default", "StateSpace"), (800, "matrix-free", "MatrixFree")],
)
@pytest.mark.parametrize("own_slopes", [False, True])
def test_every_form_ends_at_a_small_true_residual(small, rows, form, system, own_slopes):
    found = small.measure(rows, form, 0.1, own_slopes)
    assert found["form"] == f"{form}: {system}" and found["rows"] == rows and found["functions"] == 100
    assert 0 < found["residual"] < 1.1e-4
    assert found["iterations"] <= (3 if system == "StateSpace" and not own_slopes else 60)
    assert 50 < found["peak_mb"] < 6000 and found["seconds"] < 60


def test_the_residual_is_that_of_the_whole_system(small):
    """A solution that is twice too large leaves the right side with the other sign."""
    solved = []
    inner = small.residual
    small.residual = lambda *case: solved.append(case) or inner(*case)
    try:
        exact = small.measure(800, "by default")["residual"]
    finally:
        small.residual = inner
    guide, right, posterior, solution = solved[0]
    assert inner(guide, right, posterior, 2 * solution) == pytest.approx(1, abs=1e-3) and exact < 1e-4


def test_places_change_with_every_frame_and_lie_between_grid_points(benchmark):
    seen = benchmark.observations(240, 0.1)
    assert seen.point.shape == (24, 10, 4) and not torch.equal(seen.point[0], seen.point[1])
    torch.testing.assert_close(seen.weight.sum(-1), torch.ones(24, 10))
    assert int(seen.point.max()) < 3 * 21 * 24


def test_every_case_is_written_with_processor_threads_and_precision(benchmark, monkeypatch, tmp_path):
    class Done:
        returncode, stdout = 0, json.dumps({"rows": 1})

    commands = []
    monkeypatch.setattr(benchmark.subprocess, "run", lambda command, **more: commands.append(command) or Done)
    monkeypatch.setattr(sys, "argv", ["rows.py", "--quick", "--errors", "0.1", "0.003", "--json", str(tmp_path / "f")])
    benchmark.main()
    written = json.loads((tmp_path / "f").read_text())
    assert written["threads"] == 1 and written["precision"] == "float32" and written["processor"]
    assert written["cases"] == 4 * [{"rows": 1}]
    asked = [json.loads(command[-1]) for command in commands]
    assert asked == [[n, "by default", e, False] for e in (0.1, 0.003) for n in benchmark.QUICK]
