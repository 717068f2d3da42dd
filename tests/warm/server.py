"""Import everything once, then fork a process for every command.

    python -m tests.warm.server DOOR OWNER

Listens on the socket DOOR until the process OWNER has ended. A request is a message with the command's name, arguments,
folder, environment and umask, and its three open files. Bytes after it are signals for the forked process; the end of
the connection, as when the command is killed, means SIGKILL for the process and its group. The answer is the exit
status, as `wait` returns it.
"""

import atexit
import gc
import importlib
import marshal
import os
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def warm() -> dict[str, Callable]:
    """Import the modules of the steps and the workflow; return the commands."""
    import snakemake.cli
    import snakemake_executor_plugin_slurm  # noqa: F401
    import torch
    from torch.distributed import run as torchrun

    from hindsight import cli

    torch.set_num_threads(1)
    for step in cli.steps().values():
        importlib.import_module(step.module)
    for name in ("cfgrib", "gcsfs", "matplotlib.pyplot", "netCDF4", "numcodecs", "snakemake.executors.local"):
        with suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # otherwise garbage collection in the children would copy the pages
    return {"hindsight": cli.main, "snakemake": snakemake.cli.main, "torchrun": torchrun.main, "python": script}


def script() -> None:
    """`python FILE WORDS` or `python -m MODULE WORDS`."""
    sys.argv.pop(0)
    if sys.argv[0] == "-m":
        sys.argv.pop(0)
        sys.path.insert(0, os.getcwd())
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(sys.argv[0]).resolve().parent))
        runpy.run_path(sys.argv[0], run_name="__main__")


class Server:
    """Forks processes, forwards signals to them, and reports how they ended.

    Args:
        commands: functions by the names of commands.
        door: path of the socket.
    """

    def __init__(self, commands: dict[str, Callable], door: str) -> None:
        self.commands = commands
        self.door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.door.bind(f"{door}.new")
        self.door.listen(64)
        os.rename(f"{door}.new", door)  # a socket of this name accepts connections
        self.clients: dict[int, socket.socket] = {}  # by the number of the file
        self.processes: dict[int, int] = {}  # by the number of their client's file; 0 before there is one
        self.ends: dict[int, int] = {}  # client, by the number of its process' file

    def serve(self, owner: int) -> None:
        """Serve until the owner has ended."""
        while alive(owner):
            ready, _, _ = select.select([self.door, *self.clients, *self.ends], [], [], 1.0)
            for one in ready:
                self.heed(one)
        for client in list(self.clients):
            self.drop(client)

    def heed(self, one: socket.socket | int) -> None:
        """Handle a file that is ready to be read, unless it has been closed meanwhile."""
        if one is self.door:
            client, _ = self.door.accept()
            self.clients[client.fileno()], self.processes[client.fileno()] = client, 0
        elif one in self.ends:
            self.tell(one)
        elif one in self.clients:
            self.listen(one)

    def listen(self, client: int) -> None:
        """Handle a request, a signal, or the end of a client."""
        process = self.processes[client]
        if not process:
            message, files, _, _ = socket.recv_fds(self.clients[client], 1 << 20, 3)
            self.start(client, message, files) if files else self.drop(client)
        elif number := self.clients[client].recv(1):
            with suppress(ProcessLookupError):
                os.kill(process, number[0])
        else:
            self.drop(client)

    def start(self, client: int, message: bytes, files: list[int]) -> None:
        """Fork a process that runs the requested command."""
        process = os.fork()
        if not process:
            self.forget()
            become(self.commands, message, files)
        with suppress(OSError):
            os.setpgid(process, process)
        for file in files:
            os.close(file)
        self.processes[client] = process
        self.ends[os.pidfd_open(process)] = client

    def forget(self) -> None:
        """Close the server's files in a new process."""
        self.door.close()
        for file in [*self.clients, *self.ends]:
            os.close(file)

    def tell(self, end: int) -> None:
        """Send the exit status of an ended process to its client."""
        client = self.ends.pop(end)
        os.close(end)
        _, status = os.waitpid(self.processes.pop(client), 0)
        with self.clients.pop(client) as connection, suppress(OSError):
            connection.send(b"%d" % status)

    def drop(self, client: int) -> None:
        """Kill the process group of a client that ended without waiting."""
        if process := self.processes.get(client):
            with suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
        else:
            self.processes.pop(client)
            self.clients.pop(client).close()


def become(commands: dict[str, Callable], message: bytes, files: list[int]) -> None:
    """Run a command in this process, with the client's files, folder and environment; never returns."""
    code = 1
    try:
        name, sys.argv[:], place, environment, mask = marshal.loads(message)
        os.setpgid(0, 0)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(environment)
        os.umask(mask)
        os.chdir(place)
        code = ended(commands[name])
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        code = code or 1
    finally:
        os._exit(code)


def ended(run: Callable) -> int:
    """Run a command; return the exit code that Python would give it."""
    try:
        found = run()
    except SystemExit as error:
        found = error.code
    except BaseException:
        traceback.print_exc()
        return 1
    if found is None or isinstance(found, int):
        return (found or 0) & 255
    print(found, file=sys.stderr)
    return 1


def alive(process: int) -> bool:
    """Whether a process exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, which a command does not have there
    Server(warm(), sys.argv[1]).serve(int(sys.argv[2]))
