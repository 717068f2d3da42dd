"""The scoreboard: its settings, its tables, and its quick form."""

import json
import subprocess
import sys

import pytest

from hindsight.settings import Reanalyse
from tests.workflow import runs


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(runs.ROOT / "benchmarks"))
    import scoreboard

    yield scoreboard
    sys.path.remove(str(runs.ROOT / "benchmarks"))


def test_constants_are_changed_where_their_dotted_names_say(benchmark):
    settings = {"guidance": {"method": "sda", "gamma": 0.01}, "steps": 64}
    found = benchmark.with_values(settings, {"guidance.gamma": 0.3, "window.weights": "mean"})
    assert found == {"guidance": {"method": "sda", "gamma": 0.3}, "steps": 64, "window": {"weights": "mean"}}
    assert settings["guidance"]["gamma"] == 0.01


def test_every_method_and_every_value_of_its_grid_has_valid_settings(benchmark):
    for method in benchmark.METHODS.values():
        for domain in method.domains if not method.baseline else ():
            for name, values in (method.grid or {"steps": [3]}).items():
                for value in values:
                    chosen = benchmark.sampling(domain, benchmark.with_values(method.settings, {name: value}))
                    assert isinstance(chosen, Reanalyse)


def test_tables_have_the_best_method_first_and_say_what_diverged(benchmark):
    row = {"case": "a case", "seconds": 0.01, "evaluations": 6.0, "backward_passes": 0.0, "peak_mb": 500.0}
    good = {"rmse": [0.5, 0.4, 0.6], "crps": [0.2, 0.1, 0.3], "spread_skill": [1.0, None, None], "spectral_error": 0.1}
    worse = good | {"crps": [0.25, 0.2, 0.3]}
    lost = dict.fromkeys(good)
    rows = [row | {"method": name} | scores for name, scores in (("worse", worse), ("lost", lost), ("good", good))]
    lines = benchmark.tables(rows).splitlines()
    assert [line.split("|")[1].strip() for line in lines[4:]] == ["good", "worse", "lost"]
    assert "0.500 (0.400 to 0.600) | 0.200 (0.100 to 0.300) | 1.000 | 0.1 | 6 | 0 | 10 | 500 |" in lines[4]
    assert lines[6].count("diverged") == 3


@pytest.mark.slow
def test_the_quick_board_has_a_row_for_every_family(tmp_path):
    path = tmp_path / "board.json"
    script = runs.ROOT / "benchmarks/scoreboard.py"
    words = ["--quick", "--json", path, "--image", tmp_path / "board.png", "--tables", tmp_path / "board.md"]
    subprocess.run([sys.executable, script, *words], check=True, env=runs.environment())
    rows = {row["method"]: row for row in json.loads(path.read_text())}
    assert set(rows) == {"batch", "particle filter", "SDA, tuned", "LETKF", "optimal interpolation"}
    for row in rows.values():
        assert row["quick"] and row["frames"] == 24 and 0 < row["rmse"][0] < 2 and row["seconds"] > 0
    assert rows["batch"]["evaluations"] > 0 and rows["LETKF"]["evaluations"] == 0
    assert rows["SDA, tuned"]["backward_passes"] > 0 and rows["SDA, tuned"]["settings"]["guidance"]["gamma"] != 0.01
    assert (tmp_path / "board.png").stat().st_size > 10000 and "**lorenz96 every2**" in (
        tmp_path / "board.md"
    ).read_text()
