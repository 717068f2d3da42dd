"""A folder that all processes of a test session share, and files in it that are made once."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

NAME = "HINDSIGHT_TESTS"  # the folder and the process that owns it, for those that it starts


def begin() -> None:
    """Make the folder, in the process that starts the others, and remove it when that process ends."""
    if NAME not in os.environ:
        folder = tempfile.mkdtemp(prefix="hindsight-tests-")
        os.environ[NAME] = f"{os.getpid()}:{folder}"
        atexit.register(end, os.getpid(), folder)


def end(owner: int, folder: str) -> None:
    """Remove the folder, unless this process is a fork of the owner."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def owner() -> int:
    """The number of the process that started the session."""
    return int(os.environ[NAME].split(":", 1)[0])


def once(name: str, make: Callable[[Path], object]) -> Path:
    """A folder of a name; the first process of the session that calls this makes it by `make`.

    If `make` fails, later calls raise the same error and do not try again.
    """
    begin()
    place = Path(os.environ[NAME].split(":", 1)[1]) / name
    with FileLock(f"{place}.lock"):
        if (failed := place.with_name(f"{name}.failed")).exists():
            raise RuntimeError(failed.read_text())
        if not (done := place.with_name(f"{name}.done")).exists():
            try:
                make(place)
            except BaseException as error:
                failed.write_text(f"{error}")
                raise
            done.touch()
    return place
