"""The first command of the README, as a newcomer types it: duration of set-up and demo, and how often they print.

    python benchmarks/first_run.py --json results/first_run.json
    python benchmarks/first_run.py --quick

Clones the last commit three times: one clone runs `make setup` (with packages from uv's cache, if there), one `make
demo`, set-up included, and one `make demo` while another process keeps a core busy. Memory is that of all processes
together, sampled every half second, shared pages counted in each. `silent_longest_s` is the longest time without an
output line. `--quick` uses the packages of this Python and a small world.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cases
import psutil
import yaml

from hindsight import machine, prior
from hindsight.settings.section import with_defaults

ROOT = Path(__file__).parents[1]
MEBI = 2**20
BUSY = "while True: pass"
SMALL = {
    "domain": {
        "train": {"start": "2003-10-01T00:00", "end": "2004-10-31T18:00"},
        "validation": {"start": "2004-11-01T00:00", "end": "2004-11-30T18:00"},
        "test": {"start": "2004-12-15T00:00", "end": "2005-01-03T18:00"},
    },
    "download": {
        "synthetic": {"start": "2003-10-01T00:00", "end": "2005-01-03T18:00", "truncation": 10, "latitudes": 12}
    },
    "train": {"steps": 4, "batch": 4, "processes": 1, "backbone": {"width": 8, "multipliers": [1]}},
    "product": {"members": 4, "member_block": 4, "shard_frames": 40},
    "reanalyse": {"steps": 2, "halo": 4},
}


@dataclass
class Watched:
    """A command that ran: its seconds, the times of its output lines, and the peak memory of its processes."""

    seconds: float = 0.0
    lines: list[float] = field(default_factory=list)
    bytes: int = 0

    @property
    def silent(self) -> float:
        """The longest time without a line."""
        times = [0.0, *self.lines, self.seconds]
        return max(b - a for a, b in zip(times, times[1:]))


def main() -> None:
    """Run it, print the figures, and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--quick", action="store_true", help="a few minutes: a check that it runs")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), chosen.quick)
    print(json.dumps(found, indent=1))
    cases.write(found, chosen.json)


def measured(folder: Path, quick: bool) -> dict:
    """All figures, from clones below a folder."""
    setup = None if quick else watched(["make", "setup"], cloned(folder / "setup", quick))
    demo = ["make", "demo", *(["--old-file=.venv/installed"] if quick else [])]
    here = cloned(folder / "alone", quick)
    alone = watched(demo, here)
    with a_busy_core():
        busy = watched(demo, cloned(folder / "busy", quick))
    step = [Path(sys.executable) if quick else here / ".venv/bin/python", "-c", "import hindsight.observe.simulate"]
    return {
        "setup_s": None if quick else round(setup.seconds, 1),
        "setup_mb": None if quick else round(size(folder / "setup/.venv") / 1e6),
        "demo_s": round(alone.seconds, 1),
        "demo_busy_s": round(busy.seconds, 1),
        "peak_mb": round(max(alone.bytes, busy.bytes) / MEBI),
        "first_progress_s": round(alone.lines[0], 2),
        "silent_longest_s": round(alone.silent, 1),
        "silent_longest_busy_s": round(busy.silent, 1),
        "import_step_cpu_s": round(min(processor(step) for _ in range(3)), 2),
        "precision": prior.load(here / "results/demo/train/prior.safetensors").metadata.precision,
        "device": machine.device_name("cpu"),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "quick": quick,
    }


def cloned(folder: Path, quick: bool) -> Path:
    """Clone the last commit; if quick, with the configuration of a small world."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    if quick:
        path = folder / "config/config.yaml"
        path.write_text(yaml.safe_dump(with_defaults(SMALL, yaml.safe_load(path.read_text()))))
    return folder


def watched(command: list[str], folder: Path) -> Watched:
    """Run a command in a folder without standard input, and record its output and memory."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    outer = ("MAKE", "MFLAGS", "VIRTUAL_ENV")  # of a make or an environment that this runs in
    running = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
    found, began = Watched(), time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=running | {"PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        over = threading.Event()
        weigher = threading.Thread(target=weigh, args=(process.pid, found, over))
        weigher.start()
        for line in process.stdout:
            found.lines.append(time.perf_counter() - began)
            print(f"{found.lines[-1]:8.1f}  {line}", end="", file=sys.stderr, flush=True)
        process.wait()
        over.set()
        weigher.join()
    found.seconds = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed in {folder}: see above")
    return found


def weigh(pid: int, found: Watched, over: threading.Event) -> None:
    """Record the peak memory of a process and its children together."""
    while not over.wait(0.5):
        total = 0
        try:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for one in family:
            try:
                total += one.memory_info().rss
            except psutil.Error:  # it has just ended
                continue
        found.bytes = max(found.bytes, total)


@contextmanager
def a_busy_core() -> Iterator[None]:
    """Keep a core busy with another process while the context lasts."""
    other = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def size(folder: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def processor(command: list) -> float:
    """Seconds of the processor that a command takes."""
    before = os.times()
    subprocess.run(command, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()
