"""`make gpu-check` on a machine without a GPU, and on the CPU in its place."""

import json
import subprocess
import sys

import pytest
import torch

from tests.workflow import runs


def measured(*words):
    command = [sys.executable, "benchmarks/gpu.py", *map(str, words)]
    return subprocess.run(command, cwd=runs.ROOT, capture_output=True, text=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path):
    done = measured("--json", tmp_path / "gpu.json")
    assert done.returncode == 0 and done.stdout.startswith("no GPU: nothing was checked or measured")
    assert not (tmp_path / "gpu.json").exists()


@pytest.mark.slow
def test_on_the_cpu_it_checks_and_measures_everything(tmp_path):
    done = measured("--device", "cpu", "--quick", "--json", tmp_path / "gpu.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["tests"]["failed"] == 0 and found["tests"]["passed"] >= 20 and found["tests"]["failures"] == []
    assert [row["backbone"] for row in found["training"]] == ["unet", "transformer"]
    assert found["analysis"]["same_bytes"] and found["analysis"]["again_s"] > 0
