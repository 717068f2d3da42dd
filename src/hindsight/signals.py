"""Handling of SIGTERM, which SLURM sends at the time limit, at preemption and on scancel.

A step that writes its files atomically exits at once. A step that can save its state calls `defer`, polls
`stop_requested`, saves, and raises `Stopped`.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

CODE = 128 + signal.SIGTERM  # exit status of a process ended by SIGTERM, as a shell reports it
INCOMPLETE = "incomplete files are never taken for complete ones"  # the end of several messages
ECHO = 5.0  # seconds within which a second signal repeats the first: SLURM and torchrun both signal every process


class Stopped(Exception):
    """The step saved its state on request; the message says where, and is empty if another process prints it."""


@dataclass
class _Request:
    step: str = ""  # name of the step
    at: float | None = None
    deferred: bool = False


_request = _Request()


@contextmanager
def handling(step: str) -> Iterator[None]:
    """Context in which SIGTERM ends this process cleanly, with a message that names `step`."""
    before = signal.signal(signal.SIGTERM, _on_sigterm)
    _request.__init__(step)
    try:
        yield
    finally:
        _request.__init__()
        signal.signal(signal.SIGTERM, before)


def defer() -> None:
    """Let the step save its state before it stops; a second request still ends the process at once."""
    _request.deferred = True


def stop_requested() -> bool:
    """Whether this process was asked to stop."""
    return _request.at is not None


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    again, _request.at = _request.at, _request.at or time.monotonic()
    if again and time.monotonic() - again < ECHO:
        return
    if again or not _request.deferred:
        _exit()


def _exit() -> NoReturn:
    """Exit without clean-up, which could take too long: readers ignore unfinished files."""
    for child in multiprocessing.active_children():
        child.kill()  # it would wait for work for ever
    message = f"{_request.step}: stopped by SIGTERM; {INCOMPLETE}; run snakemake again to continue\n"
    os.write(2, message.encode())
    os._exit(CODE)
