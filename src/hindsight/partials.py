"""Names of what is half made, one a process: a job that was given up may live on beside its successor.

A folder cannot take the place of another in one step on the file systems that many nodes share, so the old one is put
aside, the new one is moved to its place, and the old one is deleted. A process killed in between leaves the old one
aside, and whoever comes next (`sweep`) brings it back.
"""

import glob
import os
import shutil
import socket
import time
from pathlib import Path

import psutil

END, ASIDE = ".partial", ".old"
DAY = 86400.0  # seconds without a change after which what another machine left is nobody's
MINUTE = 60.0  # the same of what was put aside for a moment


def partial(path: Path) -> Path:
    """Where this process makes a file or a folder, before it is moved to its place."""
    return _own(path, END)


def swap(new: Path, path: Path) -> None:
    """Move a folder to its place; one that is there makes way, and is back in its place if that fails."""
    if not path.exists():
        new.rename(path)
        return
    old = _own(path, ASIDE)
    remove(old)
    os.utime(path)  # it is put aside now, however old it is
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    remove(old)


def sweep(path: Path) -> None:
    """Clear away what processes that are gone have left of a file or a folder.

    What they had half made is deleted. What they had put aside is back in its place, unless there is a new one.
    """
    for found in path.parent.glob(f"{glob.escape(path.name)}.*"):
        if found.name.endswith(END) and _left(found, found.name[len(path.name) + 1 : -len(END)], DAY):
            remove(found)
        elif found.name.endswith(ASIDE) and _left(found, found.name[len(path.name) + 1 : -len(ASIDE)], MINUTE):
            _brought_back(found, path)


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _own(path: Path, end: str) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.{socket.gethostname()}{end}")


def _brought_back(old: Path, path: Path) -> None:
    if path.exists():
        remove(old)
    else:
        old.rename(path)


def _left(found: Path, owner: str, seconds: float) -> bool:
    """Whether nobody will come back for what was found: its process is gone, or long silent on another machine."""
    number, _, host = owner.partition(".")
    if host == socket.gethostname() and number.isdigit():
        return not psutil.pid_exists(int(number))
    try:
        return time.time() - found.stat().st_mtime > seconds
    except FileNotFoundError:
        return False
