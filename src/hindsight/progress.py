"""Progress of a step with an ETA: one line that is redrawn on a terminal, or a line every half minute in a log.

If the environment variable HINDSIGHT_PROGRESS names a file, lines are also appended to it every few seconds, so that
many jobs whose output goes to logs can be followed in one place (`make demo` does). `heartbeat` reports that a job is
at work while it imports, fits or compiles and reports no progress. Within it all lines begin with the name of the job
and give the time since the job began.
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
class _Step:
    job: str = ""  # its name; empty without `heartbeat`
    start: float | None = None  # monotonic time; None without `heartbeat`
    reported: float = 0.0  # monotonic time of the last report
    activity: str = ""  # what the step does at present


_step = _Step()


class Progress:
    """Reports how much of a long computation is done, the time since the job began, and the time that it still takes.

    Args:
        name: the step, and after a comma what it does at present; `heartbeat` puts the job in the place of the step.
        total: amount of work.
        unit: of the amount, such as days.
        quiet_seconds: shortest time between lines if the output is not a terminal.
    """

    def __init__(self, name: str, total: int, unit: str = "", quiet_seconds: float = 30.0) -> None:
        step, comma, self.phase = name.partition(", ")
        self.name, self.total, self.unit = (_step.job or step) + comma + self.phase, max(total, 1), unit and f" {unit}"
        self.terminal = sys.stderr.isatty()
        self.pause = 0.2 if self.terminal else quiet_seconds
        self.start = self.printed = self.reported = time.monotonic()
        self.done_at_start = 0

    def __call__(self, done: int, note: object = "") -> None:
        """Report that an amount of work is done; the first call of a resumed job sets the amount that it began with."""
        now = time.monotonic()
        if done > self.total:  # a diverged sample is repeated with twice the steps
            self.total *= 2
        _step.activity = f"{self.phase} {self._share(done)}".strip()
        if done == 0 or self.done_at_start == 0 and done > 1 and now - self.start < 1:
            self.done_at_start = done
        if now - self.reported >= REPORT_SECONDS:
            self.reported = now
            report(self._line(done, now, note))
        if now - self.printed >= self.pause or done >= self.total:
            self.printed = now
            self._print(self._line(done, now, note), done >= self.total)

    def _line(self, done: int, now: float, note: object) -> str:
        pace = (now - self.start) / max(done - self.done_at_start, 1)
        elapsed = now - (self.start if _step.start is None else _step.start)
        times = f"{_duration(elapsed)}, {_duration(pace * (self.total - done))} to go"
        return f"{self.name}  {self._share(done)}  {times}" + (f"  {note}" if note else "")

    def _share(self, done: int) -> str:
        return f"{done}/{self.total}{self.unit}"

    def _print(self, line: str, last: bool) -> None:
        text, end = ("\r\033[K" + line, "\n" if last else "") if self.terminal else (line, "\n")
        print(text, end=end, file=sys.stderr, flush=True)


def announce(activity: str) -> None:
    """Set the activity that `heartbeat` reports, and let it report at once."""
    _step.activity = activity
    _step.reported = 0.0


@contextmanager
def heartbeat(job: str) -> Iterator[None]:
    """Context that reports every few seconds that a job is at work, and its activity.

    Reports go to a terminal and to the file of HINDSIGHT_PROGRESS, not to a log.

    Args:
        job: the step and, where jobs run at the same time, what this one works on.
    """
    start, over = time.monotonic(), threading.Event()
    _step.__init__(job, start, start - REPORT_SECONDS)  # the first report comes sooner: start-up took seconds already

    def beat() -> None:
        while not over.wait(0.5):
            now = time.monotonic()
            if now - _step.reported >= 1.5 * REPORT_SECONDS:  # unless `Progress` has reported
                _step.reported = now
                _report_everywhere(f"{job}  {_duration(now - start)}  {_step.activity or 'at work'}")

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _step.__init__()


def _report_everywhere(line: str) -> None:
    with suppress(OSError):  # such as a full disk, which the step itself will report
        report(line)
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def report(line: str) -> None:
    """Append a line to the file of HINDSIGHT_PROGRESS, if it is set."""
    _step.reported = time.monotonic()
    if path := os.environ.get("HINDSIGHT_PROGRESS"):
        with Path(path).open("a") as file:
            file.write(line + "\n")


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"
