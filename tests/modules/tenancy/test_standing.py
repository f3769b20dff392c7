"""Which tenant a request is in: token ∩ host ∩ live membership."""

from __future__ import annotations

from uuid import uuid4

from modules.tenancy.world import HOME, World


async def test_a_founder_is_the_owner_of_a_new_tenant(world: World) -> None:
    ann = await world.founded("alpha")
    assert (await ann.call("POST", "/papers?title=one")).status_code == 201
    assert (await ann.call("GET", "/papers")).json() == ["one"]
    [me] = (await ann.call("GET", "/members")).json()["items"]
    assert (me["user_id"], me["email"], me["role"]) == ("ann", "ann@people.test", "owner")
    [mine] = (await ann.call("GET", "/tenants")).json()["items"]
    assert (mine["id"], mine["slug"], mine["role"], mine["suspended"]) == (ann.claim, "alpha", "owner", False)
    [fact] = await world.kit.sql("SELECT * FROM doors_audit")
    assert (fact["action"], fact["subject"], fact["principal"]) == ("tenancy.tenant_created", ann.claim, "ann")


async def test_a_token_that_names_another_tenant_opens_nothing(world: World) -> None:
    ann, bob = await world.founded("alpha"), await world.founded("beta", "bob")
    assert (await bob.within(str(ann.claim)).call("GET", "/papers")).status_code == 403
    assert (await bob.within(str(uuid4())).call("GET", "/papers")).status_code == 403
    assert (await world.person("nobody").call("GET", "/papers")).status_code == 403


async def test_without_a_named_tenant_the_only_membership_decides_and_two_do_not(world: World) -> None:
    ann = await world.founded("alpha")
    await ann.call("POST", "/papers?title=of-alpha")
    nameless = world.person("ann")
    assert (await nameless.call("GET", "/papers")).json() == ["of-alpha"]
    beta = await world.founded("beta")
    answer = await nameless.call("GET", "/papers")
    assert (answer.status_code, answer.json()["code"]) == (403, "tenancy.several_tenants")
    assert (await nameless.call("GET", "/papers", Host=f"beta.{HOME}")).json() == []
    assert (await beta.call("GET", "/papers")).json() == []


async def test_a_host_that_contradicts_the_token_is_refused(world: World) -> None:
    ann = await world.founded("alpha")
    beta = await world.founded("beta")
    for host, status in {
        f"alpha.{HOME}": 200,
        f"ALPHA.{HOME}.": 200,
        f"alpha.{HOME}:8443": 200,
        f"www.{HOME}": 200,
        f"beta.{HOME}": 403,
        f"gamma.{HOME}": 403,
        f"x.alpha.{HOME}": 403,
        f"alpha{HOME}": 403,
        "alpha.evil.test": 403,
        "127.0.0.1": 403,
    }.items():
        assert (await ann.call("GET", "/papers", Host=host)).status_code == status, host
    answer = await ann.call("GET", "/papers", Host=f"alpha.{HOME}", **{"X-Forwarded-Host": f"beta.{HOME}"})
    assert answer.status_code == 200
    assert (await beta.call("GET", "/papers", Host=f"alpha.{HOME}")).status_code == 403


async def test_a_key_is_held_to_its_tenant_its_scopes_and_the_host(world: World) -> None:
    ann, beta = await world.founded("alpha"), await world.founded("beta")
    key = {"X-Kind": "key", "X-Principal": "key-1", "X-Scopes": "paper.read"}
    assert (await ann.call("GET", "/papers", **key)).status_code == 200
    assert (await ann.call("POST", "/papers?title=x", **key)).status_code == 403
    assert (await ann.call("GET", "/papers", Host=f"alpha.{HOME}", **key)).status_code == 200
    assert (await ann.call("GET", "/papers", Host=f"beta.{HOME}", **key)).status_code == 403
    assert (await ann.call("GET", "/papers", Host="shop.alpha.example", **key)).status_code == 403
    assert (await beta.call("GET", "/papers", **(key | {"X-Scopes": ""}))).status_code == 403


async def test_a_key_of_a_person_goes_with_the_person(world: World) -> None:
    ann = await world.founded("alpha")
    cleo, member = await world.joined(ann, "cleo", "clerk")
    key = {"X-Kind": "key", "X-Principal": "key-1", "X-Scopes": "paper.read tenancy.members_manage", "X-User": "cleo"}
    assert (await cleo.call("GET", "/papers", **key)).status_code == 200
    assert (await cleo.call("DELETE", f"/members/{member}", **key)).status_code == 403
    assert (await ann.call("DELETE", f"/members/{member}")).status_code == 204
    assert (await cleo.call("GET", "/papers", **key)).status_code == 403


async def test_scopes_narrow_what_the_membership_grants(world: World) -> None:
    ann = await world.founded("alpha")
    assert (await ann.call("GET", "/papers", **{"X-Scopes": "paper.read"})).status_code == 200
    assert (await ann.call("POST", "/papers?title=x", **{"X-Scopes": "paper.read"})).status_code == 403
    viewer, _ = await world.joined(ann, "vera", "viewer")
    assert (await viewer.call("POST", "/papers?title=x", **{"X-Scopes": "paper.write"})).status_code == 403
