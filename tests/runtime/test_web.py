"""A request, from the guard to the commit before the response."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, text
from tower.notes import ALLOW, Draft, Note, Notes

from holdtrue.assembly import compose
from holdtrue.assembly.testing import Doors, Kit, Postgres, running
from holdtrue.contract import Contract, public
from holdtrue.runtime import Forbidden, Module, Refused, Router, Unit, UnitOfWork

A, B = UUID(int=0xA), UUID(int=0xB)


def person(tenant: UUID, *permissions: str) -> dict[str, str]:
    return {"X-Principal": "ann", "X-Tenant": str(tenant), "X-Permissions": " ".join(permissions)}


async def test_what_was_answered_is_committed_with_its_event_and_its_audit_row(kit: Kit) -> None:
    answer = await kit.client.post("/notes", json={"title": "one"}, headers=person(A, "notes.write"))
    assert answer.status_code == 201, answer.text
    [note] = await kit.sql("SELECT * FROM notes")
    assert note["tenant_id"] == A
    assert str(note["id"]) == answer.json()["id"]
    [fact] = await kit.sql("SELECT * FROM doors_audit")
    assert (fact["action"], fact["outcome"], fact["subject"]) == ("notes.note_added", "done", str(note["id"]))
    [owed] = await kit.sql("SELECT * FROM holdtrue_outbox")
    assert (owed["job"], owed["state"], owed["tenant_id"]) == ("notes.index", "queued", A)


async def test_a_tenant_sees_its_own_rows_only(kit: Kit) -> None:
    made = await kit.client.post("/notes", json={"title": "of A"}, headers=person(A, "notes.write"))
    own, other = person(A, "notes.read"), person(B, "notes.read")
    assert [each["title"] for each in (await kit.client.get("/notes", headers=own)).json()] == ["of A"]
    assert (await kit.client.get("/notes", headers=other)).json() == []
    assert (await kit.client.get(f"/notes/{made.json()['id']}", headers=own)).status_code == 200
    assert (await kit.client.get(f"/notes/{made.json()['id']}", headers=other)).status_code == 404


async def test_the_commit_comes_before_the_response(kit: Kit) -> None:
    """A transaction that cannot commit must not have been answered with success."""
    await kit.sql("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'no' USING ERRCODE = '23514'; END $$;
        CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse()""")
    answer = await kit.client.post("/notes", json={"title": "one"}, headers=person(A, "notes.write"))
    assert answer.status_code == 409
    assert await kit.sql("SELECT * FROM notes") == []
    assert await kit.sql("SELECT * FROM holdtrue_outbox") == []
    assert await kit.sql("SELECT * FROM doors_audit") == []


async def test_a_response_that_cannot_be_made_keeps_nothing(postgres: Postgres) -> None:
    router = Router()

    @router.post("/broken", access=public("for this test"), response_model=dict[str, int])
    async def broken(unit: Unit) -> object:
        await unit.enter(A)
        unit.session.add(Note(title="lost"))
        await unit.session.flush()
        return {"number": "none"}

    wrong = Module(contract=Contract(name="wrong", version="1.0.0"), routers=(router,))
    async with running(compose(wrong, Notes(), Doors()), postgres) as kit:
        answer = await kit.client.post("/broken")
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert "none" not in answer.text
        assert await kit.sql("SELECT * FROM notes") == []


async def test_a_request_takes_one_connection_and_gives_it_back_before_the_response_is_sent(kit: Kit) -> None:
    held: list[int] = []
    pool = kit.process.services.database.engine.sync_engine.pool
    event.listen(pool, "checkout", lambda *_: held.append(1))
    await kit.client.post("/notes", json={"title": "one"}, headers=person(A, "notes.write"))
    assert held == [1]
    assert pool.checkedout() == 0


async def test_two_requests_at_once_are_two_transactions(postgres: Postgres) -> None:
    """Both stand inside their guard hook before either goes on: neither waits for the other, neither sees the other."""
    inside: list[str] = []
    both = asyncio.Event()

    async def meet(unit: UnitOfWork, payload: Draft) -> None:
        await unit.session.execute(text("SELECT 1"))
        inside.append(payload.title)
        if len(inside) == 2:
            both.set()
        await both.wait()

    async with running(compose(Notes(), Doors(), bindings=[ALLOW.bind(meet)]), postgres) as kit:
        answers = await asyncio.gather(
            kit.client.post("/notes", json={"title": "of A"}, headers=person(A, "notes.write")),
            kit.client.post("/notes", json={"title": "of B"}, headers=person(B, "notes.write")),
        )
        assert [each.status_code for each in answers] == [201, 201]
        rows = await kit.sql("SELECT tenant_id, title FROM notes ORDER BY title")
        assert [(row["tenant_id"], row["title"]) for row in rows] == [(A, "of A"), (B, "of B")]


async def test_a_refusal_keeps_nothing_unless_it_says_so(postgres: Postgres) -> None:
    router = Router()

    @router.post("/refuse/{keep}", access=public("for this test"))
    async def refuse(keep: bool, unit: Unit) -> None:
        await unit.enter(A)
        unit.session.add(Note(title=str(keep)))
        raise Refused("no", keep=keep)

    wrong = Module(contract=Contract(name="wrong", version="1.0.0"), routers=(router,))
    async with running(compose(wrong, Notes(), Doors()), postgres) as kit:
        for keep in ("false", "true"):
            answer = await kit.client.post(f"/refuse/{keep}")
            assert answer.status_code == 400
            assert answer.json()["code"] == "refused"
        assert [row["title"] for row in await kit.sql("SELECT title FROM notes")] == ["True"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-Principal": "ann"}, 403),
        (person(A, "notes.read"), 403),
        (person(A, "notes.write"), 201),
    ],
    ids=["nobody", "in no tenant", "without the permission", "with it"],
)
async def test_a_permission_is_needed_and_suffices(kit: Kit, headers: dict[str, str], status: int) -> None:
    answer = await kit.client.post("/notes", json={"title": "one"}, headers=headers)
    assert answer.status_code == status
    assert len(await kit.sql("SELECT * FROM notes")) == (status == 201)


async def test_who_may_not_learns_nothing_about_the_body(kit: Kit) -> None:
    assert (await kit.client.post("/notes", json={}, headers=person(A))).status_code == 403
    assert (await kit.client.post("/notes", json={}, headers=person(A, "notes.write"))).status_code == 422


async def test_a_denial_is_kept_in_the_audit_log_of_its_tenant(kit: Kit) -> None:
    await kit.client.post("/notes", json={"title": "one"}, headers=person(A, "notes.read"))
    [fact] = await kit.sql("SELECT * FROM doors_audit")
    assert (fact["action"], fact["outcome"], fact["subject"]) == ("access.denied", "denied", "notes.write")
    assert fact["tenant_id"] == A


async def test_public_and_signed_in_routes_ask_for_no_more_than_they_say(kit: Kit) -> None:
    assert (await kit.client.get("/notes/about")).status_code == 200
    assert (await kit.client.get("/notes/me")).status_code == 401
    assert (await kit.client.get("/notes/me", headers={"X-Principal": "ann"})).json() == {"who": "ann"}


async def test_a_signed_event_is_taken_in_once(kit: Kit) -> None:
    key, right = str(uuid4()), {"X-Signature": "right"}
    assert (await kit.client.post("/notes/import", content=key)).status_code == 401
    assert (await kit.client.post("/notes/import", content=key, headers=right)).json() == {"new": True}
    assert (await kit.client.post("/notes/import", content=key, headers=right)).json() == {"new": False}
    assert len(await kit.sql("SELECT * FROM holdtrue_inbox")) == 1


async def test_errors_are_problem_documents_with_the_request_id(kit: Kit) -> None:
    answer = await kit.client.get("/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "Not Found"
    assert UUID(answer.headers["x-request-id"])
    invalid = await kit.client.post("/notes", json={"title": 1}, headers=person(A, "notes.write"))
    assert invalid.json()["errors"][0]["at"] == ["body", "title"]


async def test_a_body_that_is_too_large_is_refused_before_a_connection_is_taken(kit: Kit) -> None:
    answer = await kit.client.post("/notes", content=b"x" * (1024 * 1024 + 1), headers=person(A, "notes.write"))
    assert answer.status_code == 413


async def test_a_guard_hook_refuses_the_whole_request(postgres: Postgres) -> None:
    async def no_shouting(unit: UnitOfWork, payload: Draft) -> None:
        if payload.title.isupper():
            raise Forbidden("No shouting.")

    async with running(compose(Notes(), Doors(), bindings=[ALLOW.bind(no_shouting)]), postgres) as kit:
        headers = person(A, "notes.write")
        assert (await kit.client.post("/notes", json={"title": "LOUD"}, headers=headers)).status_code == 403
        assert await kit.sql("SELECT * FROM notes") == []
        assert (await kit.client.post("/notes", json={"title": "quiet"}, headers=headers)).status_code == 201


@pytest.mark.parametrize(
    ("header", "host"),
    [("App.Test", "app.test"), ("app.test:8443", "app.test"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", "")],
)
async def test_the_host_is_read_without_its_port(postgres: Postgres, header: str, host: str) -> None:
    router = Router()

    @router.get("/host", access=public("for this test"))
    async def named(unit: Unit) -> str:
        return unit.context.host

    app = Module(contract=Contract(name="hosts", version="1.0.0"), routers=(router,))
    async with running(compose(app), postgres) as kit:
        assert (await kit.client.get("/host", headers={"Host": header})).json() == host
