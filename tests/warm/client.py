"""A command that runs in a process forked by the server: it sends its arguments there and exits like that process."""

import marshal
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main(door: str, name: str) -> None:
    """Run a command in the server; never returns."""
    umask = os.umask(0)
    os.umask(umask)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(door)
        for number in PASSED_ON:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda number, frame: server.send(bytes([number])))
        request = marshal.dumps((name, [name, *sys.argv[1:]], os.getcwd(), dict(os.environ), umask))
        socket.send_fds(server, [request], [0, 1, 2])
        status = server.recv(16)
    if not status:
        sys.exit(f"{name}: the server of warm processes is gone")
    end(int(status))


def end(status: int) -> None:
    """Exit with the status of another process, by a signal if a signal ended that."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code in PASSED_ON:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
