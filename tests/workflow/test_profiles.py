"""Profiles: what they ask for is in the table, their names are found, and jobs that share GPUs have one each."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.workflow import runs

SCRIPTS = runs.ROOT / "workflow/scripts"
SHARDS = """
rule all:
    default_target: True
    input: expand("{k}.txt", k=range(4))

rule shard:
    output: "{k}.txt"
    shell: "date +%s.%N > {output}; sleep 1; echo $CUDA_VISIBLE_DEVICES >> {output}; date +%s.%N >> {output}"
"""
CHAIN = """
rule all:
    default_target: True
    input: "two"

rule one:
    output: "one"
    shell: "head -c 5000000 /dev/zero > {output}"

rule two:
    input: "one"
    output: "two"
    shell: "touch {output}"
"""

PLANNED = f"""
include: {str(runs.ROOT / "workflow/rules/resources.smk")!r}

rule all:
    default_target: True
    input: "small.txt", "large.txt"

rule plan:
    output: "{{size}}.json"
    params: lambda wildcards: 10**9 if wildcards.size == "small" else 4 * 10**9
    shell: "echo '{{{{\\"host_bytes\\": {{{{\\"value\\": {{params}}}}}}}}}}' > {{output}}"

rule shard:
    input: plan="{{size}}.json"
    output: "{{size}}.txt"
    resources: mem_mb=forecast_memory(3000)
    shell: "echo {{resources.mem_mb}} > {{output}}"
"""


@pytest.fixture
def two_gpus(tmp_path, monkeypatch):
    """A machine with two GPUs, as far as `nvidia-smi` tells."""
    tool = tmp_path / "bin/nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho GPU-one\necho GPU-two\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{SCRIPTS}:{os.environ['PATH']}")
    monkeypatch.setenv("HINDSIGHT_GPU_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tool


def with_gpu(script: str) -> subprocess.Popen:
    return subprocess.Popen(["with-gpu", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True)


def test_the_table_of_resources_is_fresh():
    done = subprocess.run([sys.executable, SCRIPTS / "resources-table"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (runs.ROOT / "docs/reference/resources.md").read_text(), "run `make format`"


def test_jobs_have_a_gpu_each_and_a_killed_job_gives_its_own_back(two_gpus):
    script = "echo $CUDA_VISIBLE_DEVICES; sleep 60"
    first, second = with_gpu(script), with_gpu(script)
    assert sorted(job.stdout.readline() for job in (first, second)) == ["GPU-one\n", "GPU-two\n"]
    third = with_gpu("echo $CUDA_VISIBLE_DEVICES")
    time.sleep(1.5)
    assert third.poll() is None  # it waits
    os.killpg(second.pid, signal.SIGKILL)
    assert third.communicate(timeout=20)[0] in ("GPU-one\n", "GPU-two\n") and third.returncode == 0
    os.killpg(first.pid, signal.SIGKILL)


def test_one_gpu_a_device_that_was_given_and_torchrun_are_left_alone(two_gpus, monkeypatch):
    assert with_gpu("echo ${CUDA_VISIBLE_DEVICES-none} # torchrun").communicate()[0] == "none\n"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert with_gpu("echo $CUDA_VISIBLE_DEVICES").communicate()[0] == "7\n"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    two_gpus.write_text("#!/bin/sh\necho GPU-one\n")
    assert with_gpu("echo ${CUDA_VISIBLE_DEVICES-none}").communicate()[0] == "none\n"


def test_the_profile_of_a_workstation_gives_shards_a_gpu_each(two_gpus, tmp_path):
    (tmp_path / "Snakefile").write_text(SHARDS)
    command = [
        "snakemake",
        "--profile",
        runs.ROOT / "profiles/local-gpu",
        "--directory",
        tmp_path,
        "--snakefile",
        tmp_path / "Snakefile",
        "--cores",
        "4",
        "--resources",
        "gpu=2",
    ]
    done = runs.warm_run([sys.executable, "-m", *command], os.environ, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    spans = {"GPU-one": [], "GPU-two": []}
    for path in tmp_path.glob("*.txt"):
        start, device, end = path.read_text().split()
        spans[device].append((float(start), float(end)))
    for jobs in map(sorted, spans.values()):
        assert jobs and all(one[1] <= other[0] for one, other in zip(jobs, jobs[1:]))


def test_a_job_asks_for_the_memory_that_its_plan_forecasts(tmp_path):
    """Also where the plan is made in the same run, after the jobs were counted."""
    (tmp_path / "Snakefile").write_text(PLANNED)
    words = [sys.executable, "-m", "snakemake", "--directory", tmp_path, "--snakefile", tmp_path / "Snakefile", "--cores", "1"]
    done = runs.warm_run(words, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [int((tmp_path / f"{size}.txt").read_text()) for size in ("small", "large")] == [3000, 5700]
    (tmp_path / "small.json").write_text('{"host_bytes": ')
    refused = runs.warm_run(words, capture_output=True)
    output = refused.stdout + refused.stderr
    assert refused.returncode == 1 and "small.json" in output and "snakemake plans --forcerun plan" in output


SQUARED = f"""
include: {str(runs.ROOT / "workflow/rules/resources.smk")!r}

rule all:
    default_target: True
    input: "small.txt", "large.txt"

rule fields:
    output: touch("{{size}}.zarr/zarr.json"), "{{size}}.zarr/fields/zarr.json"
    params: lambda wildcards: 10 if wildcards.size == "small" else 64
    shell: "echo '{{{{\\"shape\\": [5000, 6, 32, {{params}}]}}}}' > {{output[1]}}"

rule covariance:
    input: fields="{{size}}.zarr/zarr.json"
    output: "{{size}}.txt"
    resources: mem_mb=matrix_memory(2500, 10, 2)
    shell: "echo {{resources.mem_mb}} > {{output}}"
"""


def test_a_job_asks_for_the_memory_that_its_matrices_take(tmp_path):
    """Of two frames of 6 x 32 x 64 values: 10 bytes for each pair of 24,576, and 700 MB."""
    (tmp_path / "Snakefile").write_text(SQUARED)
    words = [sys.executable, "-m", "snakemake", "--directory", tmp_path, "--snakefile", tmp_path / "Snakefile", "--cores", "1"]
    done = runs.warm_run(words, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    megabytes = [int((tmp_path / f"{size}.txt").read_text()) for size in ("small", "large")]
    assert megabytes == [2500, round(10 * 24_576**2 / 1e6) + 700]


def test_profiles_are_put_where_snakemake_looks_and_one_that_differs_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", runs.environment()["PATH"])
    call = lambda: subprocess.run([SCRIPTS / "install-profiles"], capture_output=True, text=True)
    first = call()
    assert first.returncode == 0 and "new: " in first.stdout
    (tmp_path / "Snakefile").write_text(SHARDS)
    named = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--dry-run", "--directory", tmp_path]
    done = runs.warm_run(named, capture_output=True, cwd=tmp_path)
    assert done.returncode == 0 and "slurm_partition=gpu" in done.stdout + done.stderr
    mine = tmp_path / "config/snakemake/slurm/config.yaml"
    mine.write_text("# mine\n")
    again = call()
    assert again.returncode == 1 and "was left as it is" in again.stderr and mine.read_text() == "# mine\n"


@pytest.mark.parametrize("profile", ["local", "local-gpu", "slurm"])
def test_a_file_that_was_written_again_with_the_same_bytes_makes_nothing_anew(profile, tmp_path):
    """Observations and analyses have megabytes; Snakemake by itself compares what has one at most."""
    (tmp_path / "Snakefile").write_text(CHAIN)
    words = [sys.executable, "-m", "snakemake", "--profile", runs.ROOT / f"profiles/{profile}", "--directory", tmp_path]
    words += ["--snakefile", tmp_path / "Snakefile", "--executor", "local", "--cores", "1"]
    said = lambda *more: runs.warm_run([*words, *more], capture_output=True, cwd=tmp_path).stdout
    said()
    one = tmp_path / "one"
    os.utime(one, (time.time() + 5,) * 2)
    assert "Nothing to be done" in said("--dry-run")
    one.write_bytes(bytes(4_999_999) + b"1")
    os.utime(one, (time.time() + 5,) * 2)
    assert "rule two" in said("--dry-run")


FETCHES = """
rule all:
    default_target: True
    input: expand("{k}.txt", k=range(6))

rule bucket:
    output: "{k}.txt"
    resources: connections=32
    shell: "date +%s.%N > {output}; sleep 0.7; date +%s.%N >> {output}"
"""


@pytest.mark.parametrize("profile", ["local", "local-gpu", "slurm"])
def test_jobs_share_the_connections_that_a_profile_allows(profile, tmp_path):
    """Two of 32 connections each, with cores for all six."""
    (tmp_path / "Snakefile").write_text(FETCHES)
    words = [sys.executable, "-m", "snakemake", "--profile", runs.ROOT / f"profiles/{profile}", "--directory", tmp_path]
    words += ["--snakefile", tmp_path / "Snakefile", "--executor", "local", "--cores", "6", "--jobs", "6"]
    done = runs.warm_run(words, capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    spans = [tuple(map(float, path.read_text().split())) for path in tmp_path.glob("*.txt")]
    at_once = [sum(start <= begin < end for start, end in spans) for begin, _ in spans]
    assert len(spans) == 6 and max(at_once) == 2


def test_make_demo_prints_the_log_of_a_job_that_failed(tmp_path):
    rule = 'rule one:\n    output: "one"\n    log: "one.log"\n    shell: "(echo the disk is full; false) > {log} 2>&1"\n'
    (tmp_path / "Snakefile").write_text(rule)
    (tmp_path / "profiles").symlink_to(runs.ROOT / "profiles")
    command = ["make", "-f", runs.ROOT / "Makefile", "-o", "setup", "demo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode and "the disk is full\n" in done.stdout, done.stderr
