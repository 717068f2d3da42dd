"""Progress with an ETA: one living line on a terminal, a line now and then in a log.

Where the environment names a file in HINDSIGHT_PROGRESS, lines go there too, every few seconds: whoever starts many
jobs whose output goes to logs can follow them all in one place (`make demo` does). While a step does something long
that tells nothing by itself, such as importing, fitting or compiling, `alive` tells that it is at work.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FOLLOWED_SECONDS = 5.0  # between lines for a follower


@dataclass
class _Told:
    at: float = 0.0  # when anything was told last
    doing: str = ""  # what is under way


_told = _Told()


class Progress:
    """Tell how far a long piece of work has come.

    Args:
        what: its name.
        total: steps in all.
        quiet_seconds: least time between lines where the output is not a terminal.
    """

    def __init__(self, what: str, total: int, quiet_seconds: float = 30.0) -> None:
        self.what, self.total = what, max(total, 1)
        self.living = sys.stderr.isatty()
        self.pause = 0.2 if self.living else quiet_seconds
        self.began = self.told = self.followed = time.monotonic()
        self.before = 0

    def __call__(self, done: int, note: object = "") -> None:
        """Say that `done` steps are done; the first call of a resumed job tells where it began."""
        now = time.monotonic()
        _told.doing = f"{self.what.partition(', ')[2] or 'step'} {done}/{self.total}"
        if done == 0 or self.before == 0 and done > 1 and now - self.began < 1:
            self.before = done
        if now - self.followed >= FOLLOWED_SECONDS:
            self.followed = now
            follow(self._line(done, now, note))
        if now - self.told >= self.pause or done >= self.total:
            self.told = now
            self._print(self._line(done, now, note), done >= self.total)

    def _line(self, done: int, now: float, note: object) -> str:
        pace = (now - self.began) / max(done - self.before, 1)
        clocks = f"{_clock(now - self.began)}, {_clock(pace * (self.total - done))} to go"
        return f"{self.what}  {done}/{self.total}  {clocks}" + (f"  {note}" if note else "")

    def _print(self, line: str, last: bool) -> None:
        text, end = ("\r\033[K" + line, "\n" if last else "") if self.living else (line, "\n")
        print(text, end=end, file=sys.stderr, flush=True)


def doing(what: str) -> None:
    """Say what is under way that will tell nothing by itself for a while; on a terminal and to a follower, at once."""
    _told.doing = what
    _told.at = 0.0


@contextmanager
def alive(what: str) -> Iterator[None]:
    """While it lasts, whoever waits hears every few seconds that `what` is at work, and what it is doing.

    A log that is a file is left alone.
    """
    began, over = time.monotonic(), threading.Event()
    _told.__init__(began - FOLLOWED_SECONDS)  # the first time sooner: a job has been starting up for seconds by then

    def tell() -> None:
        while not over.wait(0.5):
            now = time.monotonic()
            if now - _told.at >= 1.5 * FOLLOWED_SECONDS:  # `Progress` tells by itself, and comes first
                _told.at = now
                _say(f"{what}  {_clock(now - began)}  {_told.doing or 'at work'}")

    teller = threading.Thread(target=tell, name="alive", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _say(line: str) -> None:
    with suppress(OSError):  # on a full disk, say; the step itself will tell
        follow(line)
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def follow(line: str) -> None:
    """Tell a follower, if there is one."""
    _told.at = time.monotonic()
    if follower := os.environ.get("HINDSIGHT_PROGRESS"):
        with Path(follower).open("a") as file:
            file.write(line + "\n")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"
