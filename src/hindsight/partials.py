"""Names of what is half made, one a process: a job that was given up may live on beside its successor."""

import glob
import os
import shutil
import socket
import time
from pathlib import Path

import psutil

END = ".partial"
DAY = 86400.0  # seconds without a change after which what another machine left is nobody's


def partial(path: Path) -> Path:
    """Where this process makes a file or a folder, before it is moved to its place."""
    return path.with_name(f"{path.name}.{os.getpid()}.{socket.gethostname()}{END}")


def sweep(path: Path) -> None:
    """Delete what processes that are gone have left half made of a file or a folder."""
    for found in path.parent.glob(f"{glob.escape(path.name)}.*{END}"):
        if _left(found, found.name[len(path.name) + 1 : -len(END)]):
            remove(found)


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _left(found: Path, owner: str) -> bool:
    number, _, host = owner.partition(".")
    if host == socket.gethostname() and number.isdigit():
        return not psutil.pid_exists(int(number))
    try:
        return time.time() - found.stat().st_mtime > DAY
    except FileNotFoundError:
        return False
