"""What is in the record, and that nobody can take it out again."""

from __future__ import annotations

import asyncio
from itertools import product
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors as pg
from tower.notes import Draft, add_note

from holdtrue.assembly.testing import Kit
from holdtrue.runtime import Principal

A, B = UUID(int=0xA), UUID(int=0xB)
MAY_WRITE = {"X-Principal": "ann", "X-Tenant": str(A), "X-Permissions": "notes.write audit.read"}
EDITS = (
    "UPDATE audit_events SET subject = 'x'",
    "UPDATE audit_events SET details = details",
    "DELETE FROM audit_events",
    "TRUNCATE audit_events",
    "ALTER TABLE audit_events DISABLE ROW LEVEL SECURITY",
    "DROP TABLE audit_events",
    "INSERT INTO audit_events (tenant_id, id, action, outcome, subject, actor_kind, actor_id, request_id, details, at) "
    "SELECT tenant_id, gen_random_uuid(), action, outcome, subject, actor_kind, actor_id, request_id, details, at "
    "FROM audit_events",
)


async def events(kit: Kit) -> list[dict[str, object]]:
    return await kit.sql("SELECT * FROM audit_events ORDER BY at, id")


async def test_a_change_leaves_who_what_when_and_in_which_request(kit: Kit) -> None:
    answer = await kit.client.post("/notes", json={"title": "t"}, headers=MAY_WRITE)
    [event] = await events(kit)
    seen = {name: event[name] for name in ("action", "outcome", "subject", "actor_kind", "actor_id", "tenant_id")}
    assert seen == {
        "action": "notes.note_added",
        "outcome": "done",
        "subject": answer.json()["id"],
        "actor_kind": "user",
        "actor_id": "ann",
        "tenant_id": A,
    }
    assert event["request_id"] == answer.headers["X-Request-ID"]
    assert event["details"] == {"note_id": answer.json()["id"], "title": "t"}


async def test_a_job_names_who_caused_it(kit: Kit) -> None:
    await kit.client.post("/notes", json={"title": "t"}, headers=MAY_WRITE)
    await kit.work()
    event = (await events(kit))[-1]
    assert (event["action"], event["actor_kind"]) == ("notes.seen", "system")
    assert (event["behalf_kind"], event["behalf_id"]) == ("user", "ann")


async def test_a_denial_is_recorded_although_nothing_happened(kit: Kit) -> None:
    headers = MAY_WRITE | {"X-Permissions": "notes.read"}
    assert (await kit.client.post("/notes", json={"title": "t"}, headers=headers)).status_code == 403
    [event] = await events(kit)
    assert (event["action"], event["outcome"], event["subject"]) == ("access.denied", "denied", "notes.write")
    assert event["actor_id"] == "ann"


async def test_a_change_that_rolls_back_leaves_no_event(kit: Kit) -> None:
    with pytest.raises(ZeroDivisionError):
        async with kit.unit(tenant=A) as unit:
            await add_note(unit, Draft(title="lost"))
            raise ZeroDivisionError
    assert await events(kit) == []


async def test_without_its_event_a_change_is_not_kept(kit: Kit) -> None:
    await kit.sql("REVOKE INSERT ON audit_events FROM tower_app, tower_worker")
    assert (await kit.client.post("/notes", json={"title": "t"}, headers=MAY_WRITE)).status_code == 500
    assert await kit.sql("SELECT * FROM notes") == []


async def test_no_role_of_the_app_can_rewrite_remove_or_backdate(kit: Kit) -> None:
    await kit.client.post("/notes", json={"title": "t"}, headers=MAY_WRITE)
    before = await events(kit)
    for url, edit in product((kit.urls.app, kit.urls.worker), EDITS):
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute("SELECT enter_tenant(%s)", [A])
            with pytest.raises(pg.InsufficientPrivilege):
                await connection.execute(edit.encode())
    assert await events(kit) == before


async def test_a_function_that_runs_as_the_owner_cannot_either(kit: Kit) -> None:
    await kit.client.post("/notes", json={"title": "t"}, headers=MAY_WRITE)
    before = await events(kit)
    for edit in EDITS[:4]:
        async with await psycopg.AsyncConnection.connect(kit.urls.owner, autocommit=True) as owner:
            create = "CREATE OR REPLACE FUNCTION careless() RETURNS void LANGUAGE sql SECURITY DEFINER"
            await owner.execute(f"{create} AS $${edit}$$".encode())
            await owner.execute(b"GRANT EXECUTE ON FUNCTION careless() TO tower_app")
        async with await psycopg.AsyncConnection.connect(kit.urls.app) as connection:
            await connection.execute("SELECT enter_tenant(%s)", [A])
            with pytest.raises(pg.InsufficientPrivilege):
                await connection.execute("SELECT careless()")
    assert await events(kit) == before


async def test_another_tenant_neither_sees_nor_adds_to_the_record(kit: Kit) -> None:
    await kit.client.post("/notes", json={"title": "t"}, headers=MAY_WRITE)
    async with await psycopg.AsyncConnection.connect(kit.urls.app) as connection:
        await connection.execute("SELECT enter_tenant(%s)", [B])
        assert await (await connection.execute("SELECT * FROM audit_events")).fetchall() == []
        with pytest.raises(pg.InsufficientPrivilege, match="row-level security"):
            await connection.execute(
                "INSERT INTO audit_events (tenant_id, id, action, outcome, subject, actor_kind, actor_id, request_id, "
                "details) VALUES (%s, %s, 'x', 'done', '', 'user', 'eve', 'r', '{}')",
                [A, uuid4()],
            )


async def test_what_concerns_no_tenant_is_kept_where_no_tenant_reads_it(kit: Kit) -> None:
    async with kit.unit(principal=Principal(kind="system", id="operator")) as unit:
        unit.record("platform.keys_rotated", subject="signing")
    [event] = await events(kit)
    assert (event["tenant_id"], event["action"]) == (UUID(int=0), "platform.keys_rotated")
    async with await psycopg.AsyncConnection.connect(kit.urls.app) as connection:
        assert await (await connection.execute("SELECT * FROM audit_events")).fetchall() == []
        await connection.execute("SELECT enter_tenant(%s)", [A])
        assert await (await connection.execute("SELECT * FROM audit_events")).fetchall() == []
    async with await psycopg.AsyncConnection.connect(kit.urls.owner) as owner:
        assert len(await (await owner.execute("SELECT * FROM audit_events")).fetchall()) == 1


async def test_no_secret_gets_into_the_record(kit: Kit) -> None:
    details = {
        "password": "hunter2-a",
        "nested": [{"access_token": "hunter2-b"}],
        "declared": "**********",
        "iban": "hunter2-c",
        "tokens": 3,
        "token_id": "kept",
    }
    async with kit.unit(tenant=A) as unit:
        unit.record("x.y", details=details)
    [event] = await events(kit)
    assert event["details"] == {
        "password": "[left out]",
        "nested": [{"access_token": "[left out]"}],
        "declared": "[left out]",
        "iban": "[left out]",
        "tokens": 3,
        "token_id": "kept",
    }


async def test_many_at_once_of_one_tenant_do_not_wait_for_each_other(kit: Kit) -> None:
    """The first holds its transaction open with its event written; the others commit all the same."""
    async with await psycopg.AsyncConnection.connect(kit.urls.app) as first:
        await first.execute("SELECT enter_tenant(%s)", [A])
        await first.execute(
            "INSERT INTO audit_events (tenant_id, id, action, outcome, subject, actor_kind, actor_id, request_id, "
            "details) VALUES (%s, %s, 'x', 'done', '', 'user', 'ann', 'r', '{}')",
            [A, uuid4()],
        )
        posts = [kit.client.post("/notes", json={"title": "t"}, headers=MAY_WRITE) for _ in range(4)]
        assert {answer.status_code for answer in await asyncio.gather(*posts)} == {201}
