"""The wire behind a pooler: many clients share one server connection, transaction by transaction."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from holdtrue.stage.database import Cluster
from holdtrue.stage.process import free_port
from holdtrue.stage.wire import Point, Upstream, Wire

from .conftest import Start, program

CONFIGURATION = """
[databases]
app = host=127.0.0.1 port={wire} user={user} password={password} dbname=app
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 1
server_round_robin = 0
"""


class Pooled:
    """A wire before a database, with PgBouncer before the wire."""

    def __init__(self, wire: Wire, port: int) -> None:
        self.wire = wire
        self.port = port

    async def connect(self) -> psycopg.AsyncConnection:
        # Prepared statements belong to a server connection, which a client of a pooler does not own.
        return await psycopg.AsyncConnection.connect(
            f"postgresql://app@127.0.0.1:{self.port}/app", prepare_threshold=None
        )


@pytest.fixture
async def pooled(home: Path, start: Start) -> AsyncIterator[Pooled]:
    async with Cluster.embedded() as cluster, Wire(upstream=Upstream.of(cluster), seed=1) as wire:
        async with await cluster.admin() as admin:
            await admin.execute("CREATE DATABASE one")
            async with await cluster.admin("one") as one:
                await one.execute("CREATE TABLE notes (id int PRIMARY KEY, text text)")
            await admin.execute("CREATE DATABASE two TEMPLATE one")
        listener = await wire.listen("web1", "one")
        file, port = home / "pgbouncer.ini", free_port()
        file.write_text(
            CONFIGURATION.format(wire=listener.port, user=cluster.superuser, password=wire.password, port=port)
        )
        account = ["-u", "nobody"] if os.geteuid() == 0 else []
        await start(program("pgbouncer"), *account, str(file), until=b"process up")
        yield Pooled(wire, port)


async def test_transactions_of_clients_that_share_a_connection_are_told_apart(pooled: Pooled) -> None:
    one, other = await pooled.connect(), await pooled.connect()
    with pooled.wire.record() as recording:
        await one.execute("INSERT INTO notes VALUES (1, 'one')")
        waiting = asyncio.create_task(other.execute("INSERT INTO notes VALUES (2, 'other')"))
        await one.commit()
        await waiting
        await other.commit()
    said = [(statement.transaction, statement.kind) for statement in recording.statements if statement.transaction]
    first, second = dict.fromkeys(number for number, _ in said)
    assert [kind for number, kind in said if number == first][-1] == "commit"
    assert [number for number, _ in said] == sorted(number for number, _ in said), "one after the other"
    assert len({statement.connection for statement in recording.statements}) == 1
    assert second != first
    await one.close()
    await other.close()


async def test_a_cut_at_commit_reaches_the_client_and_the_pool_goes_on(pooled: Pooled) -> None:
    client = await pooled.connect()
    await client.execute("INSERT INTO notes VALUES (1, 'lost')")
    with pooled.wire.cut(Point(process="web1", shape="commit"), when="before") as arm:
        with pytest.raises(psycopg.OperationalError):
            await client.commit()
        assert arm.fired.is_set()
    await client.close()
    again = await pooled.connect()
    assert await (await again.execute("SELECT count(*) FROM notes")).fetchone() == (0,)
    await again.close()


async def test_a_swap_leads_the_clients_of_a_pool_to_the_other_database(pooled: Pooled) -> None:
    client = await pooled.connect()
    await client.execute("INSERT INTO notes VALUES (1, 'here')")
    await client.commit()
    await pooled.wire.swap("two")
    assert await (await client.execute("SELECT count(*) FROM notes")).fetchone() == (0,)
    await client.commit()
    await pooled.wire.swap("one")
    assert await (await client.execute("SELECT count(*) FROM notes")).fetchone() == (1,)
    await client.close()
