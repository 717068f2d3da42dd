"""`hindsight`, `snakemake`, `torchrun` and Python for tests, in processes forked from one that has imported everything.

An import takes seconds of processor time, most steps of a test's small run less than one. A server (`server.py`)
imports once; a command (`client.py`, first on the PATH) sends it its arguments, folder, environment and open files,
forwards signals, and exits like the forked process. Tests of how a process starts, or of a killed process group, run
the real commands.
"""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

from tests import shared

COMMANDS = {"hindsight": "bin", "snakemake": "bin", "torchrun": "bin", "python": "."}  # all on the PATH except `python`
HERE = Path(__file__).parent
SERVER = ["-m", "tests.warm.server"]  # arguments of Python
PATIENCE = 120.0  # seconds for the server's imports, on a busy machine


def folder() -> Path:
    """The folder of the commands; the first call starts the server, which ends with the test session."""
    return shared.once("warm", lambda place: start(place, shared.owner())) / "bin"


def python() -> Path:
    """The command that runs a Python file or module; not on the PATH, where every script would use it."""
    return folder().parent / "python"


def start(place: Path, owner: int) -> subprocess.Popen:
    """Start a server in a folder and put its commands into `bin` there; it ends with the process `owner`."""
    (place / "bin").mkdir(parents=True)
    for name, where in COMMANDS.items():
        script = place / where / name
        script.write_text(
            f"#!{sys.executable} -IS\n{(HERE / 'client.py').read_text()}\n\nmain({str(place / 'door')!r}, {name!r})\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    words = [sys.executable, *SERVER, str(place / "door"), str(owner)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    with (place / "log").open("w") as log:
        server = subprocess.Popen(words, cwd=HERE.parents[1], env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                  stderr=log, start_new_session=True)  # fmt: skip
    until = time.monotonic() + PATIENCE
    while not (place / "door").exists():
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the server of warm processes did not start:\n{(place / 'log').read_text()}")
        time.sleep(0.05)
    return server
