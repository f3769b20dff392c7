"""What does not fit together is refused: coded, naming both sides, all at once."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData
from sqlalchemy import Table as ModelTable
from tower.notes import ALLOW, CONTRACT, DRAFT, INDEX, NOTE_ADDED, READ, SEEN, Draft, NoteAdded, Notes

from holdtrue.assembly import compose
from holdtrue.assembly.testing import Doors
from holdtrue.contract import (
    Binding,
    Contract,
    Event,
    Grant,
    Guard,
    Job,
    Permission,
    Rehearsal,
    Schedule,
    Table,
    public,
    signed_in,
)
from holdtrue.contract.document import Document, Principal, Request
from holdtrue.runtime import Fault, Faults, Module, Router, UnitOfWork, Work


def module(name: str = "extra", **promise: Any) -> Module:
    wiring = {key: promise.pop(key) for key in ("routers", "bindings", "metadata", "recorder") if key in promise}
    return Module(contract=Contract(name=name, version="1.0.0", **promise), **wiring)


def routed(path: str, access: Any) -> Router:
    router = Router()

    @router.get(path, access=access)
    async def answer() -> None: ...

    return router


def refusals(app: Module, *modules: Module, **more: Any) -> list[str]:
    """The faults, each as one line."""
    with pytest.raises(Faults) as refused:
        compose(app, *modules, **more)
    return [f"{fault.code}: {fault.seen}" for fault in refused.value.faults]


async def allow(unit: UnitOfWork, payload: Draft) -> None: ...


async def allow_too(unit: UnitOfWork, payload: Draft) -> None: ...


async def index_again(work: Work, payload: NoteAdded) -> None: ...


async def consume(work: Work, payload: NoteAdded) -> None: ...


def test_modules_come_in_the_order_of_their_requirements_and_the_app_last() -> None:
    last = module("alpha", requires=("notes>=1.0", "doors"))
    assembly = compose(last, Notes(), Doors(), module("zeta"), module("beta", requires=("zeta",)))
    names = [each.name for each in assembly.modules]
    assert names.index("zeta") < names.index("beta")
    assert names[-1] == "alpha"


def test_nothing_is_opened_or_read_by_composing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assembly = compose(Notes(), Doors())
    assert assembly.asgi is assembly.asgi
    assert assembly.document("tower.deployed:assembly").app.name == "notes"


@pytest.mark.parametrize(
    ("app", "modules", "told"),
    [
        (Notes(), [Doors(), Doors()], ["MODULE_TWICE: two modules are named doors"]),
        (module(requires=("tenancy",)), [], ["MODULE_MISSING: extra requires tenancy, which is not composed"]),
        (
            module(requires=("notes>=2.0",)),
            [Notes(), Doors()],
            ["MODULE_VERSION: extra requires notes>=2.0, not 1.0.0"],
        ),
        (
            module("a", requires=("b",)),
            [module("b", requires=("a",))],
            ["MODULE_CYCLE: modules need each other: a → b → a"],
        ),
        (
            module(routers=(routed("/notes/{id}", public("for this test")),)),
            [Notes(), Doors()],
            ["ROUTE_CLASH: notes and extra both answer GET /notes/{id}"],
        ),
        (
            module(routers=(routed("/health/ready", public("for this test")),)),
            [],
            ["ROUTE_CLASH: health and extra both answer GET /health/ready"],
        ),
        (
            module(routers=(routed("/open", None),)),
            [],
            ["ROUTE_WITHOUT_DECISION: this route says nothing about who may call it"],
        ),
        (
            module(routers=(routed("/x", Permission(name="extra.read", doc="")),)),
            [Doors()],
            ["PERMISSION_UNKNOWN: no composed module declares extra.read"],
        ),
        (
            module(tables=(Table(name="notes"),)),
            [Notes(), Doors()],
            ["TABLE_CLASH: notes and extra both own the table notes"],
        ),
        (
            module(tables=(Table(name="holdtrue_outbox"),)),
            [],
            ["TABLE_CLASH: the runtime and extra both own the table holdtrue_outbox"],
        ),
        (
            module(permissions=(Permission(name="extra.read", doc="1"), Permission(name="extra.read", doc="2"))),
            [],
            ["NAME_TWICE: extra declares extra.read 2 times"],
        ),
        (
            module(consumes=(NOTE_ADDED,)),
            [],
            ["BINDING_DANGLING: extra is bound to the event notes.note_added, which no composed module offers"],
        ),
        (
            module(binds=(ALLOW,)),
            [],
            ["BINDING_DANGLING: extra is bound to the guard notes.allow, which no composed module offers"],
        ),
        (
            module(bindings=(ALLOW.bind(allow),)),
            [Notes(), Doors()],
            ["BINDING_UNDECLARED: extra binds notes.allow and its contract does not say so"],
        ),
        (
            module(jobs=(Job(name="extra.work", payload=Draft),)),
            [],
            ["JOB_BINDINGS: the job extra.work of extra has 0 bindings"],
        ),
        (
            module(schedules=(Schedule(job=INDEX, every=timedelta(hours=1)),)),
            [],
            ["SCHEDULE_PAYLOAD: extra schedules notes.index, whose payload has fields without default"],
        ),
        (
            module(routers=(routed("/me", signed_in()),)),
            [],
            ["PORT_EMPTY: nobody fills the port 'authenticator', and it is needed by extra: GET /me"],
        ),
        (
            module(recorder=lambda facts: []),
            [Doors()],
            ["PORT_TWICE: doors and extra both fill the port 'recorder'"],
        ),
        (
            Notes(),
            [],
            [
                "PORT_EMPTY: nobody fills the port 'authenticator', and it is needed by notes: GET /notes and 3 more",
                "PORT_EMPTY: nobody fills the port 'tenants', and it is needed by notes: GET /notes and 2 more",
                "PORT_EMPTY: nobody fills the port 'recorder', and it is needed by notes.note_added",
                "PORT_EMPTY: nobody fills the port 'mailer', and it is needed by notes.hello",
            ],
        ),
    ],
)
def test_a_clash_is_refused_and_names_both_sides(app: Module, modules: list[Module], told: list[str]) -> None:
    assert refusals(app, *modules) == told


def test_a_role_is_granted_only_what_exists() -> None:
    clerk, owner = (
        Grant(role="clerk", permissions=("notes.read", "notes.rite")),
        Grant(role="owner", permissions=("*",)),
    )
    roles = module(grants=(clerk, owner))
    with pytest.raises(Faults) as refused:
        compose(roles, Notes(), Doors())
    [fault] = refused.value.faults
    assert (fault.code, fault.where) == ("PERMISSION_UNKNOWN", "extra: role clerk")
    assert "notes.write" in fault.do


def test_a_module_may_look_at_all_contracts_and_refuse() -> None:
    def no_mails(contracts: Sequence[Contract]) -> list[Fault]:
        return [Fault("MAIL_UNWANTED", each.name) for contract in contracts for each in contract.mails]

    picky = replace(module(), verify=no_mails)
    assert refusals(picky, Notes(), Doors()) == ["MAIL_UNWANTED: notes.hello"]


def test_everything_is_told_at_once() -> None:
    broken = module(
        requires=("tenancy",), tables=(Table(name="notes"),), routers=(routed("/notes", public("testing")),)
    )
    told = refusals(broken, Notes(), Doors(), bindings=[ALLOW.bind(allow), ALLOW.bind(allow)])
    assert [each.partition(":")[0] for each in told] == [
        "MODULE_MISSING",
        "ROUTE_CLASH",
        "TABLE_CLASH",
        "BINDING_TWICE",
    ]


def test_a_model_without_tenant_decision_is_refused() -> None:
    metadata = MetaData()
    ModelTable("loose", metadata, Column("id", Integer, primary_key=True))
    assert refusals(module(metadata=metadata)) == ["TABLE_WITHOUT_DECISION: the table loose has no tenant decision"]
    declared = module(metadata=metadata, tables=(Table(name="loose"),))
    assert refusals(declared) == ["TABLE_NOT_BY_TENANT: the primary key of loose does not lead with tenant_id"]


async def wrong_payload(unit: UnitOfWork, payload: NoteAdded) -> None: ...


async def wrong_first(work: Work, payload: Draft) -> None: ...


async def wrong_result(unit: UnitOfWork, payload: Draft) -> str:
    return ""


async def one_argument(payload: Draft) -> None: ...


async def three_arguments(unit: UnitOfWork, payload: Draft, more: int) -> None: ...


async def silent(unit, payload):  # type: ignore[no-untyped-def]
    ...


def at_once(unit: UnitOfWork, payload: Draft) -> None: ...


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (wrong_payload, "its second argument is annotated NoteAdded instead of Draft"),
        (wrong_first, "its first argument is annotated Work instead of UnitOfWork"),
        (wrong_result, "it returns str instead of None"),
        (one_argument, "it takes 1 arguments instead of two"),
        (three_arguments, "it takes 3 arguments instead of two"),
        (silent, "its first argument is annotated with nothing instead of UnitOfWork"),
        (at_once, "it is not an async function"),
    ],
)
def test_a_binding_of_the_wrong_type_is_refused_from_its_annotations(function: Any, told: str) -> None:
    [fault] = refusals(Notes(), Doors(), bindings=[Binding(target=ALLOW, function=function)])
    assert fault.startswith("BINDING_TYPE")
    assert function.__name__ in fault
    assert "notes.allow" in fault
    assert fault.endswith(told)


def test_a_binding_without_a_name_is_refused() -> None:
    [fault] = refusals(Notes(), Doors(), bindings=[ALLOW.bind(functools.partial(allow))])
    assert fault.endswith("it is not a function with a name, and rows of the outbox name it")


def test_a_transform_must_return_what_it_takes() -> None:
    [fault] = refusals(Notes(), Doors(), bindings=[Binding(target=DRAFT, function=allow)])
    assert fault.endswith("it returns None instead of Draft")


def test_a_deferred_binding_works_with_a_piece_of_work() -> None:
    async def in_transaction(unit: UnitOfWork, payload: NoteAdded) -> None: ...

    for target in (SEEN, NOTE_ADDED):
        [fault] = refusals(Notes(), Doors(), bindings=[Binding(target=target, function=in_transaction)])
        assert fault.endswith("its first argument is annotated UnitOfWork instead of Work")


def test_the_order_of_bindings_is_that_of_the_list_and_a_wrong_one_is_refused() -> None:
    later = ALLOW.bind(allow_too, after=(f"{__name__}:allow",))
    assert len(compose(Notes(), Doors(), bindings=[ALLOW.bind(allow), later]).bindings) == 6
    [fault] = refusals(Notes(), Doors(), bindings=[later, ALLOW.bind(allow)])
    assert fault.startswith("BINDING_ORDER")
    assert "allow_too" in fault


def test_a_job_bound_twice_and_a_hook_of_another_version_are_refused() -> None:
    [fault] = refusals(Notes(), Doors(), bindings=[INDEX.bind(index_again)])
    assert fault.startswith("JOB_BINDINGS: the job notes.index of notes has 2 bindings")
    older = Guard(name="notes.allow", payload=Draft, doc="as it was in version 0.9")
    [fault] = refusals(Notes(), Doors(), bindings=[older.bind(allow)])
    assert fault.startswith("BINDING_OF_ANOTHER_VERSION")


def test_an_optional_module_that_is_not_there_does_not_matter() -> None:
    wanted = module(optional=("notes>=1.0",), consumes=(NOTE_ADDED,))
    assert compose(wanted).modules
    assert compose(wanted, Notes(), Doors()).modules
    too_new = replace(wanted, contract=replace(wanted.contract, optional=("notes>=2.0",)))
    assert refusals(too_new, Notes(), Doors()) == ["MODULE_VERSION: extra requires notes>=2.0, not 1.0.0"]


def test_a_module_upgraded_to_the_next_minor_version_keeps_the_apps_bindings() -> None:
    grown = replace(
        CONTRACT,
        version="1.1.0",
        hooks=(*CONTRACT.hooks, Guard(name="notes.remove", payload=Draft)),
        events=(*CONTRACT.events, Event(name="notes.note_removed", payload=Draft)),
    )
    bindings = [ALLOW.bind(allow), NOTE_ADDED.bind(consume)]
    assert compose(Notes(), Doors(), bindings=bindings).bindings == (
        compose(replace(Notes(), contract=grown), Doors(), bindings=bindings).bindings
    )


def test_the_document_of_an_assembly_is_derived_and_valid() -> None:
    assembly = compose(Notes(), Doors(), name="pinboard")
    document = assembly.document("tower.deployed:assembly")
    told = document.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert Document.model_validate(told) == document
    assert document.app.name == "pinboard"
    assert document.permissions == {"notes.read": "see notes", "notes.write": "write notes"}
    assert document.routes["POST /notes"].permission == "notes.write"
    assert document.routes["POST /notes"].json_ == {"title": "{unique}"}
    assert document.routes["GET /notes/me"].scope == "account"
    assert document.routes["GET /notes/about"].public == "anybody may know what this is"
    assert "importer" in str(document.routes["POST /notes/import"].out_of_scope)
    assert document.routes["GET /health/ready"].public == "readiness probe"
    assert document.process.worker == "{python} -m holdtrue.assembly worker tower.deployed:assembly"
    assert document.two_roles


def test_rehearsals_of_modules_are_merged_and_the_app_has_the_last_word() -> None:
    def acting(name: str, permission: str) -> Module:
        owner = Principal(permissions=[permission])
        return module(name, rehearsal=Rehearsal(principals={"owner": owner}, tenant="tenant_id"))

    document = compose(acting("app", "a.b"), acting("one", "c.d")).document("x:y")
    assert document.principals["owner"].permissions == ["a.b"]
    with pytest.raises(Faults, match=r"REHEARSAL_CLASH: one and two describe principals\.owner"):
        compose(acting("app", "a.b"), acting("one", "c.d"), acting("two", "e.f")).document("x:y")
    assert READ.name in compose(Notes(), Doors()).document("x:y").permissions


def test_everybody_arrives_first_who_has_no_way_of_their_own() -> None:
    sign_in = Request(request="POST /sign-in", json_={"email": "{principal}@{tenant}.test"})
    arrival = Principal(steps=[sign_in], headers={"Authorization": "Bearer {access_token}"})
    joins = Request(request="POST /join")
    machine = Principal(headers={"X-Key": "k"})
    people = module("people", rehearsal=Rehearsal(principals={"clerk": Principal(steps=[joins]), "machine": machine}))
    doors = module("entry", rehearsal=Rehearsal(arrival=arrival))
    principals = compose(people, doors).document("x:y").principals
    assert principals["machine"] == machine
    assert principals["clerk"].headers == arrival.headers
    first, second = principals["clerk"].steps
    assert isinstance(first, Request)
    assert first.json_ == {"email": "clerk@{tenant}.test"}
    assert second == joins
