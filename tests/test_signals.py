"""SIGTERM, in processes of their own."""

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
    with signals.listening("hindsight a.b"):
        {prepare}
        print("ready", flush=True)
        for k in range(600):
            time.sleep(0.1)
            {each}
"""
SAVES = 'if signals.asked() and k > 5: print("saved"); raise SystemExit(7)'


def started(prepare="pass", each="pass"):
    """Such a process, when it is ready."""
    code = ALONE.format(prepare=prepare, each=each)
    running = subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True)
    before = ""
    while (line := running.stdout.readline()) != "ready\n":
        before += line
    return running, before


def test_work_that_cannot_save_leaves_at_once_with_one_sentence():
    running, _ = started()
    began = time.monotonic()
    running.terminate()
    _, said = running.communicate(timeout=20)
    assert running.returncode == 143 and time.monotonic() - began < 2
    assert said == "hindsight a.b: stopped by SIGTERM; nothing half-made looks whole; run snakemake again to go on\n"


def test_work_that_saves_is_let_alone_and_told_when_it_asks():
    """The echo, by which torchrun and SLURM say the same thing, changes nothing."""
    running, _ = started("signals.hold()", SAVES)
    for _ in range(3):
        running.terminate()
        time.sleep(0.05)
    out, said = running.communicate(timeout=20)
    assert (running.returncode, out, said) == (7, "saved\n", "")


def test_asked_again_it_leaves_at_once():
    running, _ = started("signals.hold(); signals.ECHO = 0.2")
    running.terminate()
    time.sleep(0.5)
    assert running.poll() is None
    running.terminate()
    _, said = running.communicate(timeout=20)
    assert running.returncode == 143 and said.count("\n") == 1


def test_its_processes_leave_with_it():
    """Those of a pool would wait for work for ever."""
    spawn = "multiprocessing.get_context('fork').Process(target=child).start(); time.sleep(0.5)"
    running, before = started(spawn)
    running.terminate()
    running.communicate(timeout=20)  # waits for the child's end of the pipes, too
    child = int(before)
    with pytest.raises(ProcessLookupError):
        for _ in range(50):
            os.kill(child, 0)
            time.sleep(0.1)


def test_when_it_is_over_the_signal_is_what_it_was():
    before = signal.getsignal(signal.SIGTERM)
    with signals.listening("x"):
        assert signal.getsignal(signal.SIGTERM) != before
        signals.hold()
        signal.raise_signal(signal.SIGTERM)
        assert signals.asked()
    assert signal.getsignal(signal.SIGTERM) == before and not signals.asked()
