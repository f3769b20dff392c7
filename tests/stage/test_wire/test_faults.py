"""A server that misbehaves: it dies, hangs, or asks for what the wire does not give."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest

from holdtrue.stage.wire import NotIdle, Upstream, Wire
from holdtrue.stage.wire import protocol as p
from holdtrue.stage.wire import wire as wire_module

GREETING = (
    p.message(p.AUTHENTICATION, b"\x00\x00\x00\x00")
    + p.message(p.KEY_DATA, struct.pack("!II", 4711, 1))
    + p.message(p.READY, b"I")
)

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(behaviour: Behaviour, *, greeting: bytes = GREETING) -> AsyncIterator[Upstream]:
    """A server that greets and then behaves as told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (length,) = struct.unpack("!I", await reader.readexactly(4))
            startup = await reader.readexactly(length - 4)
            if startup[:4] != struct.pack("!I", p.CANCEL_REQUEST):
                writer.write(greeting)
                await behaviour(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield Upstream(port=listening.sockets[0].getsockname()[1])


async def connect(wire: Wire, port: int) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(
        host="127.0.0.1", port=port, user="app", password=wire.password, autocommit=True
    )


async def dies_when_asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(5)
    writer.transport.abort()


async def test_a_server_that_dies_mid_statement_leaves_an_unanswered_statement() -> None:
    async with server(dies_when_asked) as upstream, Wire(upstream=upstream, seed=1) as wire:
        listener = await wire.listen("web1", "shop")
        connection = await connect(wire, listener.port)
        with wire.record() as recording, pytest.raises(psycopg.OperationalError):
            await connection.execute("UPDATE accounts SET balance = 1")
        (statement,) = recording.statements
        assert (statement.kind, statement.answered, statement.tag) == ("update", False, None)
        await wire.idle(quiet=0, patience=5)
        await connection.close()


async def test_a_server_that_asks_for_a_password_is_reported_to_the_client() -> None:
    async with (
        server(dies_when_asked, greeting=p.CLEARTEXT_PASSWORD) as upstream,
        Wire(upstream=upstream, seed=1) as wire,
    ):
        listener = await wire.listen("web1", "shop")
        with pytest.raises(psycopg.OperationalError, match="must trust local connections"):
            await connect(wire, listener.port)


async def test_a_server_that_dies_in_its_greeting_is_reported_to_the_client() -> None:
    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        return

    async with server(dies, greeting=GREETING[:9]) as upstream, Wire(upstream=upstream, seed=1) as wire:
        listener = await wire.listen("web1", "shop")
        with pytest.raises(psycopg.OperationalError, match="closed the connection during its startup"):
            await connect(wire, listener.port)


async def test_a_backend_that_does_not_end_is_named_and_left_behind_by_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "GRACE", 0.01)
    stopped = asyncio.Event()

    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stopped.wait()

    async with server(hangs) as upstream, Wire(upstream=upstream, seed=1) as wire:
        listener = await wire.listen("web1", "shop")
        connection = await connect(wire, listener.port)
        with pytest.raises(NotIdle, match="backend 4711"):
            await wire.swap("other", patience=0)
        await wire.stop()
        stopped.set()
        await connection.close()


async def test_a_client_whose_server_side_cannot_be_made_again_is_told_why() -> None:
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections > 1:
            writer.transport.abort()
        await reader.read()

    async with server(once) as upstream, Wire(upstream=upstream, seed=1) as wire:
        listener = await wire.listen("web1", "shop")
        connection = await connect(wire, listener.port)
        await wire.swap("other")
        with pytest.raises(psycopg.OperationalError):
            await connection.execute("SELECT 1")
        await wire.idle(quiet=0, patience=5)
        await connection.close()
