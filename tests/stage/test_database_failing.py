"""The database refuses writes for a while, to everybody, and takes them again afterwards."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from holdtrue.stage.database import Cluster, DatabaseError, Databases, failing


@pytest.fixture
async def database(cluster: Cluster) -> AsyncIterator[str]:
    await cluster.roles("app_owner", "app_runtime")
    async with Databases(cluster) as databases:
        yield await databases.create_empty("failing", "app_owner")


@pytest.fixture
async def admin(cluster: Cluster, database: str) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await cluster.admin(database) as connection:
        await connection.execute("""
            CREATE TABLE events (id int, at date) PARTITION BY RANGE (at);
            CREATE TABLE events_now PARTITION OF events DEFAULT;
            CREATE TABLE "Odd name" (id int);
            GRANT ALL ON events, "Odd name" TO app_runtime;
        """)
        yield connection


@pytest.fixture
async def app(
    cluster: Cluster, database: str, admin: psycopg.AsyncConnection
) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await cluster.connect(database, user="app_runtime") as connection:
        await connection.set_autocommit(True)
        yield connection


async def test_what_is_named_fails_as_on_a_full_disk_and_nothing_else(
    admin: psycopg.AsyncConnection, app: psycopg.AsyncConnection
) -> None:
    await app.execute("INSERT INTO events VALUES (1, '2026-01-01')")
    async with failing(admin, ["public.events", "public.Odd name"]):
        with pytest.raises(psycopg.errors.DiskFull, match=r'"events_now": No space left'):
            await app.execute("INSERT INTO events VALUES (2, '2026-01-02')")
        with pytest.raises(psycopg.errors.DiskFull):
            await app.execute('INSERT INTO "Odd name" VALUES (1)')
        await app.execute("INSERT INTO events SELECT 3, '2026-01-03' WHERE false")
        await app.execute("UPDATE events SET id = 4")
    assert await _ids(app) == [4]


async def test_other_operations_and_errors_can_be_chosen(
    admin: psycopg.AsyncConnection, app: psycopg.AsyncConnection
) -> None:
    async with failing(admin, ["public.events"], ["UPDATE", "DELETE"], sqlstate="40P01"):
        await app.execute("INSERT INTO events VALUES (1, '2026-01-01')")
        for statement in (b"UPDATE events SET id = 2", b"DELETE FROM events"):
            with pytest.raises(psycopg.errors.DeadlockDetected):
                await app.execute(statement)
    assert await _ids(app) == [1]


async def test_nothing_is_left_even_after_a_failure(
    admin: psycopg.AsyncConnection, app: psycopg.AsyncConnection
) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            async with failing(admin, ["public.events"]):
                raise ZeroDivisionError
    await app.execute("INSERT INTO events VALUES (1, '2026-01-01')")
    schemas = "SELECT FROM pg_namespace WHERE nspname LIKE 'holdtrue%'"
    triggers = "SELECT FROM pg_trigger WHERE NOT tgisinternal"
    for left in (schemas, triggers):
        assert await (await admin.execute(left)).fetchall() == []


async def test_a_table_that_is_not_there_is_told(admin: psycopg.AsyncConnection) -> None:
    with pytest.raises(DatabaseError, match="nothing_here"):
        async with failing(admin, ["public.nothing_here"]):
            pass


async def _ids(connection: psycopg.AsyncConnection) -> list[int]:
    return [number for (number,) in await (await connection.execute("SELECT id FROM events ORDER BY id")).fetchall()]
