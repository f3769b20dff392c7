"""Runs one app command and makes sure that nothing of it outlives the stage. A script, stdlib only, one thread.

Started as ``python -I -S supervisor.py`` with three promises:

- The specification (command, environment, log path) comes as JSON on stdin, so no secret is in ``ps``.
- stdin stays open as the lifeline. Whatever ends the stage, SIGKILL included, closes it, and everything is killed.
- It is the *subreaper* (prctl(2), PR_SET_CHILD_SUBREAPER) of all that the app forks: a grandchild that leaves its
  session and its process group still falls back to us, and is found and killed. PR_SET_PDEATHSIG alone would not do:
  it reaches only the direct child and is lost over a fork. It is set as well, for the case that *we* are killed.

On systems without prctl (macOS) there is no subreaper: what stays in the app's process group is killed; a daemon that
left its session is not.

When the specification says ``sealed``, the app runs behind the kernel's guard, whose questions are answered here (see
``seal.py``); where there is none, the app runs without it, and ``started`` says so.

Started with two numbers, it takes over a process that a zygote has forked (``redirect/python/holdtrue_zygote.py``): its
child already, which waits to be let go through a pipe. Who answers for the kernel then is the zygote's supervisor.

Commands on stdin: ``term``, ``kill``. Events on stdout, one JSON object a line: ``started`` (pid, and ours), ``failed``
(message), ``exited`` (return code; negative is a signal), the last when nothing of the app is alive any more.
"""

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdtrue.stage.process import seal
else:
    sys.path.append(str(Path(__file__).parent))  # last: nothing of ours may hide the standard library
    import seal

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LINUX = sys.platform == "linux"
LIBC = ctypes.CDLL(None)


def prctl(option: int, value: int) -> None:
    if LINUX:
        LIBC.prctl(option, value, 0, 0, 0)


def parents() -> dict[int, int]:
    """Every process's parent, from /proc/PID/stat (proc(5)): the fourth field, after the name in parentheses."""
    found: dict[int, int] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208  a Path per process is slow
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_bytes()
            except OSError:
                continue  # it ended between the listing and the reading
            found[int(entry)] = int(stat.rpartition(b")")[2].split()[1])
    return found


def descendants() -> list[int]:
    if not LINUX:
        return []
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found, queue = [], [os.getpid()]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


class Supervisor:
    def __init__(self, specification: dict[str, Any]) -> None:
        self.specification = specification
        self.returncode: int | None = None
        self.pid = 0
        self.wake = -1
        self.guard: seal.Guard | None = None

    def tell(self, **event: object) -> None:
        with contextlib.suppress(ConnectionError):  # the stage is gone; the lifeline says the same
            os.write(1, json.dumps(event).encode() + b"\n")

    def adopt(self, app: int, door: int) -> None:
        """Let a forked process go on: now we are the one who finds and ends what it forks."""
        self.pid = app
        with contextlib.suppress(BrokenPipeError):  # it is dead already
            os.write(door, b".")
        os.close(door)
        self.tell(event="started", pid=app, supervisor=os.getpid(), sealed=self.specification["sealed"])

    def start(self) -> bool:
        ours, theirs = socket.socketpair()
        with ours, theirs, open(self.specification["log"], "ab", buffering=0) as log:  # noqa: PTH123
            try:
                app = subprocess.Popen(
                    self.specification["command"],
                    cwd=self.specification["cwd"],
                    env=self.specification["env"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=self.specification["descriptors"],
                    preexec_fn=lambda: self.become(theirs),  # noqa: PLW1509  there is one thread only
                )
            except OSError as refusal:
                name = errno.errorcode.get(refusal.errno or 0, "")
                self.tell(event="failed", errno=name, message=f"{refusal.strerror}: {refusal.filename}")
                return False
            self.guard = self.take_guard(ours)
        self.pid = app.pid
        app.returncode = 0  # reaped below with everybody else, never by Popen
        self.tell(event="started", pid=app.pid, supervisor=os.getpid(), sealed=self.guard is not None)
        return True

    def become(self, ours: socket.socket) -> None:
        """In the forked child, before it becomes the app."""
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        listener = seal.enter() if self.specification["sealed"] else None
        socket.send_fds(ours, [b"."], [] if listener is None else [listener])

    def take_guard(self, theirs: socket.socket) -> "seal.Guard | None":
        _, listeners, _, _ = socket.recv_fds(theirs, 1, 1)
        return seal.Guard(listeners[0], self.specification["env"].get("HOLDTRUE_STAGE_EGRESS")) if listeners else None

    def send(self, number: int) -> None:
        """To the group, and to whoever left it: a worker in a session of its own is the app's as well."""
        if self.returncode is None or not LINUX:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM when only zombies are left
                os.killpg(self.pid, number)
        for pid in descendants():
            with contextlib.suppress(ProcessLookupError):
                if number == signal.SIGKILL or os.getpgid(pid) != self.pid:
                    os.kill(pid, number)

    def reap(self) -> bool:
        """Collects what ended. True when nobody is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self.pid:
                self.returncode = os.waitstatus_to_exitcode(status)

    def sweep(self) -> None:
        """Ends everybody. Repeats, because what is being killed may still have forked."""
        self.send(signal.SIGKILL)
        while not self.reap():
            select.select([self.wake], [], [], 0.02)
            self.send(signal.SIGKILL)

    def run(self, adopted: list[int]) -> None:
        """Until the app's main process has ended, or the lifeline did."""
        self.wake, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        # Handlers, not SIG_IGN: an ignored signal would stay ignored in the app.
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        if adopted:
            self.adopt(*adopted)
            os.write(wake_write, b"\0")  # it may have died before its end would have been told to us
        elif not self.start():
            return
        try:
            self.serve()
        finally:
            self.sweep()
        self.tell(event="exited", returncode=self.returncode)

    def serve(self) -> None:
        poll = select.poll()
        for descriptor in (0, self.wake):
            poll.register(descriptor, select.POLLIN)
        if self.guard is not None:
            poll.register(self.guard.listener, select.POLLIN)
        while True:
            for descriptor, event in poll.poll():
                if self.guard is not None and descriptor == self.guard.listener:
                    if event & select.POLLIN:
                        self.guard.answer()
                    else:
                        poll.unregister(descriptor)  # nobody is left who could ask
                elif not self.heed(descriptor):
                    return

    def heed(self, descriptor: int) -> bool:
        """Reads a command or a signal. False when it is time to sweep."""
        data = os.read(descriptor, 4096)
        if descriptor == self.wake:
            self.reap()
            return signal.SIGTERM not in data and self.returncode is None
        if b"term" in data:
            self.send(signal.SIGTERM)
        return bool(data) and b"kill" not in data


def read_specification() -> dict[str, Any]:
    """A buffered reader would swallow the first command, so the length comes first: eight bytes, big-endian."""
    size = int.from_bytes(os.read(0, 8), "big")
    data = b""
    while len(data) < size:
        chunk = os.read(0, size - len(data))
        if not chunk:
            sys.exit("supervisor: the specification was cut short")
        data += chunk
    specification: dict[str, Any] = json.loads(data)
    return specification


def main() -> None:
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    specification = read_specification()
    os.dup2(os.open(specification["log"], os.O_WRONLY | os.O_APPEND), 2)  # a fault of ours is read with the app's words
    Supervisor(specification).run([int(word) for word in sys.argv[1:]])
    os._exit(0)  # a crash of the app is measured in milliseconds; an interpreter's farewell takes ten


if __name__ == "__main__":
    main()
