"""The benchmark of the first run, with a command that prints, pauses and allocates memory."""

import sys
import time

import pytest

from tests.workflow import runs

sys.path.append(str(runs.ROOT / "benchmarks"))

import first_run  # noqa: E402

TALKS = """
import time
print("one", flush=True)
time.sleep(1.5)
more = b"x" * 300_000_000
print("two", flush=True)
time.sleep(0.8)
print("three", flush=True)
"""


def test_lines_silence_and_memory_are_those_of_the_command(tmp_path):
    found = first_run.watched([sys.executable, "-c", TALKS], tmp_path)
    assert len(found.lines) == 3 and 2.3 <= found.seconds < 20
    assert found.silent >= 1.5 and found.silent == pytest.approx(
        max(b - a for a, b in zip(found.lines, found.lines[1:]))
    )
    assert found.bytes > 300_000_000


def test_a_failing_command_is_reported(tmp_path):
    with pytest.raises(SystemExit, match=r"-c raise SystemExit\(3\) failed"):
        first_run.watched([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)


def test_processor_seconds_are_not_wall_clock_seconds():
    assert first_run.processor([sys.executable, "-c", "import time; time.sleep(1)"]) < 0.9
    spins = "import time\nwhile time.process_time() < 0.6: pass"
    assert first_run.processor([sys.executable, "-c", spins]) > 0.5


def test_the_context_keeps_another_process_busy():
    children = lambda: set(first_run.psutil.Process().children())
    before = children()
    with first_run.a_busy_core():
        (other,) = children() - before
        until = time.monotonic() + 30  # a busy machine gives it little
        while other.cpu_times().user < 0.2 and time.monotonic() < until:
            time.sleep(0.1)
        assert other.cpu_times().user >= 0.2
    assert children() == before
