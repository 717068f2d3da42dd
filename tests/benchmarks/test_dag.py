"""The benchmark of the workflow's overhead."""

import json
import subprocess
import sys

import pytest

from tests.workflow import runs


@pytest.mark.slow
def test_the_figures_have_their_names_and_are_within_their_limits(tmp_path):
    """For five years in 61 shards, 8 jobs each; fifty need an idle machine."""
    path = tmp_path / "dag.json"
    command = [sys.executable, runs.ROOT / "benchmarks/dag.py", "--quick", "--json", path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(path.read_text())
    assert 500 < found["jobs"] < 560 and 0 < found["nothing_to_do_s"] < 60 and 0 < found["dry_run_s"] < 60
    assert 0 < found["overhead_per_job_s"] < 30 and found["small_jobs"] == 5
