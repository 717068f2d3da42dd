"""The benchmark of feedback runs and states what it measured."""

import json
import subprocess
import sys

import pytest

from tests.workflow import runs


@pytest.mark.slow
def test_it_writes_and_summarises(tmp_path):
    words = [sys.executable, runs.ROOT / "benchmarks/feedback.py", "--quick", "--json", tmp_path / "f.json"]
    subprocess.run(words, check=True, capture_output=True, env=runs.environment())
    found = json.loads((tmp_path / "f.json").read_text())
    assert found["rows"] == 20_000 and found["processor"]
    assert min(found[name] for name in ("write_s", "write_gb", "summarise_s", "summarise_gb", "bytes_a_row")) > 0
