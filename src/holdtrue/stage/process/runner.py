"""The app's processes: started, watched, stopped, killed, and never left behind.

Between us and the app stands ``supervisor.py``, one small process per command; it says there why.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from holdtrue.stage.process.errors import PortInUseError, StartError
from holdtrue.stage.process.ports import listens, says_in_use
from holdtrue.stage.process.probe import Probe

Redactor = Callable[[str], str]

_SUPERVISOR = (sys.executable, "-I", "-S", str(Path(__file__).with_name("supervisor.py")))
_TAIL_BYTES = 16_384
_LONGEST_SECRET = 1_024


def unredacted(text: str) -> str:
    """The redactor of an app without secrets."""
    return text


class Mother(Protocol):
    """Forks processes instead of starting them (``zygote.py``)."""

    @property
    def guard_pid(self) -> int | None:
        """The process that answers for the kernel when one of the children connects."""

    @property
    def sealed(self) -> bool:
        """Whether the kernel guards her, and with her the children."""

    async def fork(self, order: dict[str, Any], stdin: socket.socket, stdout: socket.socket) -> bool:
        """Have a process forked, under a supervisor with these ends; False if it cannot be."""


class AppProcess:
    """One process of the app, with all that it forks, in a session of its own, stdin closed, output in a file.

    ``log_path`` is written by the app itself and may hold its secrets: the file is readable by its owner only, belongs
    in a scratch directory, and is shown through ``log()`` alone, which redacts.

    A ``sealed`` process cannot connect outside this machine (``seal.py``); once started, ``sealed`` tells whether the
    kernel agreed. Only installers run unsealed. With a ``mother`` it is forked, where she can.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log_path: Path,
        redact: Redactor = unredacted,
        sealed: bool = True,
        mother: Mother | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.command = list(command)
        self.cwd = cwd
        self.env = dict(env)
        self.log_path = log_path
        self.sealed = sealed
        self.exited = asyncio.Event()
        self.pid: int | None = None
        self.returncode: int | None = None
        self.root_pid: int | None = None
        """The supervisor's, which all of the app's descend from, while it lives."""
        self.guard_pid: int | None = None
        """Who answers for the kernel when they connect, while it lives."""
        self._redact = redact
        self._mother = mother
        self._descriptors = list(descriptors)
        self._log_start = 0
        self._leash: asyncio.StreamWriter | None = None
        self._mouth: asyncio.StreamWriter | None = None
        self._started: asyncio.Future[None] | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether the app's main process was started and nothing said yet that it has ended."""
        return self.pid is not None and not self.exited.is_set()

    async def start(self) -> None:
        """Starts the command; returns when it runs, which is before it is ready.

        Raises ``StartError`` when the command cannot be executed at all.
        """
        if self._leash is not None:
            raise RuntimeError(f"{self.name} was started before; make a new AppProcess for a new run")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.log_path.touch(mode=0o600)
        self._log_start = self.log_path.stat().st_size  # a file kept over a restart: only this run's words count
        self._started = asyncio.get_running_loop().create_future()
        # Two of them: what is unread on its stdin when it ends must not cut off what it said.
        (stdin, orders), (stdout, events) = socket.socketpair(), socket.socketpair()
        with contextlib.ExitStack() as unless_started, stdin, stdout:
            unless_started.callback(events.close)
            _, self._leash = await asyncio.open_connection(sock=orders)
            unless_started.callback(self._leash.close)
            said, self._mouth = await asyncio.open_connection(sock=events)
            unless_started.callback(self._mouth.close)
            supervisor = await self._supervisor(stdin, stdout)
            unless_started.pop_all()
        self._reader = asyncio.create_task(self._read_events(said, supervisor), name=f"supervisor of {self.name}")
        order = self._order() | {"sealed": self.sealed, "descriptors": self._descriptors}
        data = json.dumps(order).encode()
        try:
            await self._send(len(data).to_bytes(8, "big") + data)
            await self._started
        except BaseException:
            await self.kill()
            raise

    def _order(self) -> dict[str, object]:
        return {"command": self.command, "cwd": str(self.cwd), "env": self.env, "log": str(self.log_path)}

    async def _supervisor(self, stdin: socket.socket, stdout: socket.socket) -> asyncio.subprocess.Process | None:
        """Start a supervisor; None when the mother did, who will reap it."""
        order = self._order() | {"supervisor": _SUPERVISOR}
        if self._mother is not None and await self._mother.fork(order, stdin, stdout):
            self.guard_pid, self.sealed = self._mother.guard_pid, self._mother.sealed
            return None
        return await asyncio.create_subprocess_exec(
            *_SUPERVISOR,
            stdin=stdin.fileno(),
            stdout=stdout.fileno(),
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            start_new_session=True,
            pass_fds=self._descriptors,
        )

    async def ready(self, url_path: str | None, port: int, *, patience: float) -> int | None:
        """Waits until the app answers on ``127.0.0.1:port``; at most ``patience`` seconds.

        With a ``url_path`` it is ready at the first HTTP answer below 400 (returned), without one at the first accepted
        connection. Raises ``StartError`` with the log's tail at once when the process ends before, or when patience
        does; ``PortInUseError`` when the port turns out to be somebody else's.
        """
        probe = Probe(url_path, port)
        asking = asyncio.create_task(probe.answered())
        ending = asyncio.create_task(self.exited.wait())
        try:
            await asyncio.wait({asking, ending}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if self.exited.is_set():
                raise self._died_early(port)
            if not asking.done():
                raise self._never_ready(probe, patience)
            # A stranger on the port would be rehearsed instead of the app, and every verdict would be about it.
            if self.pid is not None and listens(self.pid, port) is False:
                raise self._stranger(port)
            return asking.result()
        finally:
            for task in (asking, ending):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def wait(self) -> int:
        """Waits until the process and everything that it forked has ended; returns its code (negative: a signal)."""
        await self.exited.wait()
        if self.returncode is None:
            raise StartError(
                f"{self.name} ended without an exit code",
                where=str(self.cwd),
                why="Its supervisor was killed from outside.",
                do="Run again; look at the system's memory, an out-of-memory kill is the usual cause.",
            )
        return self.returncode

    async def stop(self, *, patience: float = 5.0) -> int | None:
        """SIGTERM to the whole process group, SIGKILL when it does not end within ``patience`` seconds."""
        if self.alive:
            await self._send(b"term\n")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.exited.wait(), patience)
        return await self.kill()

    async def kill(self) -> int | None:
        """SIGKILL to the process and everything that it forked, now. Returns when nothing of it is alive."""
        if self._leash is None:
            return None
        if self.alive and self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        await self._send(b"kill\n")
        if self._reader is not None:
            await asyncio.wait({self._reader})  # unlike a plain await, cancelling us does not cancel the reader
            self._reader.result()
        return self.returncode

    def log(self, lines: int | None = None) -> str:
        """The end of what the app wrote, redacted: the last ``lines``, else as much as fits in 16 KiB."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as file:
            first = max(self._log_start, file.seek(0, os.SEEK_END) - _TAIL_BYTES)
            file.seek(first)
            data = file.read()
        if first > self._log_start:
            # Not half a line, or the rest of one without an end: half a secret is not recognised.
            data = data.partition(b"\n")[2] or data[_LONGEST_SECRET:]
        text = self._redact(data.decode(errors="replace"))
        return text if lines is None else "\n".join(text.splitlines()[-lines:])

    async def _send(self, message: bytes) -> None:
        if self._leash is None or self._leash.is_closing():
            return
        self._leash.write(message)
        with contextlib.suppress(ConnectionError):  # it ended on its own: the reader knows
            await self._leash.drain()

    async def _read_events(self, events: asyncio.StreamReader, supervisor: asyncio.subprocess.Process | None) -> None:
        if self._leash is None or self._mouth is None or self._started is None:
            raise RuntimeError("there is no supervisor yet")
        failure: StartError | None = None
        try:
            async for line in events:
                event: dict[str, Any] = json.loads(line)
                if event["event"] == "started":
                    self.pid, self.root_pid, self.sealed = event["pid"], event["supervisor"], event["sealed"]
                    self.guard_pid = self.guard_pid or self.root_pid
                    if not self._started.done():
                        self._started.set_result(None)
                elif event["event"] == "failed":
                    failure = self._cannot_execute(event["message"])
                else:
                    self.returncode = event["returncode"]
        finally:
            self._leash.close()
            self._mouth.close()
            if supervisor is not None:
                await supervisor.wait()
            self.root_pid = self.guard_pid = None
            if not self._started.done():
                self._started.set_exception(failure or self._cannot_execute("the supervisor ended at once"))
            self.exited.set()

    def _tail(self) -> str:
        lines = self.log(20).splitlines()
        return "\n".join(["its last words:", *(f"    {line}" for line in lines)]) if lines else "it said nothing"

    def _cannot_execute(self, message: str) -> StartError:
        return StartError(
            f"{self.name} could not be executed: {self._redact(message)}",
            where=f"{self.command[0]!r} in {self.cwd}",
            why="Without the app there is nothing to rehearse on.",
            do="Correct the command, or name in the document how the app's tools are installed.",
        )

    def _died_early(self, port: int) -> StartError:
        if says_in_use(self.log()):
            return PortInUseError(
                f"{self.name} found port {port} in use; {self._tail()}",
                where=self._redact(" ".join(self.command)),
                why="It would have answered in the app's place.",
                do="End what listens there, or let the stage choose the port: write {port} in the command.",
            )
        return StartError(
            f"{self.name} ended with code {self.returncode} before it was ready; {self._tail()}",
            where=self._redact(" ".join(self.command)),
            why="Without the app there is nothing to rehearse on.",
            do="Run the same command by hand with the declared environment; what it misses belongs in the document.",
        )

    def _never_ready(self, probe: Probe, patience: float) -> StartError:
        answer = "" if probe.last_status is None else f" (the last answer was {probe.last_status})"
        return StartError(
            f"{self.name} was not ready in {patience:g} s: {probe.question} did not succeed{answer}; {self._tail()}",
            where=self._redact(" ".join(self.command)),
            why="A rehearsal on an app that is not up would accuse it of everything.",
            do="Check that it listens on the port it is given and that the readiness path answers 2xx without a "
            "sign-in; give a slow start more patience.",
        )

    def _stranger(self, port: int) -> PortInUseError:
        return PortInUseError(
            f"port {port} answers, but no process of {self.name} listens on it; {self._tail()}",
            where=self._redact(" ".join(self.command)),
            why="The rehearsal would have been held against a stranger.",
            do="Make the app listen on the port it is given (write {port} in the command or in its environment).",
        )
