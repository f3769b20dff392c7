"""Making, renaming and suspending tenants; hosts; hooks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest
from modules.tenancy.world import ENVIRON, HOME, ROLES, World

from holdtrue.assembly import Assembly, compose
from holdtrue.assembly.testing import Postgres, running
from holdtrue.modules.tenancy import (
    CREATING,
    INVITING,
    JOINING,
    TENANT_CREATED,
    Creation,
    Founder,
    Invite,
    Joining,
    Tenancy,
    TenantCreated,
    assign_host,
    create_tenant,
    enter_by_host,
    release_host,
    resume_tenant,
    suspend_tenant,
)
from holdtrue.modules.tenancy.errors import HostRefused, HostTaken
from holdtrue.runtime import Conflict, Forbidden, Module, NotFound, UnitOfWork, Work


async def test_a_slug_is_taken_once_even_at_once_and_nothing_of_the_loser_is_kept(world: World) -> None:
    people = [world.person(name) for name in ("ann", "bob", "cleo")]
    assert (await people[0].call("GET", "/tenants")).json() == {"items": []}
    answers = await asyncio.gather(*(each.call("POST", "/tenants", {"name": "A", "slug": "alpha"}) for each in people))
    assert sorted(each.status_code for each in answers) == [201, 409, 409]
    [rows] = await world.kit.sql("SELECT (SELECT count(*) FROM tenants) t, (SELECT count(*) FROM memberships) m")
    assert (rows["t"], rows["m"]) == (1, 1)
    refused = next(each for each in answers if each.status_code == 409)
    assert refused.json()["code"] == "tenancy.slug_taken"
    assert (await people[0].call("POST", "/tenants", {"name": "W", "slug": "www"})).status_code == 409


async def test_slugs_and_names_that_could_mislead_are_refused(world: World) -> None:
    ann = world.person("ann")
    for slug in ("a", "A-b", "a.b", "-ab", "ab-", "a--b", "x" * 41, "ä-b", "ab\n"):
        assert (await ann.call("POST", "/tenants", {"name": "A", "slug": slug})).status_code == 422, slug
    for name in ("", "  ", "a\nb", "nul\x00", "x" * 81):
        assert (await ann.call("POST", "/tenants", {"name": name, "slug": "good"})).status_code == 422, name
    unverified = await world.kit.client.post(
        "/tenants", json={"name": "A", "slug": "alpha"}, headers={"X-Principal": "ann"}
    )
    assert unverified.status_code == 403


async def test_a_rename_is_seen_and_audited_and_needs_its_permission(world: World) -> None:
    ann, beta = await world.founded("alpha"), await world.founded("beta", "bob")
    max_, _ = await world.joined(ann, "max", "manager")
    assert (await max_.call("PATCH", "/tenant", {"name": "Mine"})).status_code == 403
    answer = await ann.call("PATCH", "/tenant", {"name": "Better"})
    assert answer.json() == {"id": ann.claim, "name": "Better", "slug": "alpha"}
    assert (await beta.call("GET", "/tenants")).json()["items"][0]["name"] == "Beta"
    facts = await world.kit.sql("SELECT subject FROM doors_audit WHERE action = 'tenancy.tenant_renamed'")
    assert facts == [{"subject": ann.claim}]


async def test_members_of_a_suspended_tenant_are_out_until_it_is_resumed(world: World) -> None:
    ann = await world.founded("alpha")
    tenant = UUID(ann.claim)
    key = {"X-Kind": "key", "X-Scopes": "paper.read"}
    async with world.kit.unit(tenant=tenant) as unit:
        await suspend_tenant(unit, "unpaid")
    assert (await ann.call("GET", "/papers")).status_code == 403
    assert (await ann.call("GET", "/papers", **key)).status_code == 403
    assert (await ann.call("GET", "/tenants")).json()["items"][0]["suspended"] is True
    with pytest.raises(Conflict):
        async with world.kit.unit(tenant=tenant) as unit:
            await suspend_tenant(unit, "again")
    async with world.kit.unit(tenant=tenant) as unit:
        await resume_tenant(unit)
    assert (await ann.call("GET", "/papers")).status_code == 200
    assert (await ann.call("GET", "/papers", **key)).status_code == 200


async def test_a_custom_host_names_its_tenant_until_it_is_released(world: World) -> None:
    ann, beta = await world.founded("alpha"), await world.founded("beta", "bob")
    async with world.kit.unit(tenant=UUID(ann.claim)) as unit:
        await assign_host(unit, "Shop.Alpha.example.")
    assert (await ann.call("GET", "/papers", Host="shop.alpha.example")).status_code == 200
    key = {"X-Kind": "key", "X-Scopes": "paper.read"}
    assert (await ann.call("GET", "/papers", Host="shop.alpha.example", **key)).status_code == 200
    assert (await beta.call("GET", "/papers", Host="shop.alpha.example")).status_code == 403
    with pytest.raises(HostTaken):
        async with world.kit.unit(tenant=UUID(beta.claim)) as unit:
            await assign_host(unit, "shop.alpha.example")
    with pytest.raises(NotFound):
        async with world.kit.unit(tenant=UUID(beta.claim)) as unit:
            await release_host(unit, "shop.alpha.example")
    async with world.kit.unit(tenant=UUID(ann.claim)) as unit:
        await release_host(unit, "shop.alpha.example")
    assert (await ann.call("GET", "/papers", Host="shop.alpha.example")).status_code == 403


async def test_a_host_that_is_ours_or_nobodys_is_not_assigned(world: World) -> None:
    tenant = UUID((await world.founded("alpha")).claim)
    odd = ("localhost", "db.internal", "127.0.0.1", "0x7f.1", "::1", "alpha", "a_b.example", "a..example", "")
    for host in (HOME, f"alpha.{HOME}", *odd):
        with pytest.raises(HostRefused):
            async with world.kit.unit(tenant=tenant) as unit:
                await assign_host(unit, host)


async def test_the_app_may_make_tenants_itself_and_hear_of_them_and_refuse(
    paper: Module, doors: Module, postgres: Postgres
) -> None:
    heard: list[str] = []

    async def hear(work: Work, payload: TenantCreated) -> None:
        heard.append(payload.slug)

    async def no_reserved_brand(unit: UnitOfWork, payload: Creation) -> None:
        if "acme" in payload.slug:
            raise Forbidden("That name is ours.")

    async def own_people_only(unit: UnitOfWork, payload: Invite) -> None:
        if not payload.email.endswith("@people.test"):
            raise Forbidden("Only our own people.")

    async def two_seats(unit: UnitOfWork, payload: Joining) -> None:
        if payload.members >= 2:
            raise Conflict("All seats are taken.")

    bindings = [
        TENANT_CREATED.bind(hear),
        CREATING.bind(no_reserved_brand),
        INVITING.bind(own_people_only),
        JOINING.bind(two_seats),
    ]
    assembly = compose(paper, Tenancy(roles=ROLES, founding=False), doors, bindings=bindings)
    async with running(assembly, postgres, environ=ENVIRON, base_url=f"https://{HOME}") as kit:
        world = World(kit=kit)
        assert (await world.person("ann").call("POST", "/tenants", {"name": "A", "slug": "alpha"})).status_code == 405
        async with kit.unit() as unit:
            made = await create_tenant(
                unit, name="A", slug="alpha", founder=Founder(user_id="ann", email="Ann@people.test")
            )
        with pytest.raises(Forbidden):
            async with kit.unit() as unit:
                await create_tenant(unit, name="A", slug="acme", founder=Founder(user_id="ann", email="a@people.test"))
        await kit.work()
        assert heard == ["alpha"]
        ann = world.person("ann").within(str(made.id))
        assert (await ann.call("GET", "/members")).json()["items"][0]["email"] == "ann@people.test"
        refused = await ann.call("POST", "/members/invitations", {"email": "x@else.test", "role": "viewer"})
        assert refused.status_code == 403
        tokens = {name: await world.invited(ann, f"{name}@people.test", "viewer") for name in ("bob", "cleo", "dora")}
        answers = await asyncio.gather(
            *(world.person(name).call("POST", "/members/accept", {"token": token}) for name, token in tokens.items())
        )
        assert sorted(each.status_code for each in answers) == [201, 409, 409]


async def test_a_public_page_is_in_the_tenant_that_its_host_names(assembly: Assembly, postgres: Postgres) -> None:
    async with running(assembly, postgres, environ=ENVIRON, base_url=f"https://{HOME}") as kit:
        ann = await World(kit=kit).founded("alpha")

        async def entered(host: str) -> UUID | None:
            async with kit.unit() as unit:
                unit._context = replace(unit.context, host=host)
                return await enter_by_host(unit)

        assert await entered(f"alpha.{HOME}") == UUID(ann.claim)
        for host in (HOME, f"beta.{HOME}", f"www.{HOME}", "alpha.example", ""):
            with pytest.raises(NotFound):
                await entered(host)


async def test_without_a_base_domain_hosts_name_nobody(assembly: Assembly, postgres: Postgres) -> None:
    environ = {"TENANCY_ACCEPT_URL": "https://front.test/join"}
    async with running(assembly, postgres, environ=environ) as kit:
        world = World(kit=kit)
        ann = await world.founded("alpha")
        assert (await ann.call("GET", "/papers", Host="beta.anything.test")).status_code == 200
