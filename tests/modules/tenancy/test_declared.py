"""What is refused before anything runs, and what the contract tells."""

from __future__ import annotations

import pytest

from holdtrue.assembly import Assembly, compose
from holdtrue.assembly.testing import Postgres
from holdtrue.modules.tenancy import Tenancy
from holdtrue.modules.tenancy.hosts import Named, canonical, named_by
from holdtrue.modules.tenancy.roles import Roles
from holdtrue.modules.tenancy.settings import TenancySettings
from holdtrue.runtime import Fault, Faults, Module
from holdtrue.runtime.settings import load


@pytest.mark.parametrize(
    ("roles", "code"),
    [
        ({}, "OWNER_ROLE"),
        ({"clerk": ("paper.read",)}, "OWNER_ROLE"),
        ({"owner": "*", "boss": "*"}, "OWNER_ROLE"),
        ({"owner": "*", "clerk": "paper.read"}, "ROLE_TYPE"),
        ({"owner": "*", "Read-Only": ("paper.read",)}, "ROLE_NAME"),
        ({"boss": "*", "owner": ("paper.read",)}, "ROLE_NAME"),
    ],
)
def test_roles_have_one_owner_plain_names_and_lists_of_permissions(roles: dict[str, object], code: str) -> None:
    with pytest.raises(Fault, match=code):
        Tenancy(roles=roles)  # type: ignore[arg-type]


def test_a_permission_that_no_module_declares_is_refused_at_assembly(paper: Module, doors: Module) -> None:
    with pytest.raises(Faults, match=r"paper\.raed"):
        compose(paper, Tenancy(roles={"owner": "*", "clerk": ("paper.raed",)}), doors)


def test_a_changed_role_changes_the_contracts_digest() -> None:
    one, other = (Tenancy(roles={"owner": "*", "clerk": granted}) for granted in (("a.b",), ("a.b", "a.c")))
    assert one.contract.digest != other.contract.digest


def test_covering_is_about_permissions_held_now_and_only_an_owner_covers_an_owner() -> None:
    roles = Roles.declared({"boss": "*", "all": ("a.b", "a.c"), "some": ("a.b",), "none": ()})
    every = frozenset({"a.b", "a.c"})
    assert roles.covers("boss", every, "boss", every)
    assert not roles.covers("boss", frozenset({"a.b"}), "boss", every)
    assert not roles.covers("all", every, "boss", every)
    assert roles.covers("all", every, "some", every)
    assert not roles.covers("some", frozenset({"a.b"}), "all", every)
    assert roles.covers("none", frozenset(), "none", every)
    assert roles.covers("some", frozenset({"a.b"}), "gone", every)
    assert roles.permissions("gone", every) == frozenset()
    assert [each.role for each in roles.grants] == ["boss", "all", "some", "none"]


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("shops.test", Named()),
        ("SHOPS.test.", Named()),
        ("www.shops.test", Named()),
        ("alpha.shops.test", Named(slug="alpha")),
        ("a.b.shops.test", Named(slug="a.b")),
        ("alphashops.test", Named(custom="alphashops.test")),
        ("shops.test.evil.example", Named(custom="shops.test.evil.example")),
        ("", Named(custom="")),
    ],
)
def test_a_host_is_compared_as_a_whole(host: str, named: Named) -> None:
    assert named_by(host, "shops.test", frozenset({"www"})) == named
    assert named_by(host, None, frozenset()) == Named()


def test_a_host_name_has_one_spelling() -> None:
    assert canonical("Shop.Example.COM.") == "shop.example.com"


@pytest.mark.parametrize("url", ["http://front.test/join", "ftp://x", "https://front.test/#join", "front.test"])
def test_the_link_of_an_invitation_leads_to_a_safe_page(url: str) -> None:
    with pytest.raises(Faults, match="TENANCY_ACCEPT_URL"):
        load([TenancySettings], {"TENANCY_ACCEPT_URL": url})


def test_the_document_tells_who_belongs_where(assembly: Assembly) -> None:
    told = assembly.document("shop.main:assembly")
    assert told.tenancy is not None
    assert told.tenancy.tables["tenants"] == "id"
    assert told.tenancy.tenant == "tenant_id"
    assert {"owner", "manager", "clerk", "viewer", "outsider"} <= set(told.principals)
    assert told.tenancy.removals["removed_member"].principal == "viewer"
    assert told.routes["POST /members/accept"].permission == "signed_in"


def test_migrations_go_down_and_up_again(assembly: Assembly, postgres: Postgres) -> None:
    urls = postgres.create()
    try:
        done = assembly.migrations.upgrade(urls.owner, urls.app, worker_url=urls.worker)
        assert "tenancy_0001" in done
        undone = assembly.migrations.downgrade(urls.owner, urls.app, worker_url=urls.worker, steps=len(done) - 1)
        assert "tenancy_0001" in undone
        assert "tenancy_0001" in assembly.migrations.upgrade(urls.owner, urls.app, worker_url=urls.worker)
    finally:
        postgres.drop(urls)
