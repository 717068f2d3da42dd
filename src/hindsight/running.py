"""Prevent two runs of the workflow from writing the same folder of results.

A run writes `results/RUN/.running` and touches that file until it ends. A second run is stopped with a message, even if
it was started from another folder or another machine. A run that died blocks no run on its own machine, and those
on other machines only until its file is a few minutes old.
"""

import atexit
import getpass
import json
import os
import socket
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from hindsight.errors import UserError

TOUCH_SECONDS = 30.0  # between touches of the file
DEAD_SECONDS = 180.0  # without a touch, after which a run on another machine counts as dead


def claim(path: Path) -> None:
    """Claim the folder of `path` for this process until it ends.

    Raises:
        UserError: if another run has claimed it.
    """
    if is_running(path):
        raise UserError(_busy(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # left by a run that died
    try:
        with path.open("x") as file:
            json.dump(_this_run(), file)
    except FileExistsError:  # another run claimed it in between
        raise UserError(_busy(path)) from None
    path = path.absolute()  # Snakemake changes the working directory before it ends
    atexit.register(path.unlink, missing_ok=True)
    threading.Thread(target=_keep_touching, args=(path,), daemon=True).start()


def explain_lock(results: Path) -> str:
    """Explain a lock of Snakemake on this folder, and say what to do."""
    here = [path for path in results.glob("*/.running") if _read(path).get("folder") == os.getcwd()]
    if busy := [path for path in here if is_running(path)]:
        return _busy(busy[0])
    who = f" of {here[0].parent} ({_describe(_read(here[0]))})" if here else ""
    return (
        f"a run{who} died here and left its lock; cancel the jobs that it left on a cluster (squeue --me, scancel), "
        "then repeat the same command once with --unlock and once without"
    )


def is_running(path: Path) -> bool:
    """Whether the run that wrote a file is still running; an incomplete file is taken for one that a dead run left."""
    if not (run := _read(path)):
        return False
    if run["host"] != socket.gethostname():
        return time.time() - path.stat().st_mtime < DEAD_SECONDS
    try:
        return abs(psutil.Process(run["pid"]).create_time() - run["process_start"]) < 1  # process ids are reused
    except psutil.NoSuchProcess:
        return False


def _this_run() -> dict:
    return {
        "pid": os.getpid(),
        "process_start": psutil.Process().create_time(),
        "host": socket.gethostname(),
        "user": getpass.getuser(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "folder": os.getcwd(),
    }


def _read(path: Path) -> dict:
    """The record of a run; empty if the file is missing or incomplete."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def _describe(run: dict) -> str:
    return "process {pid} of {user} on {host}, started {since} in {folder}".format(**run)


def _busy(path: Path) -> str:
    """The message about another run; for one on another machine, also how to continue if it has died."""
    if not (run := _read(path)):
        return f"{path.parent} is in use by another run that has just started; wait for it to end"
    message = f"{path.parent} is in use by another run ({_describe(run)}); wait for it to end, or stop it"
    if run["host"] == socket.gethostname():
        return f"{message}: kill {run['pid']}"
    return f"{message} there; if {run['host']} is down, wait {DEAD_SECONDS / 60:.0f} minutes or delete {path}"


def _keep_touching(path: Path) -> None:
    while True:
        time.sleep(TOUCH_SECONDS)
        try:
            os.utime(path)
        except FileNotFoundError:  # the run has ended, or its results were deleted
            return
        except OSError:  # the disk is temporarily unreachable
            continue
