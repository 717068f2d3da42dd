"""Names of partial files and folders, one for each process: two attempts at a job may write at the same time.

Shared file systems cannot replace a folder by another in one step. So the old folder is renamed, the new one gets its
name, and the old one is deleted. If a process is killed in between, the next one restores the old folder (`sweep`).
"""

import glob
import os
import shutil
import socket
import time
from pathlib import Path

import psutil

PARTIAL_SUFFIX, OLD_SUFFIX = ".partial", ".old"
DAY = 86400.0  # seconds without a change after which a partial file of another machine is abandoned
MINUTE = 60.0  # the same for an old folder that was renamed


def partial(path: Path) -> Path:
    """The name under which this process writes a file or a folder before it is renamed."""
    return _name(path, PARTIAL_SUFFIX)


def swap(new: Path, path: Path) -> None:
    """Rename a folder to its final name; an existing one is replaced, and restored if that fails."""
    if not path.exists():
        new.rename(path)
        return
    old = _name(path, OLD_SUFFIX)
    remove(old)
    os.utime(path)  # `sweep` counts its age from now
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    remove(old)


def sweep(path: Path) -> None:
    """Clean up after killed processes that were writing a file or a folder.

    Partial files are deleted. An old folder that was renamed is restored, unless the new one has its name already.
    """
    for found in path.parent.glob(f"{glob.escape(path.name)}.*"):
        if found.name.endswith(PARTIAL_SUFFIX) and _abandoned(
            found, found.name[len(path.name) + 1 : -len(PARTIAL_SUFFIX)], DAY
        ):
            remove(found)
        elif found.name.endswith(OLD_SUFFIX) and _abandoned(
            found, found.name[len(path.name) + 1 : -len(OLD_SUFFIX)], MINUTE
        ):
            _restore(found, path)


def remove(path: Path) -> None:
    """Delete a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _name(path: Path, end: str) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.{socket.gethostname()}{end}")


def _restore(old: Path, path: Path) -> None:
    if path.exists():
        remove(old)
    else:
        old.rename(path)


def _abandoned(found: Path, owner: str, seconds: float) -> bool:
    """Whether the process that wrote a path has ended; on another machine: whether the path is older than `seconds`."""
    number, _, host = owner.partition(".")
    if host == socket.gethostname() and number.isdigit():
        return not psutil.pid_exists(int(number))
    try:
        return time.time() - found.stat().st_mtime > seconds
    except FileNotFoundError:
        return False
