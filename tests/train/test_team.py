"""Processes that train together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import distributed

from hindsight.errors import UserError
from hindsight.train.team import Team, join
from tests import warm

ROOT = Path(__file__).parents[2]


def test_each_row_belongs_to_one_process():
    rows = [list(Team(rank, 4).rows(12)) for rank in range(4)]
    assert sum(rows, []) == list(range(12)) and {len(r) for r in rows} == {3}


def test_a_single_process_needs_no_group():
    team, device = join(1, "cpu")
    assert team == Team() and team.leads and team.broadcast(5) == 5 and team.mean(torch.tensor(2.5)) == 2.5
    assert device == torch.device("cpu")


def test_a_number_of_processes_that_differs_from_the_settings_is_refused(monkeypatch):
    with pytest.raises(
        UserError, match="train.processes is 2 and 1 process.* torchrun --standalone --nproc-per-node 2"
    ):
        join(2, "cpu")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UserError, match="train.processes is 1 and 4 process.* set train.processes: 4"):
        join(1, "cpu")


def test_values_of_the_leader_are_broadcast_and_numbers_averaged(monkeypatch):
    """With stand-ins for both operations; the value of the other process is 3."""
    monkeypatch.setattr(distributed, "broadcast_object_list", lambda box: box.__setitem__(0, 3))
    monkeypatch.setattr(distributed, "all_reduce", lambda value: value.add_(3))
    member, value = Team(1, 2), torch.tensor(2.0)
    assert member.broadcast(None) == 3 and member.mean(value) == 2.5 and value == 2


@pytest.mark.parametrize(
    ("accumulate", "real"), [(1, False), (2, False), pytest.param(1, True, marks=pytest.mark.slow)]
)
def test_two_processes_train_like_one_with_the_same_batch(tmp_path, accumulate, real):
    """Same losses and final weights within rounding, and the same weights in both processes; started by torchrun."""
    found = {n: started(tmp_path / f"{n}", n, accumulate, real) for n in (1, 2)}
    alone, first, second = found[1][0], *found[2]
    assert first["weights"] == second["weights"]
    assert first["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    assert first["curve"] == pytest.approx(alone["curve"], rel=1e-4)
    assert first["weights"] == pytest.approx(alone["weights"], abs=2e-5)
    assert max(map(abs, alone["weights"])) > 0.01  # it has learnt something


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Two processes that are not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, started(folder, 2, 1)


@pytest.mark.parametrize("signalled", ["one", "all"])
def test_on_sigterm_all_processes_stop_at_the_same_step_and_resume(uninterrupted, tmp_path, signalled):
    """The checkpoint is written once, and the resumed run ends like an uninterrupted one."""
    folder, whole = uninterrupted
    out = stopped(tmp_path / "part", signalled)
    step = step_of(tmp_path / "part/checkpoint")
    assert 0 < step < 8 and out.count(f"stopped at step {step} of 8; saved") == out.count("stopped at") == 1
    resumed = started(tmp_path / "part", 2, 1)
    assert [r["weights"] for r in resumed] == [w["weights"] for w in whole]
    assert [r["losses"] for r in resumed] == [w["losses"][step:] for w in whole]
    assert (folder / "checkpoint").read_bytes() == (tmp_path / "part/checkpoint").read_bytes()


def step_of(checkpoint):
    """The step of a checkpoint, 0 if there is none: one is written before the first step too."""
    if not checkpoint.is_file():
        return 0
    with safe_open(checkpoint, "pt") as file:
        return json.loads(file.metadata()["hindsight"])["step"]


def stopped(folder, signalled):
    """Start training, send SIGTERM after a step or more, and wait; its output."""
    folder.mkdir()
    running = subprocess.Popen(command(folder, 2, 1, 0.7), stdout=-1, stderr=-1, text=True, cwd=ROOT)
    while step_of(folder / "checkpoint") < 1:
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.02)
    workers = [int((folder / f"{rank}.pid").read_text()) for rank in range(2)]
    for pid in workers[1:] if signalled == "one" else [running.pid, *workers]:  # and torchrun signals them once more
        os.kill(pid, signal.SIGTERM)
    # Rarely, torchrun's own handler of SIGTERM interrupts its poll of an ended worker while that holds a lock; it then
    # waits twice for 30 seconds before it gives up. The workers have saved by then.
    out, _ = running.communicate(timeout=120)
    assert running.returncode
    return out


def command(folder, processes, accumulate, pause=0.0, real=False):
    """Command that trains the small prior by torchrun, forked from a process with all imports unless `real`."""
    run, python = (
        ([sys.executable, "-m", "torch.distributed.run"], sys.executable)
        if real
        else ([warm.folder() / "torchrun"], warm.python())
    )
    words = [*run, "--standalone", "--nproc-per-node", str(processes), "--no-python", python]
    return [*words, "-m", "tests.train.two_processes", str(folder), str(processes), str(accumulate), str(pause)]


def started(folder, processes, accumulate, real=False):
    """Train to the end; the result of each process."""
    folder.mkdir(exist_ok=True)
    line = command(folder, processes, accumulate, real=real)
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(processes)]
