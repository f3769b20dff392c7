"""The route that shows a tenant its history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from holdtrue.assembly.testing import Kit
from holdtrue.runtime import Principal

A, B = UUID(int=0xA), UUID(int=0xB)
READER = {"X-Principal": "ann", "X-Tenant": str(A), "X-Permissions": "audit.read"}


async def record(kit: Kit, *subjects: str, tenant: UUID = A, action: str = "notes.changed", by: str = "ann") -> None:
    async with kit.unit(tenant=tenant, principal=Principal(kind="user", id=by)) as unit:
        for subject in subjects:
            unit.record(action, subject=subject)


async def listed(kit: Kit, **query: str | int) -> list[str]:
    answer = await kit.client.get("/audit", params=query, headers=READER)
    assert answer.status_code == 200, answer.text
    return [item["subject"] for item in answer.json()["items"]]


async def test_newest_first_and_only_ones_own(kit: Kit) -> None:
    await record(kit, "1", "2", "3")
    await record(kit, "of B", tenant=B)
    assert await listed(kit) == ["3", "2", "1"]


async def test_pages_neither_repeat_nor_skip_while_events_are_added(kit: Kit) -> None:
    await record(kit, *map(str, range(5)))
    await kit.sql("UPDATE audit_events SET at = now()")  # all at the same microsecond
    seen: list[str] = []
    query: dict[str, str | int] = {"limit": 2}
    while True:
        page = (await kit.client.get("/audit", params=query, headers=READER)).json()
        seen += [item["subject"] for item in page["items"]]
        if page["next"] is None:
            break
        query["before"] = page["next"]
        await record(kit, "added meanwhile")
    assert seen == ["4", "3", "2", "1", "0"]


async def test_every_filter_narrows(kit: Kit) -> None:
    await record(kit, "kept", action="orders.refunded", by="bob")
    await record(kit, "other")
    for query in ({"action": "orders.refunded"}, {"action": "orders.*"}, {"actor": "bob"}, {"subject": "kept"}):
        assert await listed(kit, **query) == ["kept"], query
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    assert await listed(kit, since=soon) == []
    assert await listed(kit, until=soon, outcome="done") == ["other", "kept"]
    assert await listed(kit, outcome="denied") == []


async def test_a_percent_sign_in_a_filter_is_a_percent_sign(kit: Kit) -> None:
    await record(kit, "1")
    assert await listed(kit, action="%*") == []


async def test_what_cannot_be_asked_is_refused(kit: Kit) -> None:
    for query in [{"limit": 0}, {"limit": 1000}, {"since": "2026-01-01T00:00:00"}, {"before": "x"}]:
        assert (await kit.client.get("/audit", params=query, headers=READER)).status_code == 422


async def test_an_event_of_another_tenant_is_no_place_to_continue_from(kit: Kit) -> None:
    await record(kit, "of B", tenant=B)
    [event] = await kit.sql("SELECT id FROM audit_events")
    for before in (event["id"], uuid4()):
        answer = await kit.client.get("/audit", params={"before": str(before)}, headers=READER)
        assert answer.status_code == 404


async def test_without_the_permission_there_is_nothing_to_see(kit: Kit) -> None:
    headers = READER | {"X-Permissions": "notes.read"}
    assert (await kit.client.get("/audit", headers=headers)).status_code == 403
    assert (await kit.client.get("/audit")).status_code == 401
