"""Progress with an ETA: one living line on a terminal, a line now and then in a log."""

import sys
import time


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
        self.began = self.told = time.monotonic()
        self.before = 0

    def __call__(self, done: int, note: object = "") -> None:
        """Say that `done` steps are done; the first call of a resumed job tells where it began."""
        now = time.monotonic()
        if done == 0 or self.before == 0 and done > 1 and now - self.began < 1:
            self.before = done
        if now - self.told < self.pause and done < self.total:
            return
        self.told = now
        pace = (now - self.began) / max(done - self.before, 1)
        line = (
            f"{self.what}  {done}/{self.total}  {_clock(now - self.began)}, {_clock(pace * (self.total - done))} to go"
        )
        end = "\n" if not self.living or done >= self.total else ""
        print(
            ("\r\033[K" if self.living else "") + line + (f"  {note}" if note else ""),
            end=end,
            file=sys.stderr,
            flush=True,
        )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"
