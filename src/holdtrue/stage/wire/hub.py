"""What the connections of one wire share."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from holdtrue.stage.wire import protocol as p
from holdtrue.stage.wire.link import Link, Upstream
from holdtrue.stage.wire.normalise import analyse
from holdtrue.stage.wire.points import Held, Trap, Traps
from holdtrue.stage.wire.recording import Incident, Recording, Statement
from holdtrue.stage.wire.two_phase import Identifiers
from holdtrue.stage.wire.units import Step, Unit

if TYPE_CHECKING:
    from holdtrue.stage.wire.session import Session

log = logging.getLogger(__name__)

Audience = tuple[tuple[Recording, str | None], ...]


class Hub:
    """Counters, sessions, links, recordings, traps and tasks."""

    def __init__(self, upstream: Upstream, identifiers: Identifiers) -> None:
        self.upstream = upstream
        self.identifiers = identifiers
        self.password = secrets.token_urlsafe(24)
        self.sessions: set[Session] = set()
        self.links: set[Link] = set()
        self.recordings: list[Recording] = []
        self.traps = Traps()
        self.writing_functions: frozenset[str] = frozenset()
        self.connections = count(1)
        self.transactions = count(1)
        self.units = count(1)
        self.last_activity: dict[str, float] = {}
        self._seqs = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._watchers: set[asyncio.Future[None]] = set()

    # -- tasks and changes ----------------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a connection of the wire failed; its client sees a closed connection", exc_info=error)
        self.pulse()

    async def end_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def touch(self, process: str) -> None:
        """Something was asked or answered in this process."""
        self.last_activity[process] = asyncio.get_running_loop().time()
        if self._watchers:
            self.pulse()

    def pulse(self) -> None:
        """Wake whoever waits for a change."""
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)

    async def changed(self, timeout: float | None) -> None:
        """Wait for a change, `timeout` seconds at most."""
        watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.add(watcher)
        try:
            await asyncio.wait((watcher,), timeout=timeout)
        finally:
            self._watchers.discard(watcher)

    async def until(self, fulfilled: Callable[[], bool], *, patience: float | None) -> bool:
        """Wait for a condition that changes with `pulse`; whether it came true within `patience` seconds."""
        loop = asyncio.get_running_loop()
        deadline = None if patience is None else loop.time() + patience
        while not fulfilled():
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                return False
            await self.changed(left)
        return True

    def link_gone(self, link: Link) -> None:
        self.links.discard(link)
        self.touch(link.process)

    # -- points and recordings ------------------------------------------------------------------------------------

    @property
    def attentive(self) -> bool:
        return bool(self.recordings or self.traps)

    def examine(self, unit: Unit, process: str, *, in_transaction: bool) -> list[Trap]:
        """Find out what the unit is, who records it and what it runs into."""
        parts = [part for sql in unit.sqls for part in analyse(_text(sql))]
        points = [] if unit.continues else [part.shape for part in parts if part.is_point]
        unit.shape = points[0] if points else None
        unit.audience = tuple((recording, recording.label_of(process)) for recording in self.recordings)
        if not self.traps or unit.continues or not unit.sqls:
            return []
        return self.traps.sprung(process, points, in_transaction=in_transaction)

    def happened(self, what: Literal["cut before", "cut after", "held", "released"], to: Held) -> None:
        """Tell the open recordings what was done to a connection."""
        incident = Incident(
            what=what,
            process=to.process,
            connection=to.connection,
            sql=to.sql,
            at=asyncio.get_running_loop().time(),
        )
        for recording in self.recordings:
            recording.incidents.append(incident)

    def record(self, unit: Unit, *, process: str, connection: int, backend: int, role: str) -> None:
        """Hand the finished unit to the recordings that were open when it was sent and still are."""
        audience: Audience = tuple((recording, label) for recording, label in unit.audience if recording.is_open)
        if not audience:
            return
        for step in unit.steps:
            statement = self._statement(unit, step, process=process, connection=connection, backend=backend, role=role)
            for recording, label in audience:
                recording.add(statement if label is None else replace(statement, in_request=label))

    def _statement(
        self, unit: Unit, step: Step, *, process: str, connection: int, backend: int, role: str
    ) -> Statement:
        text = _text(step.sql)
        parts = analyse(text)
        part = parts[min(step.part, len(parts) - 1)] if parts else None
        prepared = step.portal.prepared if step.portal is not None else None
        binding = p.parse_binding(step.portal.bind) if step.portal is not None and step.portal.bind else None
        error = p.error_fields(step.error) if step.error is not None else {}
        return Statement(
            seq=next(self._seqs),
            unit=unit.number,
            process=process,
            connection=connection,
            backend=backend,
            role=role,
            transaction=step.transaction,
            sql=part.sql if part is not None else text,
            shape=part.shape if part is not None else "",
            kind=part.kind if part is not None else "other",
            writes=part is not None and (part.writes or bool(part.calls & self.writing_functions)),
            # What failed to be prepared, and the rest of a divided batch, is nowhere to stop.
            is_point=part is not None and part.is_point and unit.shape is not None,
            protocol="extended" if step.extended else "simple",
            parameters=binding.values if binding is not None else (),
            parameter_types=p.parameter_types(prepared.payload) if prepared is not None else (),
            parameter_formats=binding.formats if binding is not None else (),
            answered=step.answered,
            sqlstate=error.get("C"),
            message=error.get("M"),
            tag=step.tag.decode() if step.tag is not None else None,
            in_request=None,
            at=step.started,
            took=step.ended - step.started,
        )


def _text(sql: bytes) -> str:
    return sql.decode("utf-8", "replace")
