"""A composed app passes the gate by its lock: hooks about money, side effects and modules are in the plan."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from gate.releases import World, refused

from holdtrue.contract.errors import UsageError
from holdtrue.contract.lock import LOCK_NAME
from holdtrue.gate.canonical import canonical, loads

APP = """\
from pathlib import Path

from holdtrue.assembly import compose
from holdtrue.assembly.testing import Doors
from holdtrue.contract import Contract, Payload, SideEffect, Table, Transform
from holdtrue.runtime import Module, UnitOfWork


class Price(Payload):
    cents: int


PRICE = Transform(name="pets.price", payload=Price, doc="decides what a pet costs", money=True)


async def halved(unit: UnitOfWork, price: Price) -> Price:
    return Price(cents=price.cents // 2)


CONTRACT = Contract(
    name="pets",
    version="1.0.0",
    hooks=(PRICE,),
    tables=(Table(name="pets"),),
    effects=(SideEffect(name="pets.selling", doc="asks for money", approval="plan"),),
)
assembly = compose(
    Module(contract=CONTRACT, migrations=Path(__file__).parent / "migrations"), Doors(), bindings=[PRICE.bind(halved)]
)
"""
MIGRATION = """\
import sqlalchemy as sa
from holdtrue.runtime.revisions import drop_table, tenant_table

revision, down_revision, branch_labels, depends_on = "pets_0001", None, ("pets",), ("runtime_0001",)


def upgrade() -> None:
    tenant_table("pets", sa.Column("name", sa.Text, nullable=False))


def downgrade() -> None:
    drop_table("pets")
"""


@pytest.fixture
def composed(deployed: World) -> World:
    (deployed.app / "holdtrue.toml").unlink()
    deployed.write("pyproject.toml", '[tool.holdtrue]\nassembly = "pets.main:assembly"\n')
    deployed.write("pets/__init__.py", "")
    deployed.write("pets/main.py", APP)
    deployed.write("pets/migrations/pets_0001.py", MIGRATION)
    deployed.environ["DATABASE_OWNER_URL"] = deployed.environ["MIGRATION_DATABASE_URL"]
    _lock(deployed)
    return deployed


def _lock(world: World) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "holdtrue.assembly.lock", "pets.main:assembly"],
        cwd=world.app,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
    ).stdout
    world.write(LOCK_NAME, canonical(loads(told)["lock"]).decode())


def test_a_composed_release_goes_through_all_of_the_gate(composed: World) -> None:
    text = composed.plan("--first")
    assert "binding of pets.price: what is bound to it decides about money" in text
    assert "source pets/main.py: a function in it is bound to a money hook" in text
    assert "side effect pets: pets.selling" in text
    assert "module doors: code from elsewhere runs in the app" in text
    assert "| CREATE TABLE pets (" in text
    assert "! security: it runs with its owner's rights" in text  # the runtime's own functions, rendered as well
    composed.release("--first")
    composed.apply_first()
    assert composed.sql("SELECT to_regclass('pets') IS NOT NULL") == [(True,)]
    assert composed.run("ready", "--app", composed.app) == ""

    composed.edit("pets/main.py", "// 2", "// 3")
    _lock(composed)
    assert "Needs an approval (money)" in composed.plan()


def test_a_contract_that_the_lock_does_not_pin_is_refused(composed: World) -> None:
    composed.edit("pets/main.py", 'approval="plan"', 'approval="none"')
    with pytest.raises(UsageError, match=r"contract of pets is not the one that holdtrue\.lock pins"):
        composed.plan("--first")


def test_a_lock_that_was_edited_makes_the_plan_stale(composed: World) -> None:
    composed.plan("--first")
    composed.edit(LOCK_NAME, '"money":true', '"money":false')
    refused("PLAN_STALE", composed.approve)
