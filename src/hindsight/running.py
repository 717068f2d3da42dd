"""Which run of the workflow is making a folder of results.

A run says so in `results/RUN/.running` and touches that file while it lives. So a second run is stopped with a sentence
even where it was started from another folder or another machine, and a run that died stands in nobody's way for long:
on its own machine for not a moment, on others until its last sign of life is old.
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

BEAT = 30.0  # seconds between signs of life
SILENCE = 180.0  # seconds without one after which a run on another machine is taken for dead


def claim(path: Path) -> None:
    """Say that this process makes the results beside `path`, until it ends.

    Raises:
        UserError: if another run makes them.
    """
    if is_running(path):
        raise UserError(_busy(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # of a run that died
    try:
        with path.open("x") as file:
            json.dump(_me(), file)
    except FileExistsError:  # another run came in between
        raise UserError(_busy(path)) from None
    path = path.absolute()  # for Snakemake leaves the folder before it ends
    atexit.register(path.unlink, missing_ok=True)
    threading.Thread(target=_beat, args=(path,), daemon=True).start()


def explain_lock(results: Path) -> str:
    """What stands behind a lock of Snakemake's on this folder, and what to do."""
    here = [path for path in results.glob("*/.running") if _read(path).get("folder") == os.getcwd()]
    if busy := [path for path in here if is_running(path)]:
        return _busy(busy[0])
    who = f" of {here[0].parent} ({_named(_read(here[0]))})" if here else ""
    return (
        f"a run{who} died here and left its lock; cancel what jobs it left on a cluster (squeue --me, scancel), then "
        "give the same command once with --unlock and once without"
    )


def is_running(path: Path) -> bool:
    """Whether the run that wrote a file is still under way."""
    if not (run := _read(path)):
        return False
    if run["host"] != socket.gethostname():
        return time.time() - path.stat().st_mtime < SILENCE
    try:
        return abs(psutil.Process(run["pid"]).create_time() - run["born"]) < 1  # numbers of processes come again
    except psutil.NoSuchProcess:
        return False


def _me() -> dict:
    return {
        "pid": os.getpid(),
        "born": psutil.Process().create_time(),
        "host": socket.gethostname(),
        "user": getpass.getuser(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "folder": os.getcwd(),
    }


def _read(path: Path) -> dict:
    """What a run says of itself; nothing if there is no file, or half of one."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def _named(run: dict) -> str:
    return "process {pid} of {user} on {host}, begun {since} in {folder}".format(**run)


def _busy(path: Path) -> str:
    """One sentence; where the other run cannot be looked at, how to go on if it is dead."""
    if not (run := _read(path)):
        return f"{path.parent} is being made by another run that has just begun; wait for it to end"
    says = f"{path.parent} is being made by another run ({_named(run)}); wait for it to end, or stop it"
    if run["host"] == socket.gethostname():
        return f"{says}: kill {run['pid']}"
    return f"{says} there; if {run['host']} is down, wait {SILENCE / 60:.0f} minutes or delete {path}"


def _beat(path: Path) -> None:
    while path.is_file():
        time.sleep(BEAT)
        try:
            os.utime(path)
        except OSError:  # the results were deleted, or their disk is away for a moment
            continue
