"""What a human must approve, and what needs nobody."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from gate.releases import DOCUMENT

from holdtrue.contract.lock import Bound, Pinned, Runtime
from holdtrue.gate.changes import changes, pending
from holdtrue.gate.document_changes import changes as document_changes
from holdtrue.gate.paper import Change, Need
from holdtrue.gate.state import Revision, State

Document = dict[str, Any]
Edit = Callable[[Document], object]

BASE: Document = tomllib.loads(DOCUMENT) | {
    "permissions": {"pets.read": "see pets", "pets.write": "change pets"},
    "routes": {
        "POST /homes": {"public": "sign-up"},
        "GET /pets": {"permission": "pets.read"},
        "POST /pets": {"permission": "pets.write"},
        "POST /hooks": {"signature": "stripe"},
    },
    "tenancy": {
        "tenant": "home_id",
        "tables": {"pets": "home_id", "toys": "home_id"},
        "global": {"breeds": "the same for all"},
        "removals": {"out": {"principal": "owner", "steps": []}},
    },
    "webhooks": {"stripe": {"route": "POST /hooks", "journeys": {}}},
    "mail": {"welcome": {"to": "a@b.c", "cause": {}}},
    "audit": {"tables": ["events"], "covers": [], "except": {"sessions": "no decision"}},
    "refresh": {"principal": "owner"},
    "waivers": [{"code": "MAIL051", "reason": "by hand for now", "owner": "us", "until": "2027-01-01"}],
    "openapi": "/openapi.json",
    "migrations": {"irreversible": {}},
}
_BREEDS = {"global": {}, "tables": BASE["tenancy"]["tables"] | {"breeds": "home_id"}}

LOOSER: list[tuple[str, Need, Edit]] = [
    ("a new permission", Need.PERMISSIONS, lambda d: d["permissions"].update({"pets.sell": "sell pets"})),
    ("a role that is granted more", Need.PERMISSIONS, lambda d: d["principals"]["owner"].update(permissions=["*"])),
    ("a new role", Need.PERMISSIONS, lambda d: d["principals"].update(vet={"permissions": ["pets.read"]})),
    (
        "another permission of a route",
        Need.PERMISSIONS,
        lambda d: d["routes"]["POST /pets"].update(permission="pets.read"),
    ),
    ("signed in suffices", Need.PERMISSIONS, lambda d: d["routes"]["POST /pets"].update(permission="signed_in")),
    ("a route for who left", Need.PERMISSIONS, lambda d: d["routes"]["GET /pets"].update(scope="account")),
    ("a route made public", Need.PUBLIC, lambda d: d["routes"].update({"GET /pets": {"public": "who cares"}})),
    ("a new public route", Need.PUBLIC, lambda d: d["routes"].update({"GET /all": {"public": "who cares"}})),
    ("a new signed route", Need.PUBLIC, lambda d: d["routes"].update({"POST /more": {"signature": "stripe"}})),
    ("a route out of scope", Need.PROMISES, lambda d: d["routes"].update({"GET /pets": {"out_of_scope": "too hard"}})),
    ("a success that is another", Need.REHEARSAL, lambda d: d["routes"]["GET /pets"].update(expect=403)),
    (
        "a table made global",
        Need.TENANCY,
        lambda d: d["tenancy"]["global"].update(pets=d["tenancy"]["tables"].pop("pets")),
    ),
    ("a new global table", Need.TENANCY, lambda d: d["tenancy"]["global"].update(foods="the same for all")),
    ("a table no more declared", Need.TENANCY, lambda d: d["tenancy"]["tables"].pop("toys")),
    ("another tenant column", Need.TENANCY, lambda d: d["tenancy"]["tables"].update(pets="owner_id")),
    ("another tenant variable", Need.TENANCY, lambda d: d["tenancy"].update(tenant="owner_id")),
    ("a table out of scope", Need.PROMISES, lambda d: d.update(tables_out_of_scope={"pets": "later"})),
    ("no tenancy", Need.PROMISES, lambda d: d.pop("tenancy")),
    ("no removal", Need.PROMISES, lambda d: d["tenancy"]["removals"].clear()),
    ("no audit", Need.PROMISES, lambda d: d.pop("audit")),
    ("an exception from audit", Need.PROMISES, lambda d: d["audit"]["except"].update(pets="noisy")),
    ("audit of one table only", Need.PROMISES, lambda d: d["audit"].update(covers=["toys"])),
    ("no refresh", Need.PROMISES, lambda d: d.pop("refresh")),
    ("no mail", Need.PROMISES, lambda d: d["mail"].clear()),
    ("no webhook", Need.PROMISES, lambda d: d["webhooks"].clear()),
    ("no OpenAPI", Need.PROMISES, lambda d: d.pop("openapi")),
    ("another OpenAPI", Need.REHEARSAL, lambda d: d.update(openapi="/small.json")),
    ("a principal less", Need.PROMISES, lambda d: d["principals"].clear()),
    ("another way to be owner", Need.REHEARSAL, lambda d: d["principals"]["owner"].update(steps=[])),
    ("another mail", Need.REHEARSAL, lambda d: d["mail"]["welcome"].update(to="x@y.z")),
    ("another journey", Need.MONEY, lambda d: d["webhooks"]["stripe"].update(journeys={"buy": {}})),
    ("a new webhook", Need.MONEY, lambda d: d["webhooks"].update(other={})),
    ("a new waiver", Need.PROMISES, lambda d: d["waivers"].append({"code": "PAY011", "until": "2027-01-01"})),
    ("a second waiver of a guarantee", Need.PROMISES, lambda d: d["waivers"].append(d["waivers"][0] | {"owner": "me"})),
    ("a longer waiver", Need.PROMISES, lambda d: d["waivers"][0].update(until="2099-01-01")),
    ("another command", Need.PROCESS, lambda d: d["process"].update(migrate="sh -c evil")),
    ("another environment", Need.PROCESS, lambda d: d["process"]["env"].update(DEBUG="1")),
    ("a migration that does not go down", Need.PROCESS, lambda d: d["migrations"]["irreversible"].update(a="no")),
]
HARMLESS: list[tuple[str, Edit]] = [
    ("another name", lambda d: d["app"].update(name="cats")),
    ("a permission less", lambda d: d["permissions"].pop("pets.write")),
    ("a permission in other words", lambda d: d["permissions"].update({"pets.read": "look at pets"})),
    ("a role that may less", lambda d: d["principals"]["owner"].update(permissions=[])),
    ("a new guarded route", lambda d: d["routes"].update({"GET /toys": {"permission": "pets.read"}})),
    ("a route less", lambda d: d["routes"].pop("POST /pets")),
    ("a public route that is guarded now", lambda d: d["routes"].update({"POST /homes": {"permission": "pets.write"}})),
    ("another reason to be public", lambda d: d["routes"]["POST /homes"].update(public="anybody may sign up")),
    ("a new tenant table", lambda d: d["tenancy"]["tables"].update(beds="home_id")),
    ("a global table that is a tenant's now", lambda d: d["tenancy"].update(_BREEDS)),
    ("more audited", lambda d: d["audit"]["except"].clear()),
    ("a new mail", lambda d: d["mail"].update(bye={"to": "x@y.z"})),
    ("a new removal", lambda d: d["tenancy"]["removals"].update(again={})),
    ("a waiver that is written twice", lambda d: d["waivers"].append(d["waivers"][0])),
    ("a waiver less", lambda d: d["waivers"].clear()),
    ("a new resource", lambda d: d.update(resources={"pet": {}})),
]  # fmt: skip


@pytest.mark.parametrize(("need", "edit"), [pytest.param(need, edit, id=name) for name, need, edit in LOOSER])
def test_a_looser_document_needs_an_approval(need: Need, edit: Edit) -> None:
    found = _edited(edit)
    assert need in {each.need for each in found}
    assert all(each.why for each in found if each.need is not None)


@pytest.mark.parametrize("edit", [pytest.param(edit, id=name) for name, edit in HARMLESS])
def test_what_is_added_or_tightened_is_shown_and_needs_nobody(edit: Edit) -> None:
    found = _edited(edit)
    assert found
    assert {each.need for each in found} == {None}


def test_the_same_document_has_no_changes() -> None:
    assert not _edited(lambda _: None)


def test_no_section_of_a_document_is_left_uncompared() -> None:
    """Whatever a later version of the document has: changing it is seen, and needs an approval."""
    found = list(document_changes({"brand_new": {"a": 1}}, {"brand_new": {"a": 2}}))
    assert [each.need for each in found] == [Need.REHEARSAL]


def _edited(edit: Edit) -> list[Change]:
    new = copy.deepcopy(BASE)
    edit(new)
    return list(document_changes(BASE, new))


# -- what is not in the document --------------------------------------------------------------------------------------

_PRICING = Bound(target="shop.price", kind="transform", function="shop.pricing:capped", money=True)
_LABEL = Bound(target="shop.label", kind="transform", function="shop.labels:short")
_PAYMENTS = Pinned(distribution="holdtrue", version="1.0", contract="1.0.0", digest="sha256:c", source="sha256:s")
_OLD = State(
    app="shop",
    document={},
    files={"src/shop/pricing.py": "sha256:p", "src/shop/labels.py": "sha256:l"},
    signers_file="allowed_signers",
    signers="ana",
    revisions=[Revision(revision="one", digest="sha256:1")],
    contracts={"payments": {"effects": [{"name": "payments.refund", "approval": "plan"}], "hooks": [
        {"name": "payments.refund_allowed", "money": True}]}},
    modules={"payments": _PAYMENTS, "shop": Pinned(contract="1.0.0", digest="sha256:x")},
    bindings=[_PRICING, _LABEL],
    ports={"tenants": "holdtrue.modules.tenancy.standing:tenants"},
    runtime=Runtime(version="1", source="sha256:r"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("need", "new"),
    [
        pytest.param(Need.MONEY, {"bindings": [_LABEL]}, id="a money binding less"),
        pytest.param(
            Need.MONEY,
            {"bindings": [_PRICING, _PRICING.model_copy(update={"function": "shop.pricing:more"}), _LABEL]},
            id="a money binding more",
        ),
        pytest.param(
            Need.MONEY, {"bindings": [_PRICING.model_copy(update={"money": False})]}, id="a money hook no more"
        ),
        pytest.param(
            Need.MONEY,
            {"files": {"src/shop/pricing.py": "sha256:other", "src/shop/labels.py": "sha256:l"}},
            id="source of a money binding",
        ),
        pytest.param(
            Need.MONEY,
            {"contracts": {"payments": {"effects": [{"name": "payments.refund", "approval": "none"}], "hooks": [
                {"name": "payments.refund_allowed", "money": True}]}}},
            id="a side effect without approval",
        ),
        pytest.param(Need.PERMISSIONS, {"ports": {"tenants": "shop.labels:everybody"}}, id="a port filled by the app"),
        pytest.param(
            Need.MONEY,
            {"contracts": {"payments": {**_OLD.contracts["payments"], "hooks": []}}},
            id="a money hook less",
        ),
        pytest.param(
            Need.PROCESS,
            {"contracts": {"payments": {**_OLD.contracts["payments"], "hosts": [{"host": "evil.test", "why": "x"}]}}},
            id="a host more",
        ),
        pytest.param(
            Need.MODULES,
            {"modules": {**_OLD.modules, "payments": _PAYMENTS.model_copy(update={"source": "sha256:patched"})}},
            id="an altered module",
        ),
        pytest.param(Need.MODULES, {"runtime": Runtime(version="2", source="sha256:r")}, id="another runtime"),
        pytest.param(Need.MIGRATIONS, {"moving_files": {"migrations/1.sql": "sha256:m"}}, id="a file of a migration"),
        pytest.param(Need.SIGNERS, {"signers": "ana, agent"}, id="another signer"),
        pytest.param(Need.SIGNERS, {"signers_file": "my_signers"}, id="another signers file"),
        pytest.param(
            Need.MIGRATIONS,
            {"revisions": [*_OLD.revisions, Revision(revision="two", digest="sha256:2")]},
            id="a revision",
        ),
    ],
)  # fmt: skip
def test_money_modules_migrations_and_signers_need_an_approval(need: Need, new: dict[str, Any]) -> None:
    found = changes(_OLD, _OLD.model_copy(update=new))
    assert need in {each.need for each in found}


@pytest.mark.parametrize(
    "new",
    [
        {"bindings": [_PRICING]},
        {"files": {"src/shop/pricing.py": "sha256:p", "src/shop/labels.py": "sha256:other", "README.md": "sha256:n"}},
        {"modules": {**_OLD.modules, "shop": Pinned(contract="1.1.0", digest="sha256:y")}},
    ],
    ids=["a binding that decides no money", "other source", "the app's own contract"],
)
def test_other_code_needs_no_approval(new: dict[str, Any]) -> None:
    assert {each.need for each in changes(_OLD, _OLD.model_copy(update=new))} <= {None}


def test_only_revisions_that_were_not_admitted_are_pending() -> None:
    revisions = [Revision(revision=name, digest="") for name in ("one", "two", "three")]
    new = _OLD.model_copy(update={"revisions": revisions})
    assert pending(_OLD, new) == ["two", "three"]
    assert pending(None, new) == ["one", "two", "three"]


def test_another_source_of_what_fills_a_port_needs_an_approval() -> None:
    own = _OLD.model_copy(update={"ports": {"tenants": "shop.labels:everybody"}})
    other = own.model_copy(update={"files": {**own.files, "src/shop/labels.py": "sha256:other"}})
    (change,) = [each for each in changes(own, other) if each.need is not None]
    assert (change.what, change.need) == ("port tenants", Need.PERMISSIONS)
