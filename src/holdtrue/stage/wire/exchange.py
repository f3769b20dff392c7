"""The state of one connection's conversation: which answer belongs to which message. No input or output in here.

Both directions are fed in; out come `Unit`s: what goes to the server in one piece (a simple query, or the extended
messages up to a Sync or Flush), with the statements that ran in it once the server has answered everything.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from holdtrue.stage.wire import protocol as p
from holdtrue.stage.wire.state import SessionState
from holdtrue.stage.wire.units import Entry, Portal, Prepared, Step, Unit

_TARGETED_ROLLBACK = re.compile(rb"(?i)\bto\b")


class Exchange:
    """Tracks one client connection over all its server connections."""

    def __init__(self, *, transactions: Iterator[int], clock: Callable[[], float]) -> None:
        self.state = SessionState()
        self.status = p.IDLE
        self.transaction: int | None = None
        self.transaction_since = 0.0
        self.queue: deque[Entry] = deque()
        self.finished: list[Unit] = []
        self.copying = False
        self.unsynced = False
        self._transactions = transactions
        self._clock = clock
        self._discarding = False
        self._ignored_sync: Entry | None = None
        self._parsing: dict[bytes, Prepared] = {}
        self._portals: dict[bytes, Portal] = {}
        self._last_end = 0.0

    @property
    def idle(self) -> bool:
        """Nothing asked, nothing open: the server side could be another one."""
        return not self.queue and self.status == p.IDLE and not self.unsynced

    # -- from the client ------------------------------------------------------------------------------------------

    def enter(self, number: int, messages: Sequence[tuple[int, bytes]], raw: bytes) -> Unit:
        """The unit that these messages make. It counts as asked only with `sent`."""
        unit = Unit(number, raw)
        for kind, payload in messages:
            if kind == p.FLUSH:
                continue
            entry = Entry(kind, unit)
            if kind == p.QUERY:
                entry.sql = payload[:-1]
                unit.sqls.append(entry.sql)
            elif kind == p.PARSE:
                entry.prepared = prepared = Prepared(payload)
                self._parsing[prepared.name] = prepared
            elif kind == p.BIND:
                self._enter_bind(entry, payload)
            elif kind == p.EXECUTE:
                self._enter_execute(entry, payload)
            elif kind == p.CLOSE:
                entry.target = payload[:-1]
            unit.entries.append(entry)
        return unit

    def _enter_bind(self, entry: Entry, payload: bytes) -> None:
        portal_name, offset = p.cstring(payload)
        statement_name, _ = p.cstring(payload, offset)
        prepared = self._parsing.get(statement_name) or self.state.prepared.get(statement_name)
        self._portals[portal_name] = entry.portal = Portal(prepared, payload)

    def _enter_execute(self, entry: Entry, payload: bytes) -> None:
        name, _ = p.cstring(payload)
        entry.portal = portal = self._portals.get(name)
        if portal is None or portal.prepared is None:  # DECLAREd by SQL, or a mistake that the server will answer
            return
        entry.sql = portal.prepared.sql
        if not portal.executed:
            portal.executed = True
            entry.step = Step(sql=entry.sql, part=0, portal=portal, started=0.0, extended=True)
            entry.unit.sqls.append(entry.sql)

    def sent(self, unit: Unit) -> None:
        """The unit is on its way to the server."""
        unit.sent_at = self._last_end = self._clock()
        for entry in unit.entries:
            kind = entry.kind
            if kind == p.SYNC:
                if self.copying:  # the server ignores it; the one after the data counts
                    self._ignored_sync = entry
                    unit.left += 1
                    continue
                self._discarding = False
                if self._ignored_sync is not None:
                    self.queue.append(self._ignored_sync)
                    self._ignored_sync = None
                    continue
            elif self._discarding:
                self._forget(entry)
                continue
            elif kind in p.EXTENDED:
                self.unsynced = True
            unit.left += 1
            self.queue.append(entry)
        if not unit.left:
            self.finished.append(unit)

    def copy_ended(self) -> None:
        """The client sent CopyDone or CopyFail."""
        self.copying = False

    # -- from the server ------------------------------------------------------------------------------------------

    def received(self, kind: int, payload: bytes) -> None:
        """One message of the server, asynchronous ones included."""
        queue = self.queue
        head = queue[0] if queue else None
        if kind == p.READY:
            self._ready(payload[0])
        elif kind == p.ERROR:
            self._error(payload)
        elif head is None:
            return
        elif kind == p.COMMAND_COMPLETE:
            self._complete(head, payload[:-1])
        elif kind == p.PARSE_COMPLETE:
            if head.prepared is not None:
                self._prepared(head.prepared)
            self._pop()
        elif kind in (p.BIND_COMPLETE, p.NO_DATA):
            self._pop()
        elif kind == p.ROW_DESCRIPTION:
            if head.kind == p.DESCRIBE:
                self._pop()
        elif kind in (p.EMPTY_QUERY, p.PORTAL_SUSPENDED):
            self._complete(head, None)
        elif kind == p.CLOSE_COMPLETE:
            if head.target[:1] == b"S":
                self.state.prepared.pop(head.target[1:], None)
            self._pop()
        elif kind == p.COPY_IN or kind == p.COPY_BOTH:
            self._copy_in()

    def _pop(self) -> None:
        unit = self.queue.popleft().unit
        unit.left -= 1
        if not unit.left:
            self.finished.append(unit)

    def _prepared(self, prepared: Prepared) -> None:
        self.state.prepared[prepared.name] = prepared
        if self._parsing.get(prepared.name) is prepared:
            del self._parsing[prepared.name]

    def _forget(self, entry: Entry) -> None:
        """The server discards this message."""
        if entry.prepared is not None and self._parsing.get(entry.prepared.name) is entry.prepared:
            del self._parsing[entry.prepared.name]

    def _copy_in(self) -> None:
        self.copying = True
        # In extended protocol libpq has sent a Sync already, which the server ignores while it takes data.
        if len(self.queue) > 1 and self.queue[0].kind == p.EXECUTE and self.queue[1].kind == p.SYNC:
            self._ignored_sync = self.queue[1]
            del self.queue[1]

    def _step(self, head: Entry) -> Step | None:
        """The statement that `head` is executing; None for the continuation of a portal."""
        if head.kind == p.QUERY:
            step = Step(sql=head.sql, part=len(head.unit.steps), portal=None, started=self._last_end, extended=False)
        elif head.step is not None:
            step = head.step
            step.started = self._last_end
        else:
            return None
        step.ended = self._last_end = self._clock()
        if self.transaction is None:
            self.transaction = next(self._transactions)
            self.transaction_since = step.started
        step.transaction = self.transaction
        head.unit.steps.append(step)
        return step

    def _complete(self, head: Entry, tag: bytes | None) -> None:
        self.copying = False
        step = self._step(head)
        if step is not None:
            step.answered = True
            step.tag = tag
            if tag == b"COMMIT":
                self.transaction = None
                self.state.commit()
            elif tag == b"ROLLBACK" and not _TARGETED_ROLLBACK.search(step.sql):
                self.transaction = None
                self.state.roll_back()
            else:
                self.state.executed(step)
        if head.kind == p.EXECUTE:
            self._pop()

    def _error(self, payload: bytes) -> None:
        self.copying = False
        if not self.queue:
            return
        head = self.queue[0]
        head.unit.failed = True
        if head.kind in (p.SYNC, p.FUNCTION):
            # The implicit commit failed (a deferred constraint): the last statement bears it.
            if head.unit.steps:
                head.unit.steps[-1].error = payload
        else:
            step = self._step(head) or self._step_of_preparation(head)
            if step is not None:
                step.answered = True
                step.error = payload
        if head.kind not in p.EXTENDED:
            return
        while self.queue and self.queue[0].kind != p.SYNC:
            self._forget(self.queue[0])
            self._pop()
        self._discarding = not self.queue

    def _step_of_preparation(self, head: Entry) -> Step | None:
        """An error of Parse, Bind or Describe is the error of the statement that the client wanted to run."""
        prepared = head.prepared or (head.portal.prepared if head.portal is not None else None)
        if prepared is None or head.kind == p.EXECUTE:
            return None
        portals = (entry.portal for entry in head.unit.entries if entry.portal is not None)
        portal = head.portal or next((portal for portal in portals if portal.prepared is prepared), None)
        head.step = Step(sql=prepared.sql, part=0, portal=portal, started=self._last_end, extended=True)
        return self._step(head)

    def _ready(self, status: int) -> None:
        if self.queue and self.queue[0].kind in (p.SYNC, p.QUERY, p.FUNCTION):
            unit = self.queue[0].unit
            self.state.ready(committed=not unit.failed, open_transaction=status != p.IDLE)
            self._pop()
        self.status = status
        self.unsynced = any(entry.kind in p.EXTENDED for entry in self.queue)
        if status == p.IDLE:
            self.transaction = None
            self._portals = {name: portal for name, portal in self._portals.items() if not portal.executed}

    def lost(self) -> list[Unit]:
        """The server connection is gone: the units that were never answered in full, oldest first."""
        units: list[Unit] = []
        for entry in self.queue:
            if not units or units[-1] is not entry.unit:
                units.append(entry.unit)
        executing = next((entry for entry in self.queue if entry.kind == p.QUERY or entry.step is not None), None)
        if executing is not None and not any(unit.failed for unit in units):  # else its error was the last word
            self._step(executing)
        self.queue.clear()
        self.unsynced = False
        return units
