"""Changing and removing members: at once, never above oneself, and never the last owner."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from modules.tenancy.world import World

from holdtrue.modules.tenancy import invite, remove_member
from holdtrue.runtime import Forbidden, Principal


async def test_a_removed_member_is_out_at_the_next_request(world: World) -> None:
    ann = await world.founded("alpha")
    cleo, member = await world.joined(ann, "cleo", "clerk")
    assert (await cleo.call("GET", "/papers")).status_code == 200
    assert (await ann.call("DELETE", f"/members/{member}")).status_code == 204
    assert (await cleo.call("GET", "/papers")).status_code == 403
    assert (await cleo.call("GET", "/tenants")).json() == {"items": []}
    again, _ = await world.joined(ann, "cleo", "viewer")
    assert (await again.call("GET", "/papers")).status_code == 200


async def test_a_changed_role_counts_at_the_next_request(world: World) -> None:
    ann = await world.founded("alpha")
    cleo, member = await world.joined(ann, "cleo", "viewer")
    assert (await cleo.call("POST", "/papers?title=x")).status_code == 403
    changed = await ann.call("PATCH", f"/members/{member}", {"role": "clerk"})
    assert (changed.status_code, changed.json()["role"]) == (200, "clerk")
    assert (await cleo.call("POST", "/papers?title=x")).status_code == 201
    [fact] = await world.kit.sql("SELECT details FROM doors_audit WHERE action = 'tenancy.member_role_changed'")
    assert (fact["details"]["old"], fact["details"]["new"]) == ("viewer", "clerk")


async def test_a_role_that_this_release_does_not_know_allows_nothing(world: World) -> None:
    ann = await world.founded("alpha")
    cleo, member = await world.joined(ann, "cleo", "clerk")
    await world.kit.sql("UPDATE memberships SET role = 'retired' WHERE user_id = 'cleo'")
    assert (await cleo.call("GET", "/papers")).status_code == 403
    assert (await ann.call("PATCH", f"/members/{member}", {"role": "clerk"})).status_code == 200


async def test_nobody_changes_or_removes_whoever_is_above_them_or_raises_themselves(world: World) -> None:
    ann = await world.founded("alpha")
    owner = await world.member_id(ann)
    max_, member = await world.joined(ann, "max", "manager")
    _, clerk = await world.joined(ann, "cleo", "clerk")
    assert (await max_.call("PATCH", f"/members/{owner}", {"role": "viewer"})).status_code == 403
    assert (await max_.call("DELETE", f"/members/{owner}")).status_code == 403
    assert (await max_.call("PATCH", f"/members/{member}", {"role": "owner"})).status_code == 403
    assert (await max_.call("PATCH", f"/members/{clerk}", {"role": "owner"})).status_code == 403
    assert (await max_.call("PATCH", f"/members/{clerk}", {"role": "manager"})).status_code == 200
    assert (await max_.call("DELETE", f"/members/{clerk}")).status_code == 204
    denied = await world.kit.sql("SELECT action, subject, principal FROM doors_audit WHERE outcome = 'denied'")
    assert [each["subject"] for each in denied] == ["owner"] * 4
    assert {each["principal"] for each in denied} == {"max"}


async def test_members_of_another_tenant_are_as_if_they_did_not_exist(world: World) -> None:
    ann, bob = await world.founded("alpha"), await world.founded("beta", "bob")
    theirs = await world.member_id(ann)
    for method, body in (("PATCH", {"role": "viewer"}), ("DELETE", None)):
        foreign = await bob.call(method, f"/members/{theirs}", body)
        nobodys = await bob.call(method, f"/members/{uuid4()}", body)
        assert (foreign.status_code, foreign.content) == (404, nobodys.content)
    assert (await bob.call("GET", f"/members?before={theirs}")).json() == {"items": []}


async def test_the_last_owner_stays(world: World) -> None:
    ann = await world.founded("alpha")
    me = await world.member_id(ann)
    for method, body in (("PATCH", {"role": "viewer"}), ("DELETE", None)):
        answer = await ann.call(method, f"/members/{me}", body)
        assert (answer.status_code, answer.json()["code"]) == (409, "tenancy.last_owner")
    assert (await ann.call("PATCH", f"/members/{me}", {"role": "owner"})).status_code == 200


async def test_a_manager_demoted_while_waiting_changes_nobody(world: World) -> None:
    ann = await world.founded("alpha")
    _, viewer = await world.joined(ann, "vera", "viewer")
    await world.joined(ann, "max", "viewer")
    # The guard let max in as a manager; that was before this transaction got the tenant's lock.
    let_in = Principal(kind="user", id="max", permissions=frozenset({"tenancy.members_manage", "paper.read"}))
    for change in (
        lambda unit: remove_member(unit, UUID(viewer)),
        lambda unit: invite(unit, email="x@y.test", role="viewer"),
    ):
        with pytest.raises(Forbidden):
            async with world.kit.unit(tenant=UUID(ann.claim), principal=let_in) as unit:
                await change(unit)


async def test_two_owners_who_demote_or_remove_each_other_leave_one(world: World) -> None:
    for number, method in enumerate(["PATCH", "DELETE"] * 3):
        ann = await world.founded(f"team-{number}", f"ann{number}")
        bob, second = await world.joined(ann, f"bob{number}", "owner")
        first = await world.member_id(ann)
        body = {"role": "viewer"} if method == "PATCH" else None
        answers = await asyncio.gather(
            ann.call(method, f"/members/{second}", body), bob.call(method, f"/members/{first}", body)
        )
        assert sorted(each.status_code // 100 for each in answers) == [2, 4]
        [left] = await world.kit.sql(
            "SELECT count(*) FROM memberships WHERE role = 'owner' AND tenant_id::text = %s", ann.claim
        )
        assert left["count"] == 1


async def test_two_owners_who_leave_at_once_leave_one(world: World) -> None:
    for number in range(3):
        ann = await world.founded(f"team-{number}", f"ann{number}")
        bob, second = await world.joined(ann, f"bob{number}", "owner")
        first = await world.member_id(ann)
        answers = await asyncio.gather(
            ann.call("DELETE", f"/members/{first}"), bob.call("PATCH", f"/members/{second}", {"role": "clerk"})
        )
        assert sorted(each.status_code for each in answers) in ([200, 409], [204, 409])


async def test_pages_of_members_are_newest_first(world: World) -> None:
    ann = await world.founded("alpha")
    for name in ("bea", "cleo"):
        await world.joined(ann, name, "viewer")
    page = (await ann.call("GET", "/members?limit=2")).json()["items"]
    rest = (await ann.call("GET", f"/members?limit=2&before={page[-1]['id']}")).json()["items"]
    assert [each["user_id"] for each in page + rest] == ["cleo", "bea", "ann"]
