"""A command that is forked from a warm process behaves like the real command."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests import warm

ASKED = """
import json, os, sys
print(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ), sys.stdin.read(), os.umask(0)]))
print("aside", file=sys.stderr)
"""
STANDS = """
import os, signal, sys, time
{before}
print(os.getpid(), flush=True)
time.sleep(60)
"""
SERVER = """
import sys
from tests.warm import server

def run():
    exec(compile(sys.argv[1], "told", "exec"), {"__name__": "told"})

sys.argv[:] = sys.argv[1:]
server.Server({"hindsight": run, "snakemake": run}, sys.argv[0]).serve(int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A server whose commands run the Python that they are given: its folder."""
    yield from served(tmp_path_factory.mktemp("w"))


def served(place):
    with warm_as(SERVER, place):
        server = warm.start(place, os.getpid())
    yield place
    server.kill()
    server.wait()


class warm_as:
    """While it lasts, a server is started from this code."""

    def __init__(self, code, place):
        self.code, self.place = code, place

    def __enter__(self):
        self.before, warm.SERVER = warm.SERVER, ["-c", self.code]

    def __exit__(self, *error):
        warm.SERVER = self.before


def call(place, code, *words, **options):
    """Run a command that runs this code."""
    settled = {"capture_output": True, "text": True, "timeout": 60}
    return subprocess.run([place / "bin/hindsight", code, *words], **settled | options)


def begun(place, before=""):
    """A command under way, and the number of the process that does its work."""
    command = subprocess.Popen(
        [place / "bin/hindsight", STANDS.format(before=before)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a shell's background job ignores
    )
    return command, int(command.stdout.readline())


def gone(number, seconds=20):
    """Whether a process ends within `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.05)
                continue
        return True
    return False


def test_it_has_the_words_the_folder_the_environment_the_input_and_the_mask(place, tmp_path):
    import json

    variables = {"ONE": "1", "ODD": "a\nb=ü", "PATH": os.environ["PATH"]}
    done = call(place, ASKED, "a b", "", "ü", input="given", cwd=tmp_path, env=variables, umask=0o027)
    words, folder, environment, given, mask = json.loads(done.stdout)
    assert words[1:] == ["a b", "", "ü"] and folder == str(tmp_path) and given == "given" and mask == 0o027
    assert {name: environment.get(name) for name in variables} == variables
    assert "HOME" not in environment and done.stderr == "aside\n"  # nothing of the server's own


@pytest.mark.parametrize(("code", "ends"), [
    ("pass", 0), ("sys.exit(3)", 3), ("sys.exit('a sentence')", 1), ("raise ValueError('odd')", 1),
    ("os._exit(143)", 143), ("sys.exit(263)", 7), ("os.kill(os.getpid(), 9)", -9), ("os.kill(os.getpid(), 15)", -15),
])  # fmt: skip
def test_it_ends_as_its_process_ends(place, code, ends):
    done = call(place, f"import os, sys\n{code}")
    assert done.returncode == ends
    assert ("a sentence\n" in done.stderr) == ("sentence" in code) and ("ValueError: odd" in done.stderr) == (
        "odd" in code
    )


def test_exit_handlers_and_threads_finish(place, tmp_path):
    code = "import atexit, pathlib, threading, time\natexit.register(pathlib.Path('left').touch)\n"
    code += "threading.Thread(target=lambda: time.sleep(0.3) or pathlib.Path('waited').touch()).start()\n"
    assert call(place, code + "print('a', end='')", cwd=tmp_path).stdout == "a"
    assert (tmp_path / "left").exists() and (tmp_path / "waited").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_reaches_the_process(place, number):
    heeded = "import signal\nsignal.signal({}, lambda *_: print('heard', flush=True) or sys.exit(143))"
    command, _ = begun(place, heeded.format(int(number)))
    command.send_signal(number)
    assert command.communicate(timeout=20)[0] == "heard\n" and command.returncode == 143


def test_an_unhandled_signal_ends_both_processes(place):
    command, process = begun(place)
    command.terminate()
    assert command.wait(20) == -signal.SIGTERM and gone(process)


def test_killing_a_command_kills_its_process_and_its_children(place):
    command, process = begun(place, "import subprocess\nprint(subprocess.Popen(['sleep', '60']).pid, flush=True)")
    below = int(command.stdout.readline())
    assert psutil.pid_exists(below)
    command.kill()
    command.wait()
    assert gone(process) and gone(below)


def test_simultaneous_commands_do_not_mix(place):
    code = "import sys, time; time.sleep(0.2); print(sys.argv[2])"
    many = [subprocess.Popen([place / "bin/snakemake", code, f"{k}"], stdout=-1, text=True) for k in range(20)]
    assert [one.communicate(timeout=60)[0] for one in many] == [f"{k}\n" for k in range(20)]


def test_the_server_and_all_its_processes_end_with_the_owner(tmp_path):
    owner = subprocess.Popen(["sleep", "60"])
    with warm_as(SERVER, tmp_path):
        server = warm.start(tmp_path, owner.pid)
    command, process = begun(tmp_path)
    owner.kill()
    owner.wait()
    try:
        assert server.wait(20) == 0 and gone(process) and command.wait(20)
    finally:
        server.kill()
    assert call(tmp_path, "pass").returncode != 0


def test_a_server_that_cannot_start_says_why(tmp_path):
    with (
        warm_as("raise SystemExit('no torch')", tmp_path),
        pytest.raises(RuntimeError, match="did not start:\nno torch"),
    ):
        warm.start(tmp_path, os.getpid())


@pytest.mark.parametrize("words", [["--help"], ["verify.nonsense"], ["verify.score", "--settings", "nowhere"]])
def test_the_commands_of_the_tests_print_what_the_real_ones_print(words):
    warmed, real = ([found / "hindsight", *words] for found in (warm.folder(), Path(sys.executable).parent))
    warmed, real = (subprocess.run(one, capture_output=True, text=True) for one in (warmed, real))
    assert (warmed.returncode, warmed.stdout, warmed.stderr) == (real.returncode, real.stdout, real.stderr)
