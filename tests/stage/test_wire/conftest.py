"""A wire before a database with two accounts, and ways to connect to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

import asyncpg
import psycopg
import pytest
import pytest_asyncio

from holdtrue.stage.database.cluster import Cluster
from holdtrue.stage.wire import Listener, Upstream, Wire

_numbers = count(1)
# The accounts database goes from test to test; a new name each time shows that nobody is connected any more.
_shared: list[str] = []


class Bench:
    """One test's databases, wire and connections."""

    def __init__(self, cluster: Cluster, wire: Wire, admin: psycopg.AsyncConnection) -> None:
        self.cluster = cluster
        self.wire = wire
        self.admin = admin
        self.databases: list[str] = []
        self.accounts: str | None = None
        self._connections: list[psycopg.AsyncConnection | asyncpg.Connection] = []

    async def database(self, template: str = "template1") -> str:
        name = f"wire_test_{next(_numbers)}"
        await self.admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log")
        self.databases.append(name)
        return name

    def dsn(self, listener: Listener, **more: object) -> str:
        return psycopg.conninfo.make_conninfo(
            host="127.0.0.1",
            port=listener.port,
            user=self.cluster.superuser,
            password=self.wire.password,
            dbname="ignored",
            **more,
        )

    async def connect(self, listener: Listener, *, autocommit: bool = False, **more: object) -> psycopg.AsyncConnection:
        connection = await psycopg.AsyncConnection.connect(self.dsn(listener, **more), autocommit=autocommit)
        self._connections.append(connection)
        return connection

    async def connect_asyncpg(self, listener: Listener) -> asyncpg.Connection:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=listener.port, user=self.cluster.superuser, password=self.wire.password, database="x"
        )
        self._connections.append(connection)
        return connection

    @asynccontextmanager
    async def direct(self, database: str) -> AsyncIterator[psycopg.AsyncConnection]:
        """A connection that does not go through the wire."""
        async with await psycopg.AsyncConnection.connect(
            host=self.cluster.host,
            port=self.cluster.port,
            user=self.cluster.superuser,
            dbname=database,
            autocommit=True,
        ) as connection:
            yield connection

    async def sleeping(self) -> int:
        """Wait until some backend of the wire sleeps in pg_sleep; its process id."""
        while True:
            rows = await self.admin.execute("SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            found = await rows.fetchone()
            if found is not None:
                return int(found[0])

    async def balances(self, database: str) -> list[int]:
        async with self.direct(database) as connection:
            rows = await connection.execute("SELECT balance FROM accounts ORDER BY id")
            return [row[0] for row in await rows.fetchall()]

    async def close(self) -> None:
        for connection in self._connections:
            if isinstance(connection, asyncpg.Connection):
                connection.terminate()
            else:
                await connection.close()


@pytest_asyncio.fixture
async def bench(cluster: Cluster) -> AsyncIterator[Bench]:
    before = asyncio.all_tasks()
    async with await psycopg.AsyncConnection.connect(
        host=cluster.host, port=cluster.port, user=cluster.superuser, dbname="postgres", autocommit=True
    ) as admin:
        wire = Wire(upstream=Upstream.of(cluster), seed=7)
        await wire.start()
        bench = Bench(cluster, wire, admin)
        try:
            yield bench
        finally:
            await bench.close()
            await wire.stop()
            for name in bench.databases:
                # Without FORCE: it fails when the wire has left a connection behind.
                await admin.execute(f"DROP DATABASE {name}")
            if bench.accounts is not None:
                name = f"wire_test_{next(_numbers)}"
                await admin.execute(f"ALTER DATABASE {bench.accounts} RENAME TO {name}")
                _shared.append(name)
    assert asyncio.all_tasks() - {asyncio.current_task()} <= before


@pytest.fixture
def wire(bench: Bench) -> Wire:
    return bench.wire


@pytest_asyncio.fixture
async def accounts(bench: Bench) -> str:
    """A database with two accounts of 100 and nothing else."""
    if _shared:
        name = _shared.pop()
    else:
        name = await bench.database()
        bench.databases.remove(name)
    bench.accounts = name
    async with bench.direct(name) as connection:
        await connection.execute(
            "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
            "CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);"
            "INSERT INTO accounts VALUES (1, 100), (2, 100)"
        )
    return name


@pytest_asyncio.fixture
async def web1(bench: Bench, accounts: str) -> Listener:
    return await bench.wire.listen("web1", accounts)


@pytest_asyncio.fixture
async def web2(bench: Bench, accounts: str) -> Listener:
    return await bench.wire.listen("web2", accounts)


@pytest.fixture
def blocked(bench: Bench) -> Callable[[int], Awaitable[list[int]]]:
    """Waits until somebody waits for a lock that the backend holds; the waiting backends."""

    async def wait(holder: int) -> list[int]:
        while True:
            rows = await bench.admin.execute(
                "SELECT pid FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))", (holder,)
            )
            found = [row[0] for row in await rows.fetchall()]
            if found:
                return found

    return wait
