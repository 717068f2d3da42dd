"""Which run makes a folder of results."""

import json
import os
import subprocess
import sys
import time

import psutil
import pytest

from hindsight import running
from hindsight.errors import UserError

HOLDS = """
import sys, time
from pathlib import Path
from hindsight import running
running.TOUCH_SECONDS = 0.1
running.claim(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def place(tmp_path):
    return tmp_path / "results/a/.running"


def started(place, seconds=60):
    """A process that holds a folder of results."""
    words = [sys.executable, "-c", HOLDS, str(place), str(seconds)]
    run = subprocess.Popen(words, stdout=-1, stderr=-1, text=True, cwd=place.parents[2])
    assert run.stdout.readline() == "held\n", run.stderr.read()
    return run


def test_a_second_run_is_refused_only_while_the_first_is_running(place):
    run = started(place)
    with pytest.raises(
        UserError, match=rf"results/a is in use by another run \(process {run.pid} of .* kill {run.pid}"
    ):
        running.claim(place)
    assert json.loads(place.read_text())["pid"] == run.pid
    run.kill()
    run.wait()
    assert place.is_file() and not running.is_running(place)  # it died without a word
    heir = started(place, 0)
    assert heir.wait(20) == 0 and not place.exists()


def test_a_reused_process_id_is_not_the_run(place):
    """After a restart of the machine the number may be another's: this test's own, here."""
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(running._this_run() | {"process_start": psutil.Process().create_time() - 1000}))
    assert not running.is_running(place)
    place.write_text(json.dumps(running._this_run()))
    assert running.is_running(place)


@pytest.mark.parametrize(("quiet", "lives"), [(0, True), (120, True), (240, False)])
def test_on_another_machine_a_run_is_alive_while_its_file_is_touched(place, quiet, lives):
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(running._this_run() | {"host": "elsewhere"}))
    os.utime(place, (time.time() - quiet,) * 2)
    assert running.is_running(place) == lives
    if lives:
        with pytest.raises(UserError, match="stop it there; if elsewhere is down, wait 3 minutes or delete .*running"):
            running.claim(place)


def test_a_run_touches_its_file_which_may_be_deleted(place):
    run = started(place)
    os.utime(place, (0, 0))
    time.sleep(0.5)
    assert time.time() - place.stat().st_mtime < 5
    place.unlink()
    assert not running.is_running(place)
    run.kill()
    run.communicate()


def test_a_disk_that_is_away_for_a_while_does_not_end_the_touching(place, monkeypatch):
    answers, asked = [OSError(116, "stale"), OSError(5, "input/output"), None, FileNotFoundError()], []

    def touch(path):
        asked.append(path)
        if answer := answers[len(asked) - 1]:
            raise answer

    monkeypatch.setattr(running.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(running.os, "utime", touch)
    running._keep_touching(place)  # until the file is gone
    assert asked == [place] * 4


def test_an_incomplete_file_is_no_run(place):
    place.parent.mkdir(parents=True)
    place.write_text('{"pid": 1')
    assert not running.is_running(place)


def test_a_lock_is_explained_by_who_left_it(place, monkeypatch):
    folder = place.parents[2]
    monkeypatch.chdir(folder)
    assert running.explain_lock(folder / "results").startswith(
        "a run died here and left its lock; cancel the jobs that it left"
    )
    run = started(place)
    assert "results/a is in use by another run" in running.explain_lock(folder / "results")
    run.kill()
    run.wait()
    said = running.explain_lock(folder / "results")
    assert f"results/a (process {run.pid} of" in said and "once with --unlock and once without" in said
    monkeypatch.chdir("/")  # the lock of another folder: this run has nothing to do with it
    assert str(run.pid) not in running.explain_lock(folder / "results")
