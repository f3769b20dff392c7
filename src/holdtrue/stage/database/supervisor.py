"""Starts a scratch PostgreSQL, and ends it when the process that asked for it goes away, however it goes.

Run as a file by the interpreter itself, standard library only. Its standard input is a pipe that only the check holds
open: the kernel closes it on a clean exit, a crash and a SIGKILL alike, on Linux and macOS, which `PR_SET_PDEATHSIG`
(Linux only, bound to one thread) does not do. A process of its own, unlike a signal, can also remove the data.
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys

_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _wakeup() -> socket.socket:
    """A socket that becomes readable with the number of each signal that arrives."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    for number in (signal.SIGCHLD, *_END):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer.detach())
    return reader


def _ended(child: "subprocess.Popen[bytes]", wakeup: socket.socket) -> bool:
    """Wait for the child to end (true), or for the order to end it (false)."""
    while child.poll() is None:
        readable, _, _ = select.select([sys.stdin.fileno(), wakeup], [], [])
        if sys.stdin.fileno() in readable and not os.read(sys.stdin.fileno(), 1):
            return False
        if wakeup in readable and set(wakeup.recv(64)) & set(_END):
            return False
    return True


def _stop(child: "subprocess.Popen[bytes]") -> None:
    # An immediate shutdown: nothing is worth a checkpoint, and the postmaster kills a backend that ignores it for 5 s.
    child.send_signal(signal.SIGQUIT)
    try:
        child.wait(timeout=15)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def main() -> int:
    """Run each command of the order after the other; the last one stays. Returns the exit code of one that failed."""
    order = json.loads(sys.argv[1])
    account = {"user": order["user"], "group": order["group"], "extra_groups": []} if order["user"] else {}
    wakeup = _wakeup()
    try:
        for command in order["commands"]:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=order["environment"],
                cwd=order["directory"],
                **account,
            )
            if not _ended(child, wakeup):
                _stop(child)
                return 0
            if child.returncode:
                return int(child.returncode)
    finally:
        shutil.rmtree(order["directory"], ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
