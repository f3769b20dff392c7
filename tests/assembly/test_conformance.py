"""The conformance suite holds sound modules, and finds what is wrong with others."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, PlainSerializer
from tower.notes import ALLOW, CONTRACT, DRAFT, SEEN, Notes

from holdtrue.assembly.conformance import CHAPTERS, Subject, conformance
from holdtrue.contract import Contract, Event, Guard, Payload, Table, Variable
from holdtrue.runtime import Credentials, Module, ModuleSettings, Principal, UnitOfWork, prefix

SOUND = replace(
    CONTRACT, guarantees=("TEN042",), hooks=tuple(replace(each, doc="decides") for each in (ALLOW, DRAFT, SEEN))
)


def sound() -> Module:
    """The notes, with the words that a published module needs."""
    return replace(Notes(), contract=SOUND)


test_a_sound_module_conforms = conformance(sound())


def codes(chapter: str, module: Module) -> set[str]:
    """The codes of what a chapter finds."""
    (wanted,) = [run for name, run in CHAPTERS.items() if chapter in name]
    subject = Subject(module=module, needs=(), samples={}, given={})
    return {fault.code for fault in wanted(subject)}


# -- the contract -----------------------------------------------------------------------------------------------------


class Misc(Payload):
    code: Annotated[str, Field(pattern=r"^[0-9]{7}$")]


class Lossy(Payload):
    at: Annotated[int, PlainSerializer(lambda value: str(value + 1), return_type=str)]


class Demanding(ModuleSettings):
    model_config = prefix("NOTES_")
    token: str


@pytest.mark.parametrize(
    ("module", "code"),
    [
        (replace(sound(), contract=CONTRACT), "NO_GUARANTEES"),
        (replace(sound(), contract=replace(SOUND, guarantees=("tenancy",))), "GUARANTEE_NAME"),
        (replace(sound(), contract=CONTRACT), "WITHOUT_WORDS"),
        (replace(sound(), settings=Demanding), "SETTING_UNDECLARED"),
        (replace(sound(), contract=replace(SOUND, hooks=(Guard(name="notes.misc", payload=Misc),))), "NO_SAMPLE"),
        (replace(sound(), contract=replace(SOUND, events=(Event(name="notes.x", payload=Lossy),))), "PAYLOAD_NOT_JSON"),
    ],
)
def test_what_a_contract_lacks_is_named(module: Module, code: str) -> None:
    assert code in codes("contract", module)


def test_a_declared_setting_and_a_given_sample_will_do() -> None:
    hook = Guard(name="notes.misc", payload=Misc, doc="decides")
    variables = (Variable(name="NOTES_TOKEN", rehearse="a"),)
    module = replace(sound(), settings=Demanding, contract=replace(SOUND, hooks=(hook,), variables=variables))
    subject = Subject(module=module, needs=(), samples={"notes.misc": Misc(code="1234567")}, given={})
    assert list(CHAPTERS["its contract says what it is"](subject)) == []


# -- importing --------------------------------------------------------------------------------------------------------


def test_a_module_that_does_something_as_it_is_imported_is_told_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "loud"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "contract.py").write_text(
        "import pathlib, socket, threading\n"
        "from holdtrue.contract import Contract\n"
        f"pathlib.Path({str(tmp_path / 'mark')!r}).write_text('I was here')\n"
        "threading.Thread(target=lambda: None).start()\n"
        "with socket.socket() as listening:\n"
        "    listening.bind(('127.0.0.1', 0))\n"
        "CONTRACT = Contract(name='loud', version='1.0.0', doc=str(hash('changes')))\n"
        "def nothing(settings): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    loud = importlib.import_module("loud.contract")
    module = Module(contract=loud.CONTRACT, open=loud.nothing)
    subject = Subject(module=module, needs=(), samples={}, given={})
    told = "\n".join(str(fault) for fault in CHAPTERS["it is imported without side effects"](subject))
    for words in ("to write", "starts a thread", "listens on ('127.0.0.1', 0)", "DIGEST_UNSTABLE"):
        assert words in told
    sys.modules.pop("loud.contract")


# -- migrations and tables --------------------------------------------------------------------------------------------

_REVISION = """
import sqlalchemy as sa
from alembic import op
from holdtrue.runtime.revisions import execute, tenant_table

revision, down_revision, branch_labels, depends_on = "notes_0001", None, ("notes",), ("runtime_0001",)


def upgrade() -> None:
    tenant_table("notes", sa.Column("title", sa.Text, nullable=False))
    op.create_table(
        "bare",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant_id", sa.Uuid),
        sa.Column("note_id", sa.Uuid),
    )
    op.create_table("undecided", sa.Column("id", sa.Uuid, primary_key=True))
    execute("ALTER TABLE notes ADD UNIQUE (id)")
    execute("ALTER TABLE bare ADD FOREIGN KEY (note_id) REFERENCES notes (id)")
    execute("CREATE TYPE mood AS ENUM ('good', 'bad')")


def downgrade() -> None:
    for table in ("bare", "undecided", "notes"):
        op.drop_table(table)
    execute("DROP TYPE IF EXISTS temper")
"""


def test_tables_and_ways_down_that_are_wrong_are_named(tmp_path: Path) -> None:
    (tmp_path / "notes_0001.py").write_text(_REVISION)
    contract = replace(SOUND, tables=(Table(name="notes"), Table(name="bare"), Table(name="gone")))
    found = codes("migrations", replace(sound(), contract=contract, migrations=tmp_path))
    assert found == {
        "TABLE_WITHOUT_DECISION",
        "TABLE_MISSING",
        "TABLE_NOT_ISOLATED",
        "TABLE_NOT_BY_TENANT",
        "REFERENCE_ACROSS_TENANTS",
        "WAY_DOWN",
    }


# -- behaviour --------------------------------------------------------------------------------------------------------


async def everybody(unit: UnitOfWork, credentials: Credentials) -> Principal:
    return Principal(kind="user", id="anybody", permissions=frozenset({"notes.read"}))


def test_a_route_that_lets_anybody_in_is_named() -> None:
    assert "ROUTE_ANSWERS_ANYBODY" in codes("guarded", replace(sound(), authenticator=everybody))


def test_a_module_that_does_not_compose_is_told_in_assemblys_words() -> None:
    contract = Contract(name="notes", version="1.0.0", tables=SOUND.tables, jobs=SOUND.jobs)
    assert "PERMISSION_UNKNOWN" in codes("guarded", replace(sound(), contract=contract))
