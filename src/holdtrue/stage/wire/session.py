"""One client connection, over as many server connections as swaps give it."""

import asyncio
import hmac
import logging
import struct
from collections.abc import Coroutine
from typing import Any, Literal

from holdtrue.stage.wire import protocol as p
from holdtrue.stage.wire.connector import Connector
from holdtrue.stage.wire.exchange import Exchange
from holdtrue.stage.wire.hub import Hub
from holdtrue.stage.wire.introduction import Cancel, Introduction, Refuse, Say, Welcome
from holdtrue.stage.wire.link import Link, Refused, send_cancel
from holdtrue.stage.wire.listener import Target
from holdtrue.stage.wire.points import Arm, Decision, Held, Hold, Stop, Trap
from holdtrue.stage.wire.stream import ServerStream
from holdtrue.stage.wire.two_phase import identifier_of
from holdtrue.stage.wire.units import Unit

log = logging.getLogger(__name__)

# A batch longer than this goes on before its Sync arrives; a client that is kept waiting is not read beyond it.
BUFFER_LIMIT = 1 << 20

_UNIT_ENDS = frozenset((p.SYNC, p.FLUSH, p.QUERY, p.FUNCTION))
_COPY = frozenset((p.COPY_DATA, p.COPY_DONE, p.COPY_FAIL))


class Session(asyncio.Protocol):
    """The client's side; the owner of the current `Link`."""

    def __init__(self, hub: Hub, target: Target) -> None:
        self.hub = hub
        self.target = target
        self.number = next(hub.connections)
        self.role = ""
        self.client_key = b""
        self.link: Link | None = None
        self.exchange = Exchange(transactions=hub.transactions, clock=asyncio.get_running_loop().time)
        self._phase: Literal["startup", "connecting", "ready", "closed"] = "startup"
        self._transport: asyncio.Transport | None = None
        self._client_gone = False
        self._introduction = Introduction(hub.password)
        self._connector: Connector | None = None
        self._inbox = bytearray()
        self._scanned = 0
        self._batch: list[tuple[int, bytes]] = []
        self._continues = False
        self._stream = ServerStream(self._from_server)
        self._blocked = False
        self._client_full = False
        self._link_full = False
        self._work: asyncio.Task[None] | None = None
        self._waiting: Unit | None = None
        self._let_go = False  # what waits is kept back by nobody's decision
        self._connecting = asyncio.Lock()
        self._drained = asyncio.Event()
        self._muted: tuple[Arm, Unit] | None = None
        self._withheld: list[bytes] = []
        self._cut_by: Arm | None = None

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def process(self) -> str:
        """Whose session it is; a listener may be given another name."""
        return self.target.name

    @property
    def busy(self) -> bool:
        """Something is being asked, waits, or is open."""
        if self._phase == "closed":
            return self.link is not None
        if self._phase == "ready":
            return self._blocked or bool(self._batch) or not self.exchange.idle
        return self._phase == "connecting"

    @property
    def greeting(self) -> bool:
        """The client waits for a connection to the server: as it signs in, or asks for the first time after a swap."""
        return self._phase in ("startup", "connecting") or self._connecting.locked()

    @property
    def backend(self) -> int:
        return self.link.backend if self.link is not None else 0

    @property
    def ended(self) -> bool:
        return self._client_gone and self.link is None

    def unanswered(self) -> list[tuple[bytes, bool]]:
        """Statements that the client waits for, and whether they are still kept from the server."""
        asked = [(entry.sql, False) for entry in self.exchange.queue if entry.sql]
        return asked + [(sql, not self._let_go) for sql in (self._waiting.sqls if self._waiting is not None else ())]

    # -- asyncio.Protocol, the client -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows for the type checker
        self._transport = transport
        self.hub.sessions.add(self)

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        try:
            if self._phase == "ready":
                self._advance()
            else:
                self._introduce()
        except (p.ProtocolViolation, struct.error) as error:
            # The edge to whatever connects: what is not the protocol ends this connection and no other.
            self._refuse("08P01", f"the wire cannot read what this client sends: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = "closed"
        self._client_gone = True
        if self._work is not None:
            self._work.cancel()
        if self.link is not None:
            # As when an app dies: the server finishes the statement it has, then finds the connection closed.
            self.link.finish()
        self._end()

    def pause_writing(self) -> None:
        self._client_full = True
        if self.link is not None:
            self.link.read(False)

    def resume_writing(self) -> None:
        self._client_full = False
        if self.link is not None:
            self.link.read(True)

    def server_full(self, full: bool) -> None:
        self._link_full = full
        self._throttle()

    def _throttle(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._link_full or (self._blocked and len(self._inbox) > BUFFER_LIMIT):
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # -- startup --------------------------------------------------------------------------------------------------

    def _introduce(self) -> None:
        while self._phase == "startup" and (step := self._introduction.next(self._inbox)) is not None:
            match step:
                case Say():
                    self._send(step.data)
                case Refuse():
                    self._refuse(step.code, step.text)
                case Cancel():
                    self._phase = "connecting"
                    self.hub.spawn(self._cancel(step.key))  # goes on when the client does not wait for the end
                case Welcome():
                    self._phase = "connecting"
                    self.role = step.role
                    self._connector = Connector(self.hub, self.target, step)
                    self._begin(self._greet(self._connector))

    async def _cancel(self, key: bytes) -> None:
        """Forward a cancel request to the backend that the client's key stands for today."""
        for session in list(self.hub.sessions):
            if session.client_key and hmac.compare_digest(session.client_key, key):
                if session.link is not None and not session.link.gone.is_set():
                    try:
                        await send_cancel(self.hub.upstream, session.link.key)
                    except OSError as error:
                        log.warning("a cancel request could not reach PostgreSQL: %s", error)
                break
        self._close()

    async def _greet(self, connector: Connector) -> None:
        self.hub.touch(self.process)
        try:
            link, greeting = await connector.open()
        except Refused as refused:
            self._send(refused.answer)
            self._close()
            return
        self.client_key = link.key
        connector.news(greeting)
        self._send(b"".join(greeting))
        self._adopt(link)
        self._phase = "ready"
        self._work = None
        self.hub.touch(self.process)
        self._resume()

    def _adopt(self, link: Link) -> None:
        self.link = link
        self._stream = ServerStream(self._from_server)
        self._link_full = False
        link.attach(self)
        if self._client_full:
            link.read(False)

    async def reconnect(self) -> None:
        """Go on with the current database; a refusal ends the client, as the loss of a server would."""
        async with self._connecting:
            if self.link is not None or self._connector is None or self._phase != "ready":
                return
            try:
                link, news = await self._connector.open_again(self.exchange.state)
            except Refused as refused:
                self._send(refused.answer)
                self._close()
                return
            if self._client_gone:
                self._connector.drop(link)
                return
            self._send(b"".join(news))
            self._adopt(link)

    # -- from the client to the server ----------------------------------------------------------------------------

    def _advance(self) -> None:
        """Work through what the client sent, as far as it is complete and nothing stands in the way."""
        inbox = self._inbox
        while not self._blocked and self._phase == "ready" and len(inbox) - self._scanned >= 5:
            kind, length = p.HEADER.unpack_from(inbox, self._scanned)
            if length < 4:
                raise p.ProtocolViolation(f"message type {kind:#x} announces {length} bytes; the least is 4")
            end = self._scanned + 1 + length
            if end > len(inbox):
                break
            if kind in _COPY:
                if kind != p.COPY_DATA:
                    self.exchange.copy_ended()
                self._pass_on(end)
            elif kind == p.TERMINATE:
                self._leave()
            else:
                self._batch.append((kind, bytes(inbox[self._scanned + 5 : end])))
                self._scanned = end
                if kind in _UNIT_ENDS or end > BUFFER_LIMIT:
                    self._close_batch(complete=kind in _UNIT_ENDS)
        self._throttle()

    def _pass_on(self, end: int) -> None:
        if self.link is not None:
            self.link.write(bytes(self._inbox[:end]))
        del self._inbox[:end]
        self._scanned = 0

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that the client has to wait for."""
        self._work = self.hub.spawn(work)
        self._work.add_done_callback(self._worked)

    def _worked(self, work: asyncio.Task[None]) -> None:
        if not work.cancelled() and work.exception() is not None:  # logged by the hub
            self.cut()

    def _close_batch(self, *, complete: bool) -> None:
        raw = bytes(self._inbox[: self._scanned])
        del self._inbox[: self._scanned]
        self._scanned = 0
        messages, self._batch = self._batch, []
        unit = self.exchange.enter(next(self.hub.units), messages, raw)
        unit.complete = complete
        unit.continues, self._continues = self._continues, not complete
        self.hub.touch(self.process)
        traps: list[Trap] = []
        if self.hub.attentive:
            traps = self.hub.examine(unit, self.process, in_transaction=self.exchange.status != p.IDLE)
        if traps or self.link is None or identifier_of(unit.sqls) is not None:
            self._blocked, self._waiting = True, unit
            self._begin(self._deliver(unit, traps))
        else:
            self._forward(unit)

    def _forward(self, unit: Unit) -> None:
        self.exchange.sent(unit)
        if self.link is not None:
            self.link.write(unit.raw)
        if self.exchange.finished:
            self._finish_units()

    async def _deliver(self, unit: Unit, traps: list[Trap]) -> None:
        """Forward a unit that something stands in the way of."""
        arms = [trap for trap in traps if isinstance(trap, Arm)]
        if traps:
            await self._earlier_answers()
        for trap in traps:
            if isinstance(trap, Stop) and await self._stopped(trap, unit) == "cut":
                self._work = None
                self.cut()
                return
        for arm in arms:
            if arm.when == "before":
                self._work = None
                self.cut(arm)
                return
            self._muted = (arm, unit)
        if self.link is None:
            await self.reconnect()
        if self.link is not None and (identifier := identifier_of(unit.sqls)) is not None:
            self._let_go = True
            turn = self.hub.identifiers.turn(identifier, self.hub.upstream, database=self.link.database, role=self.role)
            async with turn:
                self._let_go = False
                self._go_on(unit)
                await self._earlier_answers()
        else:
            self._go_on(unit)

    def _go_on(self, unit: Unit) -> None:
        self._work = self._waiting = None
        if self.link is not None:
            self._forward(unit)
            # Behind a cut nothing more may reach the server.
            if self._muted is None or not unit.complete:
                self._resume()

    async def _stopped(self, trap: Stop, unit: Unit) -> Decision:
        held = self._held(unit)
        if not isinstance(trap, Hold):
            return await trap.stop(held)
        self.hub.happened("held", held)
        decision = await trap.stop(held)
        self.hub.happened("released" if decision == "release" else "cut before", held)
        return decision

    def _held(self, unit: Unit) -> Held:
        return Held(
            process=self.process,
            connection=self.number,
            backend=self.backend,
            transaction=self.exchange.transaction,
            shape=unit.shape or "",
            sql=unit.sqls[0].decode("utf-8", "replace") if unit.sqls else "",
        )

    async def _earlier_answers(self) -> None:
        while self.exchange.queue:
            self._drained.clear()
            await self._drained.wait()

    def _resume(self) -> None:
        self._blocked = False
        self.settle()
        self.data_received(b"")

    def _leave(self) -> None:
        """The client said goodbye; what it asked before is still answered."""
        self._inbox.clear()
        self._blocked = True
        if self.link is None:
            self._close()
        else:
            self.link.finish(polite=True)

    # -- from the server to the client ----------------------------------------------------------------------------

    def server_received(self, data: bytes) -> None:
        self._to_client(self._stream.feed(data))
        if self.exchange.finished:
            self._finish_units()
        if not self.exchange.queue:
            self._drained.set()
            self.settle()

    def _from_server(self, kind: int, payload: bytes) -> bytes | None:
        if kind == p.PARAMETER_STATUS:
            if self._connector is not None:
                self._connector.news([p.message(kind, payload)])
        elif kind == p.NOTIFICATION:
            # Its own must come from the process id that the client knows, also after a swap.
            if self.link is not None and payload[:4] == self.link.key[:4]:
                return self.client_key[:4] + payload[4:]
        else:
            self.exchange.received(kind, payload)
        return None

    def _to_client(self, data: bytes) -> None:
        if self._muted is None:
            self._send(data)
            return
        self._withheld.append(data)
        if self.exchange.copying:  # the client must be told to send its data
            self._send(b"".join(self._withheld))
            self._withheld.clear()
            self._resume()

    def _finish_units(self) -> None:
        units, self.exchange.finished = self.exchange.finished, []
        for unit in units:
            self._record(unit)
            if self._muted is not None and self._muted[1] is unit:
                self.cut(self._muted[0])
        self.hub.touch(self.process)

    def _record(self, unit: Unit) -> None:
        if unit.audience and unit.steps:
            self.hub.record(unit, process=self.process, connection=self.number, backend=self.backend, role=self.role)

    def server_lost(self) -> None:
        for unit in [*self.exchange.finished, *self.exchange.lost()]:
            self._record(unit)
        self.exchange.finished = []
        self.link = None
        self._drained.set()
        if self._muted is not None:
            self.cut(self._muted[0])
        elif self._phase != "closed":
            self._send(self._stream.rest())
            self._close()
        self._end()

    # -- swaps and ends -------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Between two units: let go of a server connection that a swap made stale."""
        link = self.link
        if link is None or link.generation == self.target.generation or not self.exchange.idle or self._muted:
            return
        if self._phase != "ready" or link.finished:
            return
        self.link = None
        link.detach()
        if self.exchange.state.is_missed:
            self.hub.spawn(self.reconnect()).add_done_callback(self._worked)

    def cut(self, arm: Arm | None = None) -> None:
        """Close both sides now."""
        unit = self._muted[1] if self._muted is not None else self._waiting
        self._muted = None
        self._withheld.clear()
        if arm is not None and self._cut_by is None:
            self._cut_by = arm
            if unit is not None:
                self.hub.happened("cut before" if arm.when == "before" else "cut after", self._held(unit))
            arm.fired.set()
        if self._phase != "closed":
            self._phase = "closed"
            if self._transport is not None:
                self._transport.abort()
        if self.link is not None:
            self.link.finish()
        self._end()

    def _refuse(self, code: str, text: str) -> None:
        self._send(p.error_message(code=code, text=text))
        self._close()

    def _send(self, data: bytes) -> None:
        if data and self._phase != "closed" and self._transport is not None:
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._phase = "closed"

    def _end(self) -> None:
        """Both sides are gone: nothing of this connection is left."""
        if not self.ended:
            return
        self.hub.sessions.discard(self)
        if self._cut_by is not None:
            self._cut_by.settled.set()
        self.hub.touch(self.process)
