"""The wire: listeners for the processes of an app, and what can be asked of them together."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from holdtrue.stage.wire import protocol as p
from holdtrue.stage.wire.advisory import note_locks
from holdtrue.stage.wire.errors import NotIdle, WireError
from holdtrue.stage.wire.hub import Hub
from holdtrue.stage.wire.link import Link, Upstream, send_cancel
from holdtrue.stage.wire.listener import Listener, Target
from holdtrue.stage.wire.normalise import analyse
from holdtrue.stage.wire.points import Arm, Gate, Hold, Pause, Point
from holdtrue.stage.wire.recording import Recording
from holdtrue.stage.wire.session import Session
from holdtrue.stage.wire.two_phase import Identifiers

# Seconds that PostgreSQL gets to end a backend whose query has been cancelled and whose client has gone.
GRACE = 10.0

_WRITING_FUNCTIONS = """
    SELECT DISTINCT proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace
    WHERE provolatile = 'v' AND prokind IN ('f', 'p') AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
    AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
"""


@dataclass(frozen=True, kw_only=True)
class InFlight:
    """A statement that has arrived and is not answered. `held`: it has not been sent to the server either."""

    process: str
    connection: int
    backend: int
    sql: str
    shape: str
    held: bool


@dataclass(frozen=True, kw_only=True)
class OpenTransaction:
    """A transaction block that a client has left open. `since`: seconds of the event loop's clock."""

    process: str
    connection: int
    backend: int
    transaction: int
    failed: bool
    since: float


class Wire:
    """A PostgreSQL proxy in this process's event loop; see the package for what it is good for.

    `seed` decides the order in which a `pause` lets go of what it held. Clients sign in with any role that the server
    knows, and with `password`, random for each run; the database they ask for is ignored. Give wires to the same server
    the same `identifiers`.
    """

    def __init__(self, *, upstream: Upstream, seed: int, identifiers: Identifiers | None = None) -> None:
        self._hub = Hub(upstream, identifiers or Identifiers())
        self._seed = seed
        self._listeners: dict[str, Listener] = {}
        self._swapping = asyncio.Lock()
        self._running = False

    @property
    def password(self) -> str:
        """What clients must give; keep it out of logs."""
        return self._hub.password

    async def start(self) -> None:
        self._running = True

    async def stop(self) -> None:
        """Close everything; when it returns no task, socket or server connection of this wire is left."""
        self._running = False
        hub = self._hub
        for trap in hub.traps:
            trap.disarm()
        for listener in self._listeners.values():
            listener.server.close()
        await hub.end_tasks()
        for session in list(hub.sessions):
            session.cut()
        await self._end_links(list(hub.links))
        await hub.until(lambda: not hub.sessions and not hub.links, patience=GRACE)
        for link in list(hub.links):
            link.abort()
        await hub.until(lambda: not hub.sessions and not hub.links, patience=GRACE)
        await hub.end_tasks()
        for listener in self._listeners.values():
            await listener.server.wait_closed()
        self._listeners.clear()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    async def listen(self, name: str, database: str, *, port: int = 0) -> Listener:
        """Open a port on 127.0.0.1 for the process `name`; 0 lets the system choose.

        The same name again gives the same listener, which leads to `database` from then on. Give each process a name
        of its own: that is what keeps their statements apart. Raises WireError, OSError.
        """
        if not self._running:
            raise WireError("the wire is not started", do="Use `async with Wire(…)`, or `start`, before `listen`.")
        if (known := self._listeners.get(name)) is not None:
            if database != known.database:
                known.target.move(database)
                for session in list(self._hub.sessions):
                    session.settle()
            return known
        target = Target(name, database)
        server = await asyncio.get_running_loop().create_server(lambda: Session(self._hub, target), "127.0.0.1", port)
        self._listeners[name] = listener = Listener(target, server)
        return listener

    def exchange_names(self, one: str, other: str) -> None:
        """Call each of two listeners by the other's name; what was recorded keeps the name of its time."""
        first, second = self._listeners[one], self._listeners[other]
        first.target.name, second.target.name = other, one
        self._listeners[one], self._listeners[other] = second, first

    # -- swapping -------------------------------------------------------------------------------------------------

    async def swap(self, database: str, *, patience: float = 5.0) -> None:
        """Lead all listeners to `database`, keeping the clients' connections.

        Idle server connections are let go at once, and made again when their client asks something (at once for
        clients that LISTEN or hold an advisory lock). Busy ones get `patience` seconds to end their transaction, then
        are cut. On return no connection to an earlier database is left: it can be dropped, or be a template. Raises
        NotIdle when PostgreSQL does not end a backend, psycopg.Error when it does not answer.
        """
        hub = self._hub
        async with self._swapping:
            await note_locks(hub)
            for listener in self._listeners.values():
                listener.target.move(database)
            current = {listener.name: listener.target.generation for listener in self._listeners.values()}
            for session in list(hub.sessions):
                session.settle()

            def stale() -> list[Link]:
                return [link for link in hub.links if link.generation < current.get(link.process, 0)]

            if not await hub.until(lambda: not stale(), patience=patience):
                left = stale()
                for session in list(hub.sessions):
                    if session.link in left:
                        session.cut()
                await self._end_links(left)
                if not await hub.until(lambda: not stale(), patience=GRACE):
                    backends = ", ".join(f"{link.process}: backend {link.backend}" for link in stale())
                    raise NotIdle(
                        f"PostgreSQL did not end {backends} within {GRACE:g} s after its query was cancelled",
                        why="The earlier database is still in use: it cannot be dropped or copied.",
                        do="Look at pg_stat_activity for what it waits for.",
                    )
            parked = [s for s in hub.sessions if s.exchange.state.is_missed and s.link is None and not s.ended]
            await asyncio.gather(*(session.reconnect() for session in parked))

    async def _end_links(self, links: Collection[Link]) -> None:
        """Make backends end: cancel what they do, then close."""
        for link in links:
            if link.key and not link.gone.is_set():
                await self._cancel(link)
            link.finish()

    async def _cancel(self, link: Link) -> None:
        try:
            async with asyncio.timeout(GRACE):
                await send_cancel(self._hub.upstream, link.key)
        except OSError:  # TimeoutError is one
            link.abort()  # the server is gone, or takes no connections: nothing to wait for

    # -- recording and points -------------------------------------------------------------------------------------

    def record(self) -> Recording:
        """A recording of what all processes execute while it is open."""
        return Recording(self._hub.recordings)

    async def learn_writing_functions(self, role: str) -> frozenset[str]:
        """Ask the current database which functions of its own may write; SELECTs that call them count as writes.

        `role` asks. Call it after migrations. Raises psycopg.Error.
        """
        upstream = self._hub.upstream
        listener = next(iter(self._listeners.values()), None)
        if listener is None:
            raise WireError("the wire leads to no database yet", do="Call `listen` first.")
        async with await upstream.ask(database=listener.database, role=role) as connection:
            rows = await (await connection.execute(_WRITING_FUNCTIONS)).fetchall()
        self._hub.writing_functions = frozenset(row[0] for row in rows)
        return self._hub.writing_functions

    def cut(self, point: Point, *, when: Literal["before", "after"]) -> Arm:
        """Close both sides at `point`.

        `before`: the statement never reaches the server. `after`: the server has completed it (a COMMIT is
        committed), but the client never sees the answer.
        """
        return Arm(self._hub.traps, point, when=when)

    def hold(self, point: Point) -> Hold:
        """Stop the request that reaches `point`, before its statement is sent. Use it as a context manager."""
        return Hold(self._hub.traps, point)

    def pause(self, process: str, *, inside_transactions: bool = True) -> Pause:
        """Stop every request of `process` at its next point until released. Use it as a context manager."""
        return Pause(self._hub.traps, process, inside_transactions=inside_transactions, seed=self._seed)

    def gate(
        self, process: str, *, writes: Collection[str], commits: Collection[str], changed: Callable[[], None]
    ) -> Gate:
        """Stop `process` before every statement of these shapes. Use it as a context manager.

        `changed` is called when somebody arrives at it or goes on.
        """
        return Gate(self._hub.traps, process, writes=writes, commits=commits, changed=changed)

    # -- facts ----------------------------------------------------------------------------------------------------

    async def idle(
        self, *, processes: Collection[str] | None = None, quiet: float, patience: float | None = None
    ) -> None:
        """Wait until nothing is asked, held or open, and nothing was for `quiet` seconds, in these processes (all).

        Backends whose client has gone count until they have ended. Raises NotIdle after `patience` seconds.
        """
        hub, loop = self._hub, asyncio.get_running_loop()
        deadline = None if patience is None else loop.time() + patience
        while True:
            now = loop.time()
            if self._busy(processes):
                wait = None
            else:
                last = max((at for name, at in hub.last_activity.items() if _among(name, processes)), default=now)
                wait = last + quiet - now
                if wait <= 0:
                    return
            if deadline is not None:
                if now >= deadline:
                    raise self._not_idle(processes, patience or 0.0)
                wait = deadline - now if wait is None else min(wait, deadline - now)
            await hub.changed(wait)

    @property
    def greeting(self) -> bool:
        """Whether a client waits for a connection to the server, which is being made."""
        return any(session.greeting for session in self._hub.sessions)

    def _busy(self, processes: Collection[str] | None) -> bool:
        owned = {session.link for session in self._hub.sessions}
        return any(s.busy for s in self._hub.sessions if _among(s.process, processes)) or any(
            link not in owned for link in self._hub.links if _among(link.process, processes)
        )

    def _not_idle(self, processes: Collection[str] | None, patience: float) -> NotIdle:
        seen = [f"{one.process} runs {one.sql[:120]!r}" for one in self.in_flight() if _among(one.process, processes)]
        seen += [
            f"{one.process} has transaction {one.transaction} open on backend {one.backend}"
            for one in self.open_transactions()
            if _among(one.process, processes)
        ]
        what = "; ".join(seen) or "statements kept arriving, or a backend did not end"
        return NotIdle(
            f"the app was not quiet within {patience:g} s: {what}",
            why="What follows would see a half-done state.",
            do="Release holds, pause polling workers with `pause`, or wait longer.",
        )

    def in_flight(self) -> tuple[InFlight, ...]:
        """Statements that are not answered yet."""
        return tuple(
            InFlight(
                process=session.process,
                connection=session.number,
                backend=session.backend,
                sql=(text := sql.decode("utf-8", "replace")),
                shape="; ".join(part.shape for part in analyse(text)),
                held=held,
            )
            for session in sorted(self._hub.sessions, key=lambda session: session.number)
            for sql, held in session.unanswered()
        )

    def open_transactions(self) -> tuple[OpenTransaction, ...]:
        """Transaction blocks that are open, idle or not."""
        return tuple(
            OpenTransaction(
                process=session.process,
                connection=session.number,
                backend=session.backend,
                transaction=session.exchange.transaction or 0,
                failed=session.exchange.status == p.FAILED,
                since=session.exchange.transaction_since,
            )
            for session in sorted(self._hub.sessions, key=lambda session: session.number)
            if session.link is not None and session.exchange.status != p.IDLE
        )


def _among(name: str, names: Collection[str] | None) -> bool:
    return names is None or name in names
