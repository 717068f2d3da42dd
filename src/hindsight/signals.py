"""SIGTERM: what SLURM sends at the time limit, at preemption and by scancel.

Work that writes whole or not at all leaves at once. Work that can save itself holds the signal up, asks from time to
time whether it came, saves, and leaves by raising `Stopped`.
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

CODE = 128 + signal.SIGTERM  # how a shell reports it
ECHO = 5.0  # seconds within which another signal is the same request: SLURM and torchrun both tell every process


class Stopped(Exception):
    """The work was asked to stop and has saved itself; the message says where, and is empty if another one says it."""


@dataclass
class _Request:
    what: str = ""  # is asked to stop
    at: float | None = None
    held: bool = False


_request = _Request()


@contextmanager
def listening(what: str) -> Iterator[None]:
    """While it lasts SIGTERM ends this process in order; `what` is its name in the sentence."""
    before = signal.signal(signal.SIGTERM, _heard)
    _request.__init__(what)
    try:
        yield
    finally:
        _request.__init__()
        signal.signal(signal.SIGTERM, before)


def hold() -> None:
    """From here on the work saves itself when it is asked to stop; asked twice, it leaves at once all the same."""
    _request.held = True


def asked() -> bool:
    """Whether this process was asked to stop."""
    return _request.at is not None


def _heard(number: int, frame: FrameType | None) -> None:
    again, _request.at = _request.at, _request.at or time.monotonic()
    if again and time.monotonic() - again < ECHO:
        return
    if again or not _request.held:
        _leave()


def _leave() -> NoReturn:
    """Without a clean-up, which could take longer than there is time: what was under way never looks whole."""
    for child in multiprocessing.active_children():
        child.kill()  # it would wait for work for ever
    says = f"{_request.what}: stopped by SIGTERM; nothing half-made looks whole; run snakemake again to go on\n"
    os.write(2, says.encode())
    os._exit(CODE)
