"""Forks processes of the app from one that has imported other people's packages, and nothing of the app's own.

A *zygote* is the app's interpreter, started with the app's command and stopped in ``sitecustomize``, before it runs
anything of that command. It imports what an earlier process of the app was seen to import from outside the app, and
forks whenever a process is asked for: that one goes on where the zygote stopped, as if it had just been started. Its
own imports are all that is left of a start. gunicorn's ``--preload`` works so, too, only that it loads the app as well.

Runs in the app's interpreter, so: standard library only, Python 3.9 and later, nothing of holdtrue.
"""
# ruff: noqa: PTH123
# (pathlib would be one more import at every start of the app's interpreter)

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import sys
from typing import Any

from holdtrue_imports import is_outside  # type: ignore[import-not-found]  # it lies beside this file

_PATCHING = ("gevent", "eventlet")
"""What they replace must not have been imported before, so an app that uses them imports in an order of its own."""
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def serve(descriptor: int, names: str) -> None:
    """Import the modules named in a file, and fork for each order that comes; returns in the forked processes only.

    Answers ``{}`` when ready, or ``{"unfit": reason}`` where a fork would not be what a start is.
    """
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    _import_all(names)
    unfit = _unfit(descriptor)
    control.sendall(json.dumps({"unfit": unfit} if unfit else {}).encode())
    if unfit:
        os._exit(0)
    gc.collect()
    gc.freeze()  # gc.freeze's documentation: no collection in a child copies the pages of what it shares
    while True:
        order, ends = _receive(control)
        if os.fork() == 0:
            control.close()
            try:
                _become(order, ends)
            except BaseException:  # noqa: BLE001  this is not the zygote any more: it must not go on as if it were
                sys.excepthook(*sys.exc_info())  # into the zygote's log
                os._exit(1)
            return
        for end in ends:
            os.close(end)
        os.wait()


def _import_all(names: str) -> None:
    with open(names, encoding="utf-8") as file:
        wanted = file.read().split()
    path = list(sys.path)
    sys.path[:] = [entry for entry in path if is_outside(entry)]
    for name in wanted:
        try:
            __import__(name)
        except Exception:  # noqa: BLE001, S112  what cannot be imported here the app tries itself, and is told why
            continue
    sys.path[:] = path


def _unfit(control: int) -> str | None:
    """Why a fork of this process would differ from a fresh start, if it would."""
    if len(sys._current_frames()) > 1 or len(_listed("/proc/self/task")) > 1:
        return "an import started a thread"
    if any(name in sys.modules for name in _PATCHING):
        return "the app replaces parts of the standard library"
    if any(target.startswith("socket:") for fd, target in _open_files() if fd != control):
        return "an import opened a connection"
    if "numpy.random" in sys.modules or ("random" in sys.modules and _dice()):
        return "an import made a random number generator, whose numbers all children would share"
    if not hasattr(socket, "recv_fds") or not getattr(sys, "argv", None):
        return "the interpreter is too old"
    return None


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208
    except OSError:
        return []  # no such thing on this system


def _open_files() -> list[tuple[int, str]]:
    found = []
    for name in _listed("/proc/self/fd"):
        try:
            found.append((int(name), os.readlink(f"/proc/self/fd/{name}")))  # noqa: PTH115
        except OSError:
            continue  # the listing itself
    return found


def _dice() -> list[object]:
    """Generators beside the module's own, which ``os.fork`` seeds anew in the child; those that ask the system pass."""
    random: Any = sys.modules["random"]
    return [
        each
        for each in gc.get_objects()
        if issubclass(type(each), random.Random)
        and not issubclass(type(each), random.SystemRandom)
        and each is not random._inst
    ]


def _receive(control: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next order, eight bytes of length before it, and its supervisor's stdin and stdout."""
    head, ends, _, _ = socket.recv_fds(control, 8, 2)
    if not head:
        os._exit(0)  # the stage is gone
    size, data = int.from_bytes(head, "big"), b""
    while len(data) < size:
        chunk = control.recv(size - len(data))
        if not chunk:
            os._exit(0)
        data += chunk
    order: dict[str, Any] = json.loads(data)
    return order, ends


def _become(order: dict[str, Any], ends: list[int]) -> None:
    """Fork the process of the app, and become its supervisor; returns in the process of the app."""
    if os.fork():
        os._exit(0)  # so what follows is nobody's child, and falls to the zygote's supervisor, who reaps it
    door, key = os.pipe()
    supervisor = os.getpid()
    app = os.fork()
    if app:
        for number, end in enumerate(ends):
            os.dup2(end, number)
            os.close(end)
        os.set_inheritable(key, True)
        os.execve(order["supervisor"][0], [*order["supervisor"], str(app), str(key)], {})  # noqa: S606
    for end in (key, *ends):
        os.close(end)
    _dress(order)
    if os.getppid() != supervisor or not os.read(door, 1):
        os._exit(1)  # nobody is left who would end us
    os.close(door)


def _dress(order: dict[str, Any]) -> None:
    """Make of this process what a start with the order's words and environment would be."""
    os.setsid()
    _die_with_the_parent()
    os.chdir(order["cwd"])
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update(order["env"])
    for argv in (sys.argv, getattr(sys, "orig_argv", [])):
        argv.extend(order["arguments"])  # the zygote was started without any


def _die_with_the_parent() -> None:
    """prctl(2), as a supervisor does for what it starts."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
