"""SIGTERM, in separate processes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from hindsight import signals

ALONE = """
import multiprocessing, os, signal, sys, time
from hindsight import signals
def child():
    print(os.getpid(), flush=True)
    time.sleep(60)
if __name__ == "__main__":
    with signals.handling("hindsight a.b"):
        {prepare}
        print("ready", flush=True)
        for k in range(600):
            time.sleep(0.1)
            {each}
"""
SAVES = 'if signals.stop_requested() and k > 5: print("saved"); raise SystemExit(7)'


def started(prepare="pass", each="pass"):
    """Start such a process, and wait until it is ready."""
    code = ALONE.format(prepare=prepare, each=each)
    running = subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True)
    before = ""
    while (line := running.stdout.readline()) != "ready\n":
        before += line
    return running, before


def test_work_that_cannot_save_exits_at_once_with_one_sentence():
    running, _ = started()
    began = time.monotonic()
    running.terminate()
    _, said = running.communicate(timeout=20)
    assert running.returncode == 143 and time.monotonic() - began < 2
    incomplete = "incomplete files are never taken for complete ones"
    assert said == f"hindsight a.b: stopped by SIGTERM; {incomplete}; run snakemake again to continue\n"


def test_work_that_can_save_continues_until_it_polls():
    """The echo, a second signal from torchrun or SLURM, changes nothing."""
    running, _ = started("signals.defer()", SAVES)
    for _ in range(3):
        running.terminate()
        time.sleep(0.05)
    out, said = running.communicate(timeout=20)
    assert (running.returncode, out, said) == (7, "saved\n", "")


def test_a_second_request_ends_it_at_once():
    running, _ = started("signals.defer(); signals.ECHO = 0.2")
    running.terminate()
    time.sleep(0.5)
    assert running.poll() is None
    running.terminate()
    _, said = running.communicate(timeout=20)
    assert running.returncode == 143 and said.count("\n") == 1


def test_its_child_processes_end_with_it():
    """Those of a pool would otherwise wait for work for ever."""
    spawn = "multiprocessing.get_context('fork').Process(target=child).start(); time.sleep(0.5)"
    running, before = started(spawn)
    running.terminate()
    running.communicate(timeout=20)  # waits for the child's end of the pipes, too
    child = int(before)
    with pytest.raises(ProcessLookupError):
        for _ in range(50):
            os.kill(child, 0)
            time.sleep(0.1)


def test_the_previous_handler_is_restored():
    before = signal.getsignal(signal.SIGTERM)
    with signals.handling("x"):
        assert signal.getsignal(signal.SIGTERM) != before
        signals.defer()
        signal.raise_signal(signal.SIGTERM)
        assert signals.stop_requested()
    assert signal.getsignal(signal.SIGTERM) == before and not signals.stop_requested()
