"""The server side: one connection to the real PostgreSQL, from its startup to the end of its backend process."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg

from holdtrue.stage.wire import protocol as p
from holdtrue.stage.wire.errors import WireError
from holdtrue.stage.wire.listener import Target

_LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost"))


class Server(Protocol):
    """A running PostgreSQL, as the database instrument describes it."""

    @property
    def socket_dir(self) -> Path | None: ...

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """Where the real PostgreSQL listens: a unix socket directory, or a port on loopback; it must trust us.

    Raises WireError for a host that is not loopback: rehearsals never touch a server elsewhere.
    """

    socket_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int = 5432

    def __post_init__(self) -> None:
        if self.socket_dir is None and self.host not in _LOOPBACK:
            raise WireError(
                f"the upstream host is {self.host!r}, not loopback",
                why="A rehearsal there could change real data.",
                do="Start a private server (unix socket or 127.0.0.1) and name that.",
            )

    @classmethod
    def of(cls, server: "Server") -> "Upstream":
        """Where `server` listens."""
        if server.socket_dir is not None:
            return cls(socket_dir=server.socket_dir, port=server.port)
        return cls(host=server.host, port=server.port)

    async def ask(self, *, database: str, role: str) -> psycopg.AsyncConnection:
        """A connection of our own, in autocommit; raises psycopg.Error when the server does not answer."""
        host = str(self.socket_dir) if self.socket_dir is not None else self.host
        return await psycopg.AsyncConnection.connect(
            host=host, port=self.port, dbname=database, user=role, autocommit=True
        )

    def __str__(self) -> str:
        return f"{self.socket_dir or self.host}:{self.port}"

    async def connect(self, factory: Callable[[], asyncio.Protocol]) -> None:
        """Connect a protocol. Raises OSError."""
        loop = asyncio.get_running_loop()
        if self.socket_dir is not None:
            await loop.create_unix_connection(factory, str(self.socket_dir / f".s.PGSQL.{self.port}"))
        else:
            await loop.create_connection(factory, self.host, self.port)


class Refused(Exception):  # noqa: N818 - PostgreSQL said no; `answer` is its ErrorResponse, to be forwarded
    """The server refused or ended the connection."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(p.error_fields(answer[5:]).get("M", "connection refused"))
        self.answer = answer


class Owner(Protocol):
    """Who gets what the server sends."""

    def server_received(self, data: bytes) -> None: ...

    def server_lost(self) -> None: ...

    def server_full(self, full: bool) -> None: ...


class Link(asyncio.Protocol):
    """One server connection. Made by `open_link`; `gone` is set when its backend process has ended."""

    def __init__(self, *, target: Target, on_gone: Callable[["Link"], None]) -> None:
        self._target = target
        self.database = target.database
        self.generation = target.generation
        self.key = b""
        self.gone = asyncio.Event()
        self.finished = False
        self._on_gone = on_gone
        self._owner: Owner | None = None
        self._detached = False
        self._received = bytearray()
        self._arrived = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    @property
    def process(self) -> str:
        """Whose connection it is."""
        return self._target.name

    @property
    def connected(self) -> bool:
        """There is, or was, a socket whose end will be told to `on_gone`."""
        return self._transport is not None and not self.gone.is_set()

    @property
    def backend(self) -> int:
        """Process id of the backend, 0 before it is known."""
        return p.backend_pid(self.key) if self.key else 0

    # -- asyncio.Protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows for the type checker
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._owner is not None:
            self._owner.server_received(data)
        elif not self._detached:
            self._received += data
            self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        # PostgreSQL closes the socket by ending the process, after it has left the list of running backends
        # (pqcomm.c, socket_close): from here on the database can be dropped or used as a template.
        self.gone.set()
        self._arrived.set()
        if self._owner is not None:
            self._owner.server_lost()
        self._on_gone(self)

    def pause_writing(self) -> None:
        if self._owner is not None:
            self._owner.server_full(True)

    def resume_writing(self) -> None:
        if self._owner is not None:
            self._owner.server_full(False)

    # -- startup --------------------------------------------------------------------------------------------------

    async def start(self, startup: bytes) -> list[bytes]:
        """Send the startup packet; the server's messages up to the first ReadyForQuery. Raises Refused."""
        self.write(startup)
        greeting = []
        while True:
            raw = await self._next()
            if raw[0] == p.ERROR:
                raise Refused(raw)
            if raw[0] == p.AUTHENTICATION and raw[5:9] != b"\x00\x00\x00\x00":
                raise Refused(
                    p.error_message(
                        code="28000",
                        text="the rehearsal's PostgreSQL asks the wire for a password; it must trust local connections",
                        hint="Start it with --auth=trust on a private socket directory.",
                    )
                )
            if raw[0] == p.KEY_DATA:
                self.key = raw[5:]
            greeting.append(raw)
            if raw[0] == p.READY:
                return greeting

    async def replay(self, items: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
        """Set the session up again; (ParameterStatus messages, ErrorResponses). Raises Refused when the server ends."""
        items = list(items)
        statuses: list[bytes] = []
        errors: list[bytes] = []
        self.write(b"".join(items))
        answered = 0
        while answered < len(items):
            raw = await self._next()
            answered += raw[0] == p.READY
            if raw[0] == p.PARAMETER_STATUS:
                statuses.append(raw)
            elif raw[0] == p.ERROR:
                errors.append(raw)
        return statuses, errors

    async def _next(self) -> bytes:
        while True:
            for _, _, end in p.complete_messages(self._received):
                raw = bytes(self._received[:end])
                del self._received[:end]
                return raw
            if self.gone.is_set():
                raise Refused(p.error_message(code="08006", text="PostgreSQL closed the connection during its startup"))
            self._arrived.clear()
            await self._arrived.wait()

    def attach(self, owner: Owner) -> None:
        """From now on `owner` gets what the server sends."""
        self._owner = owner
        if self._received:
            received, self._received = bytes(self._received), bytearray()
            owner.server_received(received)
        if self.gone.is_set():
            owner.server_lost()

    # -- use and end ----------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self.finished:
            self._transport.write(data)

    def read(self, wanted: bool) -> None:
        """Pause or resume reading from the server."""
        if self._transport is None or self.gone.is_set():
            return
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def finish(self, *, polite: bool = False) -> None:
        """End the conversation; the backend ends when it has finished what it is doing (see `gone`)."""
        if self.finished or self._transport is None or self.gone.is_set():
            return
        if polite:
            self._transport.write(p.TERMINATE_MESSAGE)
        self.finished = True
        self._transport.write_eof()
        self.read(True)

    def detach(self) -> None:
        """`finish`, and drop what the server still says."""
        self._owner = None
        self._detached = True
        self.finish(polite=True)

    def abort(self) -> None:
        """Close at once, without waiting for the backend."""
        if self._transport is not None:
            self._transport.abort()


async def open_link(link: Link, upstream: Upstream, *, version: int, parameters: Mapping[bytes, bytes]) -> list[bytes]:
    """Connect and start a session; the greeting of the server. Raises Refused."""
    try:
        await upstream.connect(lambda: link)
    except OSError as error:
        link.gone.set()
        raise Refused(
            p.error_message(
                code="08001",
                text=f"the wire cannot reach PostgreSQL at {upstream}: {error}",
                hint="Is the rehearsal's server still running?",
            )
        ) from error
    wanted = {**parameters, b"database": link.database.encode()}
    return await link.start(p.startup_message(version, wanted))


class _OneWay(asyncio.Protocol):
    """Sends one packet and waits for the end."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self._transport: asyncio.Transport | None = None
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows for the type checker
        self._transport = transport
        transport.write(self._packet)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


async def send_cancel(upstream: Upstream, key: bytes) -> None:
    """Ask the server to cancel what the backend with this key is doing; done when it has been told. Raises OSError."""
    packet = _OneWay(p.cancel_message(key))
    await upstream.connect(lambda: packet)
    try:
        await packet.closed.wait()
    finally:
        packet.abort()
