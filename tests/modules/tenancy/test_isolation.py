"""The database keeps tenants apart, whatever the app's SQL says."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import psycopg
import pytest
from modules.tenancy.world import ENVIRON, HOME, Paper, World
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError, ProgrammingError

from holdtrue.assembly import Assembly
from holdtrue.assembly.testing import Postgres, running
from holdtrue.runtime import Fault, UnitOfWork

TABLES = {"tenants": "id", "memberships": "tenant_id", "invitations": "tenant_id", "tenant_hosts": "tenant_id"}


@dataclass(frozen=True, kw_only=True)
class Two:
    """Two tenants that have a row in every table."""

    a: UUID
    b: UUID


async def two(world: World) -> Two:
    made = []
    for slug in ("alpha", "beta"):
        ann = await world.founded(slug, f"ann-{slug}")
        await ann.call("POST", f"/papers?title=of-{slug}")
        await world.invited(ann, f"{slug}@people.test", "viewer")
        made.append(UUID(ann.claim))
        await world.kit.sql(
            "INSERT INTO tenant_hosts (tenant_id, id, host) VALUES (%s, gen_random_uuid(), %s)", made[-1], f"{slug}.own"
        )
    return Two(a=made[0], b=made[1])


async def titles(unit: UnitOfWork, sql: str = "SELECT title FROM papers") -> list[str]:
    return list(await unit.session.scalars(text(sql)))


async def test_every_tenant_table_shows_and_takes_rows_of_the_entered_tenant_only(world: World) -> None:
    who = await two(world)
    for url in (world.kit.urls.app, world.kit.urls.worker):
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as raw:
            for table, column in (TABLES | {"papers": "tenant_id"}).items():
                query = f"SELECT DISTINCT {column} FROM {table}".encode()
                assert await (await raw.execute(query)).fetchall() == [], table
                async with raw.transaction():
                    await raw.execute("SELECT enter_tenant(%s)", [who.a])
                    assert await (await raw.execute(query)).fetchall() == [(who.a,)], table
                assert await (await raw.execute(query)).fetchall() == [], table
            for sql in (
                "INSERT INTO memberships (tenant_id, id, user_id, email, role) "
                "VALUES (%s, gen_random_uuid(), 'x', 'x', 'owner')",
                "INSERT INTO tenants (id, name, slug) VALUES (%s, 'x', 'x')",
                "INSERT INTO papers (tenant_id, id, title) VALUES (%s, gen_random_uuid(), 'x')",
            ):
                with pytest.raises(InsufficientPrivilege):
                    async with raw.transaction():
                        await raw.execute("SELECT enter_tenant(%s)", [who.a])
                        await raw.execute(sql.encode(), [who.b])


async def test_the_roles_of_app_and_worker_own_nothing_and_cannot_loosen_anything(world: World) -> None:
    statements = (
        "ALTER TABLE memberships DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON memberships USING (true)",
        "TRUNCATE memberships",
        "UPDATE memberships SET user_id = 'me'",
        "UPDATE tenants SET slug = 'mine'",
        "DELETE FROM tenants",
        "UPDATE invitations SET role = 'owner'",
        "CREATE TABLE t ()",
        "SET ROLE tower_owner",
    )
    for url in (world.kit.urls.app, world.kit.urls.worker):
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as raw:
            for sql in statements:
                with pytest.raises(InsufficientPrivilege):
                    await raw.execute(sql.encode())


async def test_every_table_with_a_tenant_is_forced_and_every_definer_function_has_a_fixed_search_path(
    world: World,
) -> None:
    rows = await world.kit.sql(
        "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND relrowsecurity AND relforcerowsecurity", list(TABLES)
    )
    assert {row["relname"] for row in rows} == set(TABLES)
    functions = await world.kit.sql(
        "SELECT proname, proconfig, has_function_privilege('public', oid, 'EXECUTE') AS anybody "
        "FROM pg_proc WHERE prosecdef AND (proname LIKE 'tenancy%%' OR proname = 'invitations_tenant')".replace(
            "%%", "%"
        )
    )
    assert len(functions) == 5
    for each in functions:
        assert each["proconfig"] == ["search_path=pg_catalog, public, pg_temp"], each
        assert not each["anybody"], each


async def test_a_missing_where_reaches_the_own_rows_only(world: World) -> None:
    who = await two(world)
    async with world.kit.unit(tenant=who.a) as unit:
        assert await titles(unit) == ["of-alpha"]
        assert list(await unit.session.scalars(select(Paper.__table__.c.title))) == ["of-alpha"]
        await unit.session.execute(update(Paper).values(title="changed"))
        await unit.session.execute(text("UPDATE papers SET title = title || '!'"))
    async with world.kit.unit(tenant=who.b) as unit:
        await unit.session.execute(delete(Paper.__table__))
    assert [row["title"] for row in await world.kit.sql("SELECT title FROM papers")] == ["changed!"]


async def test_a_row_is_not_moved_to_another_tenant_nor_hung_below_its_rows(world: World) -> None:
    who = await two(world)
    [theirs] = await world.kit.sql("SELECT id FROM memberships WHERE tenant_id = %s", who.b)
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with world.kit.unit(tenant=who.a) as unit:
            await unit.session.execute(text("UPDATE papers SET tenant_id = :b"), {"b": who.b})
    with pytest.raises(Exception, match="invitations_tenant_id_invited_by_fkey"):
        async with world.kit.unit(tenant=who.a) as unit:
            await unit.session.execute(
                text(
                    "INSERT INTO invitations (tenant_id, id, email, role, token_hash, invited_by, expires_at) "
                    "VALUES (:a, gen_random_uuid(), 'x', 'x', 'x', :theirs, now())"
                ),
                {"a": who.a, "theirs": theirs["id"]},
            )


INJECTED = (
    "SELECT title FROM papers WHERE title = '' OR set_config('holdtrue.tenant', '{b}', true) <> ''",
    "SELECT set_config('holdtrue.tenant', '{b}', true) UNION ALL SELECT title FROM papers",
    "SELECT enter_tenant('{b}')::text UNION ALL SELECT title FROM papers",
    "UPDATE pg_settings SET setting = '{b}' WHERE name = 'holdtrue.tenant'",
    "SELECT query_to_xml('SET LOCAL holdtrue.tenant = ''{b}''', true, true, '')::text",
    "SELECT query_to_xml('SELECT enter_tenant(''{b}'')', true, true, '')::text",
    "SELECT title FROM papers WHERE tenant_id = '{b}'",
)


async def test_injected_sql_does_not_switch_the_tenant(world: World) -> None:
    who = await two(world)
    for sql in INJECTED:
        seen: list[str] = []
        with suppress(DBAPIError):
            async with world.kit.unit(tenant=who.a) as unit:
                answer = await unit.session.execute(text(sql.format(b=who.b)))
                seen += [str(row) for row in answer] if answer.returns_rows else []
                seen += await titles(unit)
                seen += await titles(unit, "SELECT slug FROM tenants")
        assert "beta" not in str(seen), sql


async def test_a_unit_enters_one_tenant_for_good(world: World) -> None:
    who = await two(world)
    async with world.kit.unit(tenant=who.a) as unit:
        with pytest.raises(Fault, match="TENANT_ALREADY_ENTERED"):
            await unit.enter(who.b)
        await unit.commit()
        assert await titles(unit) == ["of-alpha"]


async def test_requests_of_two_tenants_over_one_pooled_connection_do_not_mix(
    assembly: Assembly, postgres: Postgres
) -> None:
    small = ENVIRON | {"HOLDTRUE_POOL_SIZE": "1"}
    async with running(assembly, postgres, environ=small, base_url=f"https://{HOME}") as kit:
        world = World(kit=kit)
        people = [await world.founded(slug, slug) for slug in ("alpha", "beta")]
        for each in people:
            assert (await each.call("POST", f"/papers?title=of-{each.name}")).status_code == 201
        answers = await asyncio.gather(*(each.call("GET", "/papers") for each in people * 10))
        assert [each.json() for each in answers] == [["of-alpha"], ["of-beta"]] * 10
        async with kit.unit() as unit:
            assert await titles(unit) == []
