"""A request, from the guard to the commit before the response."""

from __future__ import annotations

from uuid import UUID

from holdtrue.assembly.testing import Kit

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
    await kit.client.post("/notes", json={"title": "of A"}, headers=person(A, "notes.write"))
    assert [each["title"] for each in (await kit.client.get("/notes", headers=person(A, "notes.read"))).json()] == [
        "of A"
    ]
    assert (await kit.client.get("/notes", headers=person(B, "notes.read"))).json() == []
