"""What a module declares: names, decisions, versions, and a digest that changes with the promise."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from holdtrue.contract import (
    Contract,
    Event,
    Guard,
    Job,
    MailTemplate,
    Payload,
    Permission,
    Requirement,
    Route,
    Schedule,
    SideEffect,
    Table,
    Transform,
    global_table,
    public,
)
from holdtrue.contract.errors import UsageError


class Thing(Payload):
    thing_id: int


class Other(Payload):
    thing_id: int
    colour: str = "red"


READ = Permission(name="things.read", doc="see things")
MADE = Event(name="things.thing_made", payload=Thing, audited=True, subject="thing_id")
WORK = Job(name="things.work", payload=Thing)
CONTRACT = Contract(
    name="things",
    version="1.2.3",
    requires=("tenancy>=1.0",),
    permissions=(READ,),
    events=(MADE,),
    hooks=(Guard(name="things.allow", payload=Thing), Transform(name="things.price", payload=Thing, money=True)),
    jobs=(WORK,),
    schedules=(Schedule(job=WORK, every=timedelta(hours=1)),),
    tables=(Table(name="things"), global_table("colours", "the same for everybody")),
    effects=(SideEffect(name="things.shipped", doc="a parcel leaves"),),
    mails=(MailTemplate(name="things.hello", payload=Thing, subject="Hello", text="{{ thing_id }}"),),
    guarantees=("TEN042",),
)


def test_the_digest_is_the_same_for_the_same_promise_whenever_it_is_made() -> None:
    again = replace(CONTRACT, permissions=(Permission(name="things.read", doc="see things"),))
    assert again.digest == CONTRACT.digest
    assert CONTRACT.digest.startswith("sha256:")
    assert json.loads(json.dumps(CONTRACT.as_json())) == CONTRACT.as_json()


@pytest.mark.parametrize(
    "change",
    [
        lambda c: replace(c, version="1.2.4"),
        lambda c: replace(c, permissions=()),
        lambda c: replace(c, events=(replace(MADE, audited=False),)),
        lambda c: replace(c, events=(replace(MADE, required=False),)),
        lambda c: replace(c, events=(Event(name="things.thing_made", payload=Other),)),
        lambda c: replace(c, hooks=(Guard(name="things.allow", payload=Other), c.hooks[1])),
        lambda c: replace(c, hooks=(Guard(name="things.price", payload=Thing), c.hooks[0])),
        lambda c: replace(c, hooks=(c.hooks[0], replace(c.hooks[1], money=False))),
        lambda c: replace(c, jobs=(replace(WORK, unknown="hold"),)),
        lambda c: replace(c, schedules=()),
        lambda c: replace(c, tables=(Table(name="things", unaudited="counters"), c.tables[1])),
        lambda c: replace(c, effects=(replace(c.effects[0], approval="plan"),)),
        lambda c: replace(c, mails=(replace(c.mails[0], text="{{ thing_id }}!"),)),
        lambda c: replace(c, guarantees=()),
        lambda c: c.with_routes((Route(method="GET", path="/things", access=READ),)),
    ],
)
def test_every_change_of_the_promise_changes_the_digest(change: Callable[[Contract], Contract]) -> None:
    assert change(CONTRACT).digest != CONTRACT.digest


def test_a_route_that_becomes_public_changes_the_digest() -> None:
    guarded = CONTRACT.with_routes((Route(method="GET", path="/things", access=READ),))
    opened = CONTRACT.with_routes((Route(method="GET", path="/things", access=public("everybody may look")),))
    assert guarded.digest != opened.digest


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Permission(name="read", doc=""),
        lambda: Event(name="Things.Made", payload=Thing),
        lambda: Event(name="things.made", payload=Thing, audited=True),
        lambda: Event(name="things.made", payload=Thing, audited=True, subject="colour"),
        lambda: Table(name="things", tenant=None),
        lambda: Table(name="things", global_="and by tenant as well"),
        lambda: public(" "),
        lambda: Requirement.parse("tenancy==1"),
        lambda: replace(CONTRACT, version="1.2"),
        lambda: replace(CONTRACT, permissions=(Permission(name="others.read", doc=""),)),
    ],
)
def test_what_makes_no_sense_is_refused_as_it_is_declared(wrong: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        wrong()


@pytest.mark.parametrize(
    ("wanted", "version", "fits"),
    [
        ("tenancy", "7.0.0", True),
        ("tenancy>=1.2", "1.2.0", True),
        ("tenancy>=1.2", "1.10.5", True),
        ("tenancy>=1.2", "1.1.9", False),
        ("tenancy>=1.2", "2.0.0", False),
    ],
)
def test_a_requirement_takes_later_minor_versions_and_no_other_major(wanted: str, version: str, fits: bool) -> None:
    assert Requirement.parse(wanted).accepts(version) is fits


def test_a_payload_is_exactly_its_fields_and_does_not_change() -> None:
    with pytest.raises(ValueError, match="Extra inputs"):
        Thing.model_validate({"thing_id": 1, "extra": 2})
    with pytest.raises(ValueError, match="frozen"):
        Thing(thing_id=1).thing_id = 2  # type: ignore[misc]
