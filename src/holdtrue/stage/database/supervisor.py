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
from typing import Any

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


class _EndedError(Exception):
    """We were told to end."""


def _run(order: "dict[str, Any]", step: "dict[str, Any]", wakeup: socket.socket) -> int:
    account = {"user": order["user"], "group": order["group"], "extra_groups": []}
    child = subprocess.Popen(
        step["command"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=order["environment"],
        cwd=order["directory"],
        **(account if order["user"] and not step["ours"] else {}),
    )
    if not _ended(child, wakeup):
        _stop(child)
        raise _EndedError
    return int(child.returncode)


def main() -> int:
    """Make the data in the first way that works, keep a copy where that is asked for, and run the server.

    Returns the exit code of what failed.
    """
    order = json.loads(sys.argv[1])
    wakeup = _wakeup()
    try:
        for way in order["make"]:
            code = _run(order, way, wakeup)
            if code == 0:
                break
            shutil.rmtree(order["data"], ignore_errors=True)
        else:
            return code
        if order["keep"]:
            _run(order, order["keep"], wakeup)  # it may fail: then it is made again the next time
        return _run(order, order["serve"], wakeup)
    except _EndedError:
        return 0
    finally:
        shutil.rmtree(order["directory"], ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
