"""Databases are made, frozen, cloned ahead of need, and dropped."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from holdtrue.stage.database import ClonePool, Cluster, DatabaseError, Databases


@pytest.fixture
async def databases(cluster: Cluster) -> AsyncIterator[Databases]:
    await cluster.roles("app_owner", "app_runtime")
    async with Databases(cluster) as databases:
        yield databases


async def names(cluster: Cluster) -> set[str]:
    async with await cluster.admin() as connection:
        found = await connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'holdtrue%'")
        return {name for (name,) in await found.fetchall()}


async def template(databases: Databases) -> str:
    base = await databases.create_empty("base", "app_owner", ["vector"])
    async with await databases.cluster.connect(base, user="app_owner") as connection:
        await connection.execute("CREATE TABLE notes (id serial PRIMARY KEY, embedding vector(3))")
        await connection.execute("INSERT INTO notes (embedding) VALUES ('[1,2,3]')")
    return await databases.freeze(base)


async def test_a_clone_has_the_rows_the_owner_and_is_writable(cluster: Cluster, databases: Databases) -> None:
    clone = await databases.clone(await template(databases))
    async with await cluster.connect(clone, user="app_owner") as connection:
        await connection.execute("INSERT INTO notes DEFAULT VALUES")
        found = await connection.execute(
            "SELECT id, pg_get_userbyid(datdba) FROM notes, pg_database WHERE datname = current_database() ORDER BY id"
        )
        assert await found.fetchall() == [(1, "app_owner"), (2, "app_owner")]


async def test_a_clone_has_the_database_s_own_grants_and_settings(cluster: Cluster, databases: Databases) -> None:
    base = await databases.create_empty("base", "app_owner")
    async with await cluster.connect(base, user="app_owner") as connection:
        await connection.execute(f"ALTER DATABASE {base} SET search_path = app, public")
        await connection.execute(f"REVOKE CONNECT ON DATABASE {base} FROM PUBLIC")
    await databases.freeze(base)
    clone = await databases.clone(base)
    with pytest.raises(DatabaseError, match="permission denied"):
        await cluster.connect(clone, user="app_runtime")
    async with await cluster.connect(clone, user="app_owner") as connection:
        assert await (await connection.execute("SHOW search_path")).fetchone() == ("app, public",)


async def test_a_frozen_database_admits_nobody_and_ends_who_is_there(cluster: Cluster, databases: Databases) -> None:
    base = await databases.create_empty("base", "app_owner")
    inside = await cluster.connect(base, user="app_owner")
    await databases.freeze(base)
    with pytest.raises(psycopg.OperationalError):
        await inside.execute("SELECT 1")
    await inside.close()
    with pytest.raises(DatabaseError, match="not currently accepting connections"):
        await cluster.admin(base)
    await databases.thaw(base)
    async with await cluster.admin(base) as connection:
        await connection.execute("SELECT 1")


async def test_a_pool_hands_out_fresh_clones_and_drops_those_handed_back(
    cluster: Cluster, databases: Databases
) -> None:
    base = await template(databases)
    foreign = await databases.clone(base)
    async with ClonePool(databases, base, size=2) as pool:
        taken = [await pool.take() for _ in range(5)]
        assert len(set(taken)) == 5
        for name in (foreign, *taken[:3]):
            await pool.release(name)
        with pytest.raises(DatabaseError, match="not made by this check"):
            await pool.release("postgres")
    assert await names(cluster) == {base}


async def test_a_context_leaves_no_database_behind(cluster: Cluster) -> None:
    await cluster.roles("app_owner", "app_runtime")
    async with Databases(cluster) as databases:
        base = await template(databases)
        await databases.clone(base)
        assert len(await names(cluster)) == 2
    assert await names(cluster) == set()


async def test_when_clones_cannot_be_made_every_taker_is_told(databases: Databases) -> None:
    async with ClonePool(databases, databases.cluster.name("missing"), size=1) as pool:
        takers = await asyncio.gather(pool.take(), pool.take(), return_exceptions=True)
    assert all(isinstance(each, DatabaseError) and "no database" in str(each) for each in takers)


async def test_a_clone_called_off_half_way_leaves_nothing(cluster: Cluster) -> None:
    await cluster.roles("app_owner", "app_runtime")
    async with Databases(cluster) as databases:
        base = await template(databases)
        cloning = asyncio.create_task(databases.clone(base))
        for _ in range(3):
            await asyncio.sleep(0)
        cloning.cancel()
        await asyncio.gather(cloning, return_exceptions=True)
        assert await databases.clone(base)
    assert await names(cluster) == set()


async def test_a_missing_extension_is_named(databases: Databases) -> None:
    with pytest.raises(DatabaseError, match="postgis"):
        await databases.create_empty("base", "app_owner", ["postgis"])
