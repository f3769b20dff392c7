"""Ports on loopback, and who listens on them."""

import errno
import re
import socket

import psutil

_given: set[int] = set()
_IN_USE = re.compile(
    r"EADDRINUSE|address already in use|\[Errno (?:98|48)\]|port \d+ is (?:already )?in use", re.IGNORECASE
)


def free_port() -> int:
    """A TCP port that nobody listens on at this moment, never the same one twice in one run of ours.

    Somebody else may take it before the app does: a start that fails with *address in use* is to be tried again with
    another one (see ``start_on_port``).
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port


def is_taken(port: int) -> bool:
    """Whether a listener already holds this port on loopback or on every address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as refusal:
            if refusal.errno == errno.EADDRINUSE:
                return True
            raise
    return False


def says_in_use(log: str) -> bool:
    """Whether a log reads as if the app found its port taken (uvicorn, gunicorn, Flask, Node, Go, Puma)."""
    return _IN_USE.search(log) is not None


def listens(pid: int, port: int) -> bool | None:
    """Whether the process or one of its descendants listens on the port; None where the system will not tell."""
    try:
        main = psutil.Process(pid)
        family = [main, *main.children(recursive=True)]
    except psutil.Error:
        return None
    hidden = False
    for process in family:
        try:
            connections = process.net_connections("tcp")
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            hidden = True
            continue
        if any(c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port for c in connections):
            return True
    return None if hidden else False
