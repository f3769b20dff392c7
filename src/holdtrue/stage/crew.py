"""The app's processes on one stage: web processes on demand, and one worker; each behind a wire listener of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from holdtrue.contract.document import Command, Document, Process
from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage.process import AppProcess, start_on_port

WEB, WORKER = "web", "worker"
WORKER_PATIENCE = 20.0
"""Seconds a worker may be silent after its start; one that only listens says nothing for long."""
LAST_BREATH = 0.3
"""Seconds in which a process that closed its connections is seen to have ended."""
FIRST, SECOND = "web1", "web2"


@dataclass(frozen=True, kw_only=True)
class Member:
    """One running process of the app; ``port`` is None for a worker."""

    name: str
    process: AppProcess
    port: int | None


Build = Callable[[Command, int | None], AppProcess]
"""Builds a process from a command and a port."""
Equip = Callable[[str], Awaitable[Build]]
"""Sets up the instruments for a process of that name, and returns what builds it with them in its environment."""


def web_command(process: Process) -> Command:
    """How a web process is started."""
    return process.start or f"{{python}} -m uvicorn {process.asgi} --host 127.0.0.1 --port {{port}}"


class Crew:
    """Starts, kills and replaces the app's processes."""

    def __init__(self, document: Document, equip: Equip, spoke: Callable[[str], Coroutine[Any, Any, object]]) -> None:
        self._process = document.process
        self._equip = equip
        self._spoke = spoke
        self._members: dict[str, asyncio.Task[Member]] = {}
        self._ends: Counter[str] = Counter()
        self._hanging: set[AppProcess] = set()
        self.sealed = True
        """Whether the kernel kept every process that was started from reaching anything but loopback."""

    @property
    def has_worker(self) -> bool:
        """Whether the app has a worker process of its own."""
        return self._process.worker is not None

    def begin(self, name: str) -> asyncio.Task[Member]:
        """Start a process in the background, unless it is there already."""
        task = self._members.get(name)
        if task is None:
            task = self._members[name] = asyncio.create_task(self._start(name))
        return task

    async def member(self, name: str) -> Member:
        """Return a running process; a dead one is replaced.

        Raises:
            StartError: it does not start.
        """
        task = self._members.get(name)
        if task is not None and task.done() and (task.exception() is not None or not task.result().process.alive):
            self._note_end(task)
            await self._forget(name)
        return await self.begin(name)

    async def everybody(self) -> list[Member]:
        """Return every process that was started, each alive."""
        return [await self.member(name) for name in list(self._members)]

    def dead(self) -> list[Member]:
        """Processes that ended by themselves."""
        return [member for member in self._started() if not member.process.alive]

    def pids(self, kind: str) -> list[int]:
        """The roots of the process trees that live, of the web or of the worker."""
        return [pid for process in self._of(kind) if (pid := process.root_pid) is not None]

    def guard_pids(self, kind: str) -> list[int]:
        """Who answers for the kernel when they connect; in the same trees, unless they were forked."""
        return [pid for process in self._of(kind) if (pid := process.guard_pid) is not None]

    def _of(self, kind: str) -> list[AppProcess]:
        return [member.process for member in self._started() if (member.name == WORKER) == (kind == WORKER)]

    async def notice(self, port: int) -> None:
        """Take notice if the process that did not answer on a port has ended: its connection ends before it does."""
        for member in self._started():
            if member.port == port:
                with contextlib.suppress(TimeoutError):  # it lives, and only does not answer
                    await asyncio.wait_for(member.process.exited.wait(), LAST_BREATH)

    async def end_hanging(self, name: str) -> None:
        """SIGKILL a process that let a request hang; it is replaced like one that ended by itself."""
        for member in self._started():
            if member.name == name and member.process.alive:
                self._hanging.add(member.process)
                await member.process.kill()

    def _started(self) -> list[Member]:
        done = [task for task in self._members.values() if task.done() and not task.cancelled()]
        return [task.result() for task in done if task.exception() is None]

    def ends(self) -> list[str]:
        """In words, which processes ended by themselves, and how often."""
        for task in self._members.values():
            if task.done():
                self._note_end(task)
        return [
            f"{end}, {count} times; the stage started it again" if count > 1 else f"{end}; the stage started it again"
            for end, count in self._ends.items()
        ]

    def _note_end(self, task: asyncio.Task[Member]) -> None:
        if not task.cancelled() and task.exception() is None and not task.result().process.alive:
            member = task.result()
            how = f"ended by itself with code {member.process.returncode}"
            if member.process in self._hanging:
                how = "let a request hang"
            self._ends[f"{member.name} {how} in a rehearsal"] += 1

    async def kill(self, *names: str) -> None:
        """SIGKILL the named processes, or all, and forget them; they start anew when they are next needed."""
        for name in names or tuple(self._members):
            await self._forget(name)

    async def promote(self, name: str) -> None:
        """Call a running process the first one from now on; the one that was must be gone."""
        member = await self.member(name)
        self._members[FIRST] = asyncio.ensure_future(_as(member, FIRST))
        del self._members[name]
        await self._members[FIRST]

    async def restart(self) -> None:
        """Replace every process by a fresh one, so that nothing is left in anybody's memory."""
        names = list(self._members)
        await asyncio.gather(*(self._forget(name) for name in names))
        for name in names:
            self.begin(name)
        await asyncio.gather(*(self.member(name) for name in names))

    async def close(self) -> None:
        """End everything."""
        await asyncio.gather(*(self._forget(name) for name in list(self._members)))

    async def _until_it_works(self, worker: AppProcess) -> None:
        """A worker has no readiness to ask for: it works once it has spoken to the database."""
        spoke, ended = asyncio.create_task(self._spoke(WORKER)), asyncio.create_task(worker.exited.wait())
        try:
            await asyncio.wait({spoke, ended}, timeout=WORKER_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (spoke, ended):
                task.cancel()
            await asyncio.gather(spoke, ended, return_exceptions=True)
        if worker.exited.is_set():
            raise HoldtrueError(
                f"the worker ended with code {worker.returncode}; its last words:\n{worker.log(15)}",
                where="process.worker",
                do="Run it by hand with the same environment.",
            )

    async def _forget(self, name: str) -> None:
        task = self._members.pop(name, None)
        if task is None:
            return
        if not task.done():
            task.cancel()
        done = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(done, Member):
            await done.process.kill()

    async def _start(self, name: str) -> Member:
        build = await self._equip(name)
        if name == WORKER:
            if self._process.worker is None:
                raise HoldtrueError("the document names no worker", where="process.worker")
            worker = build(self._process.worker, None)
            await worker.start()
            self.sealed &= worker.sealed
            await self._until_it_works(worker)
            return Member(name=name, process=worker, port=None)
        web, port = await start_on_port(
            lambda port: build(web_command(self._process), port),
            port=None,
            url_path=self._process.ready,
            patience=self._process.ready_seconds,
        )
        self.sealed &= web.sealed
        return Member(name=name, process=web, port=port)


async def _as(member: Member, name: str) -> Member:
    return replace(member, name=name)
