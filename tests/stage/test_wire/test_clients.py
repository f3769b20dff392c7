"""Other drivers, raw clients, and what goes wrong at the edges."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import psycopg2
import pytest
import pytest_asyncio

from holdtrue.stage.database.cluster import Cluster
from holdtrue.stage.wire import Listener, Point, Upstream, Wire, WireError
from holdtrue.stage.wire import protocol as p

from .conftest import Bench

# -- pgbench, psycopg2 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
async def test_pgbench_passes_through_unchanged(
    bench: Bench, wire: Wire, web1: Listener, accounts: str, mode: str
) -> None:
    with wire.record() as recording:
        await _pgbench(bench, web1, "-i", "-I", "dtgpf", "-q", "-n")
        output = await _pgbench(bench, web1, "-n", "-M", mode, "-c", "3", "-t", "5")
    assert "number of transactions actually processed: 15/15" in output
    assert "number of failed transactions: 0" in output
    async with bench.direct(accounts) as direct:
        row = await (
            await direct.execute(
                "SELECT (SELECT count(*) FROM pgbench_accounts), (SELECT count(*) FROM pgbench_history),"
                " (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)"
            )
        ).fetchone()
    assert row == (100_000, 15, True)
    commits = [one for one in recording.statements if one.kind == "commit" and one.sql == "END"]
    assert len(commits) == 15
    updates = [one for one in recording.statements if one.sql.startswith("UPDATE pgbench_accounts")]
    assert {one.shape for one in updates} == {"update pgbench_accounts set abalance = abalance + ? where aid = ?"}
    assert {one.protocol for one in updates} == {"simple" if mode == "simple" else "extended"}


async def _pgbench(bench: Bench, listener: Listener, *arguments: str) -> str:
    program = await asyncio.create_subprocess_exec(
        str(bench.cluster.binaries / "pgbench"),
        *arguments,
        "-h", "127.0.0.1", "-p", str(listener.port), "-U", bench.cluster.superuser, "ignored",
        env={"PGPASSWORD": bench.wire.password},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await program.communicate()
    assert program.returncode == 0, output.decode()
    return output.decode()


async def test_psycopg2_works_through_the_wire(bench: Bench, wire: Wire, web1: Listener, accounts: str) -> None:
    def use() -> list[Any]:
        connection = psycopg2.connect(bench.dsn(web1))
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("INSERT INTO accounts VALUES (%s, %s), (%s, %s)", (3, 3, 4, -4))
                cursor.execute("SELECT * FROM accounts WHERE id IN %s ORDER BY id", ((3, 4),))
                return cursor.fetchall()
        finally:
            connection.close()

    with wire.record() as recording:
        assert await asyncio.to_thread(use) == [(3, 3), (4, -4)]
    assert [one.shape for one in recording.statements] == [
        "begin",
        "insert into accounts values (?, ?)",
        "select * from accounts where id in (?) order by id",
        "commit",
    ]


async def test_a_named_cursor_of_psycopg2_works_through_the_wire(bench: Bench, wire: Wire, web1: Listener) -> None:
    def use() -> int:
        connection = psycopg2.connect(bench.dsn(web1))
        try:
            with connection, connection.cursor(name="rows") as cursor:
                cursor.itersize = 30
                cursor.execute("SELECT generate_series(1, 100) FROM accounts")
                return sum(1 for _ in cursor)
        finally:
            connection.close()

    with wire.record() as recording:
        assert await asyncio.to_thread(use) == 200
    assert len({one.shape for one in recording.statements if one.sql.startswith("FETCH")}) == 1


async def test_many_rows_and_large_values_arrive_whole(bench: Bench, web1: Listener) -> None:
    connection = await bench.connect(web1, autocommit=True)
    large = "x" * 3_000_000
    row = await (await connection.execute("SELECT %s::text, length(%s::text)", (large, large))).fetchone()
    assert row == (large, len(large))
    rows = await (await connection.execute("SELECT generate_series(1, 100000)")).fetchall()
    assert sum(value for (value,) in rows) == 100_000 * 100_001 // 2


async def test_a_batch_that_outgrows_the_buffer_is_passed_on_in_parts(
    bench: Bench, wire: Wire, web1: Listener, accounts: str
) -> None:
    connection = await bench.connect_asyncpg(web1)
    with wire.record() as recording:
        await connection.executemany(
            "INSERT INTO accounts SELECT $1, length($2)", [(number, "y" * 50_000) for number in range(10, 60)]
        )
    assert (await bench.balances(accounts))[2:] == [50_000] * 50
    assert len(recording.statements) == 50
    assert len(recording.points()) == 1


# -- refusals --------------------------------------------------------------------------------------------------------


async def test_a_wrong_password_is_refused(bench: Bench, web1: Listener) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await psycopg.AsyncConnection.connect(bench.dsn(web1) + " password=guess")


async def test_an_unknown_role_gets_the_servers_own_answer(bench: Bench, web1: Listener) -> None:
    with pytest.raises(psycopg.OperationalError, match='role "nobody" does not exist'):
        await psycopg.AsyncConnection.connect(bench.dsn(web1) + " user=nobody")


async def test_a_client_that_insists_on_encryption_is_told_that_there_is_none(bench: Bench, web1: Listener) -> None:
    with pytest.raises(psycopg.OperationalError, match="server does not support SSL"):
        await psycopg.AsyncConnection.connect(bench.dsn(web1, sslmode="require"))


async def test_a_server_that_cannot_be_reached_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    nowhere = tmp_path_factory.mktemp("nowhere")
    async with Wire(upstream=Upstream(socket_dir=nowhere), seed=1) as wire:
        listener = await wire.listen("web1", "shop")
        with pytest.raises(psycopg.OperationalError, match="cannot reach PostgreSQL"):
            await psycopg.AsyncConnection.connect(
                host="127.0.0.1", port=listener.port, user="postgres", password=wire.password
            )


def test_a_server_elsewhere_is_refused() -> None:
    with pytest.raises(WireError, match="not loopback"):
        Upstream(host="db.example.com")


async def test_a_listener_needs_a_started_wire(cluster: Cluster) -> None:
    with pytest.raises(WireError, match="not started"):
        await Wire(upstream=Upstream.of(cluster), seed=1).listen("web1", "shop")


async def test_the_same_name_gives_the_same_listener(bench: Bench, wire: Wire, web1: Listener) -> None:
    connection = await bench.connect(web1, autocommit=True)
    assert await wire.listen("web1", "postgres") is web1
    assert await (await connection.execute("SELECT current_database()")).fetchone() == ("postgres",)


# -- the server dies -------------------------------------------------------------------------------------------------


async def test_a_backend_that_is_terminated_ends_its_client_and_no_other(
    bench: Bench, wire: Wire, web1: Listener
) -> None:
    first, second = await bench.connect(web1, autocommit=True), await bench.connect(web1, autocommit=True)
    with wire.record() as recording:
        sleeping = asyncio.create_task(first.execute("SELECT pg_sleep(60) FROM accounts"))
        assert await bench.sleeping() == first.info.backend_pid
        await bench.admin.execute("SELECT pg_terminate_backend(%s, 5000)", (first.info.backend_pid,))
        with pytest.raises(psycopg.errors.AdminShutdown):
            await sleeping
    (statement,) = recording.statements
    assert statement.sqlstate == "57P01"
    await second.execute("SELECT 1")
    await wire.idle(quiet=0, patience=5)


async def test_stop_ends_everything_that_is_going_on(bench: Bench, cluster: Cluster, accounts: str) -> None:
    wire = Wire(upstream=Upstream.of(cluster), seed=3)
    await wire.start()
    listener = await wire.listen("web1", accounts)
    dsn = bench.dsn(listener) + f" password={wire.password}"
    held, sleeping, idle = [await psycopg.AsyncConnection.connect(dsn, autocommit=True) for _ in range(3)]
    hold = wire.hold(Point("web1", "select * from accounts"))
    running = [
        asyncio.create_task(held.execute("SELECT * FROM accounts")),
        asyncio.create_task(sleeping.execute("SELECT pg_sleep(60)")),
    ]
    await hold.reached()
    await wire.stop()
    for task in running:
        with pytest.raises(psycopg.OperationalError):
            await task
    with pytest.raises(psycopg.OperationalError):
        await idle.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        await psycopg.AsyncConnection.connect(dsn)


# -- raw clients -----------------------------------------------------------------------------------------------------


@dataclass
class Raw:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes, *, piecemeal: bool = False) -> None:
        for start in range(0, len(data), 1 if piecemeal else len(data)):
            self.writer.write(data[start : start + 1] if piecemeal else data)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def message(self) -> tuple[int, bytes]:
        kind, length = struct.unpack("!BI", await self.reader.readexactly(5))
        return kind, await self.reader.readexactly(length - 4)

    async def until(self, wanted: int) -> list[tuple[int, bytes]]:
        found = []
        while True:
            found.append(await self.message())
            if found[-1][0] == wanted:
                return found


@asynccontextmanager
async def raw(listener: Listener) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest_asyncio.fixture
async def signed_in(bench: Bench, web1: Listener) -> AsyncIterator[Raw]:
    async with raw(web1) as client:
        await client.send(p.startup_message(0x30000, {b"user": bench.cluster.superuser.encode()}))
        await client.until(p.AUTHENTICATION)
        await client.send(p.message(p.PASSWORD, bench.wire.password.encode() + b"\x00"))
        await client.until(p.READY)
        yield client


async def test_a_client_of_protocol_3_2_gets_a_long_cancel_key_that_works(
    bench: Bench, wire: Wire, web1: Listener
) -> None:
    async with raw(web1) as client:
        await client.send(p.startup_message(0x30002, {b"user": bench.cluster.superuser.encode()}))
        assert await client.message() == (p.AUTHENTICATION, b"\x00\x00\x00\x03")
        await client.send(p.message(p.PASSWORD, wire.password.encode() + b"\x00"))
        messages = await client.until(p.READY)
        (key,) = [payload for kind, payload in messages if kind == p.KEY_DATA]
        assert len(key) == 4 + 32
        await client.send(p.query_message(b"SELECT pg_sleep(60)"))
        await bench.sleeping()
        async with raw(web1) as canceller:
            await canceller.send(p.cancel_message(key))
            assert await canceller.reader.read() == b""
        error = (await client.until(p.ERROR))[-1]
        assert p.error_fields(error[1])["C"] == "57014"


async def test_a_newer_minor_version_is_negotiated_by_the_server(bench: Bench, wire: Wire, web1: Listener) -> None:
    async with raw(web1) as client:
        parameters = {b"user": bench.cluster.superuser.encode(), b"_pq_.something": b"on"}
        await client.send(p.startup_message(0x3270F, parameters))
        await client.until(p.AUTHENTICATION)
        await client.send(p.message(p.PASSWORD, wire.password.encode() + b"\x00"))
        kind, payload = (await client.until(p.READY))[0]
        assert kind == p.NEGOTIATE
        assert b"_pq_.something" in payload


async def test_bytes_that_come_one_by_one_are_understood(bench: Bench, wire: Wire, web1: Listener) -> None:
    conversation = (
        p.message(p.PARSE, b"one\x00SELECT balance FROM accounts WHERE id = $1\x00" + struct.pack("!hI", 1, 23))
        + p.message(p.BIND, b"\x00one\x00" + struct.pack("!hhi", 0, 1, 1) + b"2" + struct.pack("!h", 0))
        + p.message(p.DESCRIBE, b"P\x00")
        + p.message(p.EXECUTE, b"\x00" + struct.pack("!i", 0))
        + p.message(p.CLOSE, b"Sone\x00")
        + p.SYNC_MESSAGE
    )
    with wire.record() as recording:
        async with raw(web1) as client:
            await client.send(struct.pack("!II", 8, p.SSL_REQUEST), piecemeal=True)
            assert await client.reader.readexactly(1) == b"N"
            await client.send(struct.pack("!II", 8, p.GSSENC_REQUEST))
            assert await client.reader.readexactly(1) == b"N"
            startup = p.startup_message(0x30000, {b"user": bench.cluster.superuser.encode()})
            await client.send(startup, piecemeal=True)
            await client.until(p.AUTHENTICATION)
            await client.send(p.message(p.PASSWORD, wire.password.encode() + b"\x00"), piecemeal=True)
            await client.until(p.READY)
            await client.send(conversation, piecemeal=True)
            kinds = bytes(kind for kind, _ in await client.until(p.READY))
            assert kinds == b"12TDC3Z"
            await client.send(p.TERMINATE_MESSAGE)
            assert await client.reader.read() == b""
    (statement,) = recording.statements
    assert (statement.tag, statement.parameters, statement.parameter_types) == ("SELECT 1", (b"2",), (23,))


async def test_an_execute_without_its_sync_keeps_the_connection_busy(
    bench: Bench, wire: Wire, signed_in: Raw, accounts: str
) -> None:
    await signed_in.send(
        p.message(p.PARSE, b"\x00UPDATE accounts SET balance = 1\x00\x00\x00")
        + p.message(p.BIND, b"\x00\x00" + b"\x00" * 6)
        + p.message(p.EXECUTE, b"\x00\x00\x00\x00\x00")
        + p.message(p.FLUSH)
    )
    await signed_in.until(p.COMMAND_COMPLETE)
    assert await bench.balances(accounts) == [100, 100]
    with pytest.raises(TimeoutError):
        await wire.idle(quiet=0, patience=0)
    await signed_in.send(p.SYNC_MESSAGE)
    await signed_in.until(p.READY)
    await wire.idle(quiet=0, patience=5)
    assert await bench.balances(accounts) == [1, 1]


async def test_a_question_and_goodbye_in_one_packet_is_answered(
    bench: Bench, wire: Wire, signed_in: Raw, accounts: str
) -> None:
    await signed_in.send(p.query_message(b"UPDATE accounts SET balance = 3") + p.TERMINATE_MESSAGE)
    assert [kind for kind, _ in await signed_in.until(p.READY)] == [p.COMMAND_COMPLETE, p.READY]
    assert await signed_in.reader.read() == b""
    assert await bench.balances(accounts) == [3, 3]


async def test_what_is_not_the_protocol_ends_that_connection_alone(
    bench: Bench, wire: Wire, web1: Listener, signed_in: Raw
) -> None:
    other = await bench.connect(web1, autocommit=True)
    await signed_in.send(b"Q\x00\x00\x00\x01garbage")
    error = (await signed_in.until(p.ERROR))[-1]
    assert p.error_fields(error[1])["C"] == "08P01"
    assert await signed_in.reader.read() == b""
    for hello in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        struct.pack("!II", 8, 2 << 16),
    ):
        async with raw(web1) as stranger:
            await stranger.send(hello)
            assert (await stranger.reader.read())[:1] == b"E"
    await other.execute("SELECT 1")
    await wire.idle(quiet=0, patience=5)


async def test_a_cancel_request_with_a_guessed_key_does_nothing(bench: Bench, wire: Wire, web1: Listener) -> None:
    connection = await bench.connect(web1, autocommit=True)
    async with raw(web1) as canceller:
        await canceller.send(p.cancel_message(struct.pack("!II", connection.info.backend_pid, 12345)))
        assert await canceller.reader.read() == b""
    await connection.execute("SELECT 1")
