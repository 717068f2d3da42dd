"""Progress of a step with an ETA: one line that is redrawn on a terminal, or a line every half minute in a log.

If the environment variable HINDSIGHT_PROGRESS names a file, lines are also appended to it every few seconds, so that
many jobs whose output goes to logs can be followed in one place (`make demo` does). `heartbeat` reports that a step is
at work while it imports, fits or compiles and reports no progress.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

REPORT_SECONDS = 5.0  # between lines in the file of HINDSIGHT_PROGRESS


@dataclass
class _Latest:
    at: float = 0.0  # monotonic time of the last report
    activity: str = ""  # what the step does at present


_latest = _Latest()


class Progress:
    """Reports how much of a long computation is done.

    Args:
        name: name of the computation.
        total: total number of steps.
        quiet_seconds: shortest time between lines if the output is not a terminal.
    """

    def __init__(self, name: str, total: int, quiet_seconds: float = 30.0) -> None:
        self.name, self.total = name, max(total, 1)
        self.terminal = sys.stderr.isatty()
        self.pause = 0.2 if self.terminal else quiet_seconds
        self.began = self.printed = self.reported = time.monotonic()
        self.before = 0

    def __call__(self, done: int, note: object = "") -> None:
        """Report that `done` steps are done; the first call of a resumed job sets where it began."""
        now = time.monotonic()
        _latest.activity = f"{self.name.partition(', ')[2] or 'step'} {done}/{self.total}"
        if done == 0 or self.before == 0 and done > 1 and now - self.began < 1:
            self.before = done
        if now - self.reported >= REPORT_SECONDS:
            self.reported = now
            report(self._line(done, now, note))
        if now - self.printed >= self.pause or done >= self.total:
            self.printed = now
            self._print(self._line(done, now, note), done >= self.total)

    def _line(self, done: int, now: float, note: object) -> str:
        pace = (now - self.began) / max(done - self.before, 1)
        times = f"{_duration(now - self.began)}, {_duration(pace * (self.total - done))} to go"
        return f"{self.name}  {done}/{self.total}  {times}" + (f"  {note}" if note else "")

    def _print(self, line: str, last: bool) -> None:
        text, end = ("\r\033[K" + line, "\n" if last else "") if self.terminal else (line, "\n")
        print(text, end=end, file=sys.stderr, flush=True)


def announce(activity: str) -> None:
    """Set the activity that `heartbeat` reports, and let it report at once."""
    _latest.activity = activity
    _latest.at = 0.0


@contextmanager
def heartbeat(step: str) -> Iterator[None]:
    """Context that reports every few seconds that a step is at work, and its activity.

    Reports go to a terminal and to the file of HINDSIGHT_PROGRESS, not to a log.
    """
    began, over = time.monotonic(), threading.Event()
    _latest.__init__(began - REPORT_SECONDS)  # the first report comes sooner, since start-up took seconds already

    def beat() -> None:
        while not over.wait(0.5):
            now = time.monotonic()
            if now - _latest.at >= 1.5 * REPORT_SECONDS:  # unless `Progress` has reported
                _latest.at = now
                _report_everywhere(f"{step}  {_duration(now - began)}  {_latest.activity or 'at work'}")

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _report_everywhere(line: str) -> None:
    with suppress(OSError):  # such as a full disk, which the step itself will report
        report(line)
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def report(line: str) -> None:
    """Append a line to the file of HINDSIGHT_PROGRESS, if it is set."""
    _latest.at = time.monotonic()
    if path := os.environ.get("HINDSIGHT_PROGRESS"):
        with Path(path).open("a") as file:
            file.write(line + "\n")


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"
