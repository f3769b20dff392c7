"""Invitations: by mail, once, for a time, for one address, and never above the inviter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from modules.tenancy.world import ENVIRON, HOME, World

from holdtrue.assembly import Assembly
from holdtrue.assembly.testing import Postgres, running

INVALID = (400, "tenancy.invitation_invalid")


async def test_whoever_accepts_has_the_role_and_nothing_else(world: World) -> None:
    ann = await world.founded("alpha")
    cleo, _ = await world.joined(ann, "cleo", "clerk")
    assert (await cleo.call("POST", "/papers?title=x")).status_code == 201
    assert (await cleo.call("GET", "/members")).status_code == 403
    facts = await world.kit.sql("SELECT action, details FROM doors_audit ORDER BY id")
    assert [each["action"].partition(".")[2] for each in facts] == [
        "tenant_created",
        "member_invited",
        "member_joined",
        "access.denied".partition(".")[2],
    ]
    assert "cleo@people.test" not in str(facts)


async def test_a_token_is_kept_as_a_digest_only(world: World) -> None:
    ann = await world.founded("alpha")
    token = await world.invited(ann, "cleo@people.test", "clerk")
    await world.kit.sql("DELETE FROM doors_mails")
    for table in ("invitations", "doors_audit", "holdtrue_outbox"):
        assert token not in str(await world.kit.sql(f"SELECT * FROM {table}"))


async def test_only_the_invited_and_verified_address_can_accept(world: World) -> None:
    ann = await world.founded("alpha")
    token = await world.invited(ann, "Cleo@People.test", "clerk")
    thief = world.person("thief")
    answer = await thief.call("POST", "/members/accept", {"token": token})
    assert (answer.status_code, answer.json()["code"]) == INVALID
    unknown = await thief.call("POST", "/members/accept", {"token": "x" * 43})
    assert (unknown.status_code, unknown.content) == (answer.status_code, answer.content)
    unverified = await world.kit.client.post("/members/accept", json={"token": token}, headers={"X-Principal": "cleo"})
    assert (unverified.status_code, unverified.json()["code"]) == (403, "tenancy.address_not_verified")
    key = await world.person("cleo").call("POST", "/members/accept", {"token": token}, **{"X-Kind": "key"})
    assert key.status_code == 403
    assert (await world.kit.client.post("/members/accept", json={"token": token})).status_code == 401
    [denied] = await world.kit.sql("SELECT * FROM doors_audit WHERE outcome = 'denied'")
    assert (denied["action"], denied["principal"]) == ("tenancy.invitation_of_another", "thief")
    assert (await world.person("cleo", "CLEO@people.test").call("POST", "/members/accept", {"token": token})).is_success


async def test_an_invitation_works_once_even_at_once(world: World) -> None:
    ann = await world.founded("alpha")
    token = await world.invited(ann, "cleo@people.test", "clerk")
    people = [world.person(name, "cleo@people.test") for name in ("cleo", "leo", "oel", "elo")]
    answers = await asyncio.gather(*(each.call("POST", "/members/accept", {"token": token}) for each in people))
    assert sorted(each.status_code for each in answers) == [201, 400, 400, 400]
    [count] = await world.kit.sql("SELECT count(*) FROM memberships")
    assert count["count"] == 2


async def test_whoever_asks_again_after_a_lost_answer_learns_that_they_are_in(world: World) -> None:
    ann = await world.founded("alpha")
    token = await world.invited(ann, "cleo@people.test", "clerk")
    cleo = world.person("cleo")
    answers = await asyncio.gather(*(cleo.call("POST", "/members/accept", {"token": token}) for _ in range(3)))
    assert sorted(each.status_code for each in answers) == [201, 409, 409]
    assert {each.json()["code"] for each in answers if each.status_code == 409} == {"tenancy.already_member"}


async def test_the_newest_invitation_of_an_address_is_the_only_one(world: World) -> None:
    ann = await world.founded("alpha")
    first = await world.invited(ann, "cleo@people.test", "manager")
    second = await world.invited(ann, "cleo@people.test", "viewer")
    cleo = world.person("cleo")
    assert (await cleo.call("POST", "/members/accept", {"token": first})).status_code == 400
    [shown] = (await ann.call("GET", "/members/invitations")).json()["items"]
    assert (shown["email"], shown["role"]) == ("cleo@people.test", "viewer")
    assert (await cleo.call("POST", "/members/accept", {"token": second})).json()["role"] == "viewer"


async def test_a_revoked_invitation_is_void_and_cannot_be_revoked_by_another_tenant(world: World) -> None:
    ann, bob = await world.founded("alpha"), await world.founded("beta", "bob")
    token = await world.invited(ann, "cleo@people.test", "clerk")
    [shown] = (await ann.call("GET", "/members/invitations")).json()["items"]
    path = f"/members/invitations/{shown['id']}"
    assert (await bob.call("DELETE", path)).status_code == 404
    assert (await bob.call("GET", "/members/invitations")).json() == {"items": []}
    assert (await ann.call("DELETE", path)).status_code == 204
    assert (await ann.call("DELETE", path)).status_code == 404
    assert (await world.person("cleo").call("POST", "/members/accept", {"token": token})).status_code == 400


async def test_nobody_invites_above_their_own_permissions(world: World) -> None:
    ann = await world.founded("alpha")
    max_, _ = await world.joined(ann, "max", "manager")

    async def invite(role: str, **headers: str) -> int:
        body = {"email": f"{role}@new.test", "role": role}
        return (await max_.call("POST", "/members/invitations", body, **headers)).status_code

    assert await invite("owner") == 403
    assert await invite("manager") == 201
    assert await invite("clerk") == 201
    assert await invite("king") == 422
    scopes = "tenancy.members_manage paper.read"
    assert await invite("clerk", **{"X-Scopes": scopes}) == 403
    assert await invite("viewer", **{"X-Scopes": scopes}) == 201
    answer = await ann.call(
        "POST", "/members/invitations", {"email": "o@new.test", "role": "owner"}, **{"X-Scopes": scopes}
    )
    assert answer.status_code == 403


async def test_an_invitation_dies_with_the_rank_of_its_inviter(world: World) -> None:
    ann = await world.founded("alpha")
    max_, member = await world.joined(ann, "max", "manager")
    token = await world.invited(max_, "cleo@people.test", "clerk")
    assert (await ann.call("PATCH", f"/members/{member}", {"role": "viewer"})).status_code == 200
    assert (await ann.call("GET", "/members/invitations")).json() == {"items": []}
    assert (await world.person("cleo").call("POST", "/members/accept", {"token": token})).status_code == 400


async def test_an_inviter_whose_role_was_narrowed_by_a_release_has_invited_nobody(world: World) -> None:
    ann = await world.founded("alpha")
    max_, _ = await world.joined(ann, "max", "manager")
    token = await world.invited(max_, "cleo@people.test", "clerk")
    await world.kit.sql("UPDATE memberships SET role = 'viewer' WHERE user_id = 'max'")
    assert (await world.person("cleo").call("POST", "/members/accept", {"token": token})).status_code == 400


async def test_an_invitation_goes_with_its_inviter_and_its_tenant(world: World) -> None:
    ann = await world.founded("alpha")
    max_, member = await world.joined(ann, "max", "manager")
    token = await world.invited(max_, "cleo@people.test", "viewer")
    other = await world.invited(ann, "dora@people.test", "viewer")
    assert (await ann.call("DELETE", f"/members/{member}")).status_code == 204
    assert (await world.person("cleo").call("POST", "/members/accept", {"token": token})).status_code == 400
    await world.kit.sql("UPDATE tenants SET suspended_at = now()")
    assert (await world.person("dora").call("POST", "/members/accept", {"token": other})).status_code == 400


async def test_an_invitation_is_not_accepted_at_another_tenants_host(world: World) -> None:
    ann = await world.founded("alpha")
    await world.founded("beta", "bob")
    token = await world.invited(ann, "cleo@people.test", "clerk")
    cleo = world.person("cleo")
    assert (await cleo.call("POST", "/members/accept", {"token": token}, Host=f"beta.{HOME}")).status_code == 400
    assert (await cleo.call("POST", "/members/accept", {"token": token}, Host=f"gamma.{HOME}")).status_code == 404
    assert (await cleo.call("POST", "/members/accept", {"token": token}, Host=f"alpha.{HOME}")).status_code == 201


async def test_a_member_is_neither_invited_nor_joined_again(world: World) -> None:
    ann = await world.founded("alpha")
    token = await world.invited(ann, "elsewhere@people.test", "viewer")
    answer = await ann.call("POST", "/members/invitations", {"email": "ANN@people.test", "role": "viewer"})
    assert (answer.status_code, answer.json()["code"]) == (409, "tenancy.already_member")
    again = await world.person("ann", "elsewhere@people.test").call("POST", "/members/accept", {"token": token})
    assert (again.status_code, again.json()["code"]) == (409, "tenancy.already_member")


async def test_hostile_addresses_and_unknown_fields_are_refused(world: World) -> None:
    ann = await world.founded("alpha")
    for email in ("a@b.test\r\nBcc: x@y.test", "a,b@c.test", '"a"@b.test', "a@b@c", "ä@b.test", ""):
        answer = await ann.call("POST", "/members/invitations", {"email": email, "role": "viewer"})
        assert answer.status_code == 422, email
    body = {"email": "a@b.test", "role": "viewer", "tenant_id": ann.claim}
    assert (await ann.call("POST", "/members/invitations", body)).status_code == 422


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def timed(assembly: Assembly, postgres: Postgres, clock: Clock) -> AsyncIterator[World]:
    limits = {"TENANCY_INVITATIONS_PER_DAY": "3", "TENANCY_INVITATIONS_PER_ADDRESS_PER_HOUR": "2"}
    async with running(assembly, postgres, environ=ENVIRON | limits, clock=clock, base_url=f"https://{HOME}") as kit:
        yield World(kit=kit)


async def test_an_invitation_expires(timed: World, clock: Clock) -> None:
    ann = await timed.founded("alpha")
    token = await timed.invited(ann, "cleo@people.test", "clerk")
    clock.now += timedelta(days=7)
    assert (await ann.call("GET", "/members/invitations")).json() == {"items": []}
    assert (await timed.person("cleo").call("POST", "/members/accept", {"token": token})).status_code == 400


async def test_a_tenant_invites_so_many_a_day(timed: World, clock: Clock) -> None:
    ann = await timed.founded("alpha")

    async def invite(number: int) -> int:
        body = {"email": f"p{number}@new.test", "role": "viewer"}
        return (await ann.call("POST", "/members/invitations", body)).status_code

    assert sorted(await asyncio.gather(*map(invite, range(5)))) == [201, 201, 201, 429, 429]
    clock.now += timedelta(days=1, seconds=1)
    assert await invite(9) == 201


async def test_an_address_is_sent_so_many_by_all_tenants_together(timed: World, clock: Clock) -> None:
    founders = [await timed.founded(slug, slug) for slug in ("alpha", "beta", "gamma")]
    body = {"email": "stranger@new.test", "role": "viewer"}
    answers = await asyncio.gather(*(each.call("POST", "/members/invitations", body) for each in founders))
    assert sorted(each.status_code for each in answers) == [201, 201, 429]
    refused = next(each for each in answers if each.status_code == 429)
    assert refused.headers["Retry-After"] == "3600"
    clock.now += timedelta(hours=1, seconds=1)
    assert (await founders[0].call("POST", "/members/invitations", body)).status_code == 201
