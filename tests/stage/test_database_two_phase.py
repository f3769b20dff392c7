"""What an app has prepared and not ended: it is named, it blocks nothing of ours, and its identifier is freed."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from holdtrue.stage.database import Cluster, DatabaseError, Databases, Unaged, age


@pytest.fixture
async def databases(cluster: Cluster) -> AsyncIterator[Databases]:
    await cluster.roles("app_owner", "app_runtime")
    async with Databases(cluster) as databases:
        yield databases


async def prepare(connection: psycopg.AsyncConnection, gid: str, *statements: str) -> None:
    for statement in ("BEGIN", *statements, f"PREPARE TRANSACTION '{gid}'"):
        await connection.execute(statement.encode())


async def database_with(databases: Databases, name: str, gid: str) -> str:
    """A database with a due bill and a paid one, of which a prepared transaction has locked the first table's row."""
    full = await databases.create_empty(name, "app_owner")
    async with await databases.cluster.connect(full, user="app_owner") as connection:
        await connection.execute(
            "CREATE TABLE bills (due timestamptz); CREATE TABLE paid (at timestamptz);"
            "INSERT INTO bills VALUES ('2026-01-02 10:00Z'); INSERT INTO paid VALUES ('2026-01-02 10:00Z')"
        )
        await prepare(connection, gid, "UPDATE bills SET due = now()", "SELECT * FROM paid")
    return full


async def test_a_database_is_dropped_though_something_is_prepared_in_it_and_the_identifier_is_free(
    databases: Databases,
) -> None:
    name = await database_with(databases, "dropped", "pay-1")
    await databases.drop(name)
    again = await database_with(databases, "again", "pay-1")
    assert await databases.roll_back_prepared(again) == ["pay-1"]
    assert await databases.roll_back_prepared(again) == []


async def test_a_database_in_which_something_is_prepared_is_not_frozen_and_the_app_is_told_what(
    databases: Databases,
) -> None:
    name = await database_with(databases, "frozen", "pay-2")
    with pytest.raises(DatabaseError, match=r"(?s)prepared a transaction \('pay-2'\).*COMMIT PREPARED"):
        await databases.freeze(name)
    async with await databases.cluster.connect(name, user="app_owner") as connection:
        await connection.execute("COMMIT PREPARED 'pay-2'")
    assert await databases.clone(await databases.freeze(name))


async def test_time_passes_beside_what_a_prepared_transaction_has_locked(databases: Databases) -> None:
    name = await database_with(databases, "aged", "pay-3")
    async with await databases.cluster.admin(name) as connection:
        (unaged,) = await age(connection, 3600)
        assert unaged == Unaged(
            table="public.bills",
            column="due",
            why="a transaction that was left prepared holds locks on the table",
        )
        found = await connection.execute("SELECT due = '2026-01-02 10:00Z', at = '2026-01-02 09:00Z' FROM bills, paid")
        assert await found.fetchall() == [(True, True)]
