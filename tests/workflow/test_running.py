"""Two runs at once, runs that died, and jobs that are told to stop: with Snakemake itself."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml

from hindsight import running
from tests.workflow import runs

JOB = """
import sys, time
from pathlib import Path
from hindsight import signals
with signals.handling("hindsight a.b"):
    signals.defer()
    print("begun", flush=True)
    for _ in range(3000):
        time.sleep(0.1)
        if signals.stop_requested():
            time.sleep(5)  # it saves
            Path("saved").touch()
            print("saved", flush=True)
            sys.exit(signals.CODE)
"""
SNAKEFILE = """
import sys
from pathlib import Path
from hindsight.errors import UserError

def result(path):
    return f"results/tiny/{{path}}"

include: "{root}/workflow/rules/running.smk"

rule all:
    output: "results/tiny/done"
    log: "log"
    shell: "{job} 2>&1 | (trap '' TERM; exec tee {{log}})"
"""


@pytest.fixture
def folder(tmp_path):
    """Where a workflow of one job runs, which takes five minutes."""
    return made(tmp_path / "a")


def made(folder, job=f"{sys.executable} job.py"):
    folder.mkdir()
    (folder / "job.py").write_text(JOB)
    (folder / "Snakefile").write_text(SNAKEFILE.format(root=runs.ROOT, job=job))
    return folder


def command(folder, *words):
    return [sys.executable, "-m", "snakemake", "--cores", "1", "--directory", str(folder), "--snakefile",
            str(folder / "Snakefile"), "--rerun-incomplete", *words]


def snakemake(folder, *words):
    """Run the workflow; what it prints."""
    done = runs.warm_run(command(folder, *words), stdout=-1, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


@pytest.fixture
def started(folder):
    """A run in the middle of its job; it ends with the test."""
    run = subprocess.Popen(command(folder), stdout=-1, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                           env=runs.environment())
    wait_for(lambda: "begun" in (folder / "log").read_text())
    yield run
    for process in (p for p in psutil.process_iter() if p.pid != os.getpid() and mine(p, run.pid)):
        process.kill()
    run.wait()


def mine(process, session):
    try:
        return os.getsid(process.pid) == session
    except OSError:
        return False


def wait_for(what, seconds=60):
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if what():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_a_second_run_from_here_or_from_elsewhere_is_refused_in_a_sentence(folder, started, tmp_path):
    other = made(tmp_path / "b")
    (other / "results").symlink_to(folder / "results")
    (folder / "results").mkdir(exist_ok=True)
    for place in (folder, other):
        code, said = snakemake(place)
        assert code and f"results/tiny is in use by another run (process {started.pid} of" in said, said
        assert "Traceback" not in said and "--unlock" not in said
        assert snakemake(place, "--dry-run")[0] == 0
    assert started.poll() is None and (folder / "results/tiny/.running").is_file()
    assert not list((other / ".snakemake").glob("locks/*"))  # the refused one leaves no lock


def test_after_a_run_that_died_the_lock_is_explained_and_the_remedy_works(folder, started):
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    code, said = snakemake(folder)
    assert code and f"a run of results/tiny (process {started.pid}" in said and "once with --unlock" in said
    assert snakemake(folder, "--unlock")[0] == 0
    (folder / "job.py").write_text("open('results/tiny/done', 'w')")
    assert snakemake(folder)[0] == 0 and not (folder / "results/tiny/.running").exists()


@pytest.mark.parametrize("whole", [True, False])
def test_a_job_that_saves_is_waited_for_and_has_failed(folder, started, whole):
    """By a signal to the whole group, as from SLURM, or to what runs the job alone."""
    if whole:
        os.killpg(started.pid, signal.SIGTERM)
    else:
        for process in psutil.Process(started.pid).children(recursive=True):
            process.terminate()
    assert started.wait(60) and (folder / "saved").is_file()  # what lives on after the run is killed by SLURM
    out, _ = started.communicate()
    assert "saved" in (folder / "log").read_text() and "non-zero exit" in out
    assert not (folder / "results/tiny/.running").exists() and not list((folder / ".snakemake").glob("locks/*"))
    (folder / "job.py").write_text("open('results/tiny/done', 'w')")
    assert snakemake(folder)[0] == 0


@pytest.mark.parametrize("ends", [True, False])
def test_a_run_that_has_ended_well_or_not_blocks_no_other(folder, ends):
    (folder / "job.py").write_text("open('results/tiny/done', 'w')" if ends else "raise SystemExit(3)")
    assert (snakemake(folder)[0] == 0) == ends
    assert not (folder / "results/tiny/.running").exists()
    if ends:
        assert snakemake(folder, "--touch")[0] == 0 and snakemake(folder, "--forcerun", "all")[0] == 0
        assert not (folder / "results/tiny/.running").exists()


def test_the_workflow_itself_refuses_a_run_in_use(tmp_path):
    """The process of this test holds the run."""
    held = tmp_path / "results/tiny/.running"
    held.parent.mkdir(parents=True)
    held.write_text(json.dumps(running._this_run()))
    config = yaml.safe_load((runs.ROOT / "config/config.yaml").read_text()) | {"run": "tiny"}
    done = runs.snakemake(tmp_path, config, "results/tiny/settings/train.json", check=False)
    assert done.returncode and "results/tiny is in use by another run" in done.stdout
    held.unlink()
    runs.snakemake(tmp_path, config, "results/tiny/settings/train.json")
