"""An agent that can write every file and set every variable, and has no key that counts, does not get past the gate."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import psycopg
import pytest
from gate.releases import World, refused, rewrite

from holdtrue.contract.words import Outcome
from holdtrue.gate.canonical import digest, loads

Paper = dict[str, Any]


@pytest.fixture
def live(applied: World) -> World:
    """A release was applied; since then the agent opened a route."""
    applied.edit("holdtrue.toml", '"GET /pets" = { permission = "pets.read" }', '"GET /pets" = { public = "easier" }')
    for signature in applied.app.glob("*.sig"):
        signature.unlink()
    applied.plan()
    applied.check()
    return applied


def test_it_cannot_go_on_without_an_approval(live: World) -> None:
    assert "public" in refused("NOT_APPROVED", live.admit)


def test_it_cannot_approve_with_a_key_of_its_own(live: World) -> None:
    refused("NOT_A_SIGNER", lambda: live.approve("agent"))
    _sign(live, "agent")
    assert "do not count" in refused("NOT_APPROVED", live.admit)


def test_it_cannot_approve_with_the_pipelines_key(live: World) -> None:
    refused("NOT_A_SIGNER", lambda: live.approve("pipeline"))
    _sign(live, "pipeline")
    refused("NOT_APPROVED", live.admit)


def test_it_cannot_list_itself_among_the_signers(live: World) -> None:
    live.write("allowed_signers", live.signers("ana", "agent"))
    assert "signers" in live.plan()
    refused("NOT_A_SIGNER", lambda: live.approve("agent"))


def test_a_signer_can_list_another_one_who_counts_from_then_on(live: World) -> None:
    live.write("allowed_signers", live.signers("bob"))
    live.release()
    live.apply()
    live.edit("holdtrue.toml", '"see pets"', '"see pets"\n"pets.sell" = "sell pets"')
    live.plan()
    refused("NOT_A_SIGNER", lambda: live.approve("ana"))
    live.approve("bob")
    live.check()
    live.admit()
    live.apply()


def test_it_cannot_use_an_approval_of_another_plan(live: World) -> None:
    live.approve()
    live.edit("holdtrue.toml", "easier", "much easier")
    live.plan()
    live.check()
    refused("NOT_APPROVED", live.admit)


def test_it_cannot_edit_what_was_approved(live: World) -> None:
    live.approve()
    live.edit("holdtrue.toml", "easier", "much easier")
    live.check()
    refused("PLAN_STALE", live.admit)
    rewrite(live.plan_file, "plan", lambda plan: plan["changes"].clear())
    refused("PLAN_STALE", live.admit)


def test_it_cannot_strike_the_needs_from_the_plan(live: World) -> None:
    rewrite(live.plan_file, "plan", lambda plan: [change.update(need=None) for change in plan["changes"]])
    refused("PLAN_STALE", live.admit)
    live.plan_file.write_bytes(live.plan_file.read_bytes().replace(b'"need":"public"', b'"need":null'))
    refused("PLAN_STALE", live.admit)


def test_it_cannot_edit_a_plan_and_leave_its_digest(live: World) -> None:
    live.plan_file.write_bytes(live.plan_file.read_bytes().replace(b"easier", b"harder"))
    refused("PLAN_EDITED", live.admit)


def test_it_cannot_show_other_sql_than_runs(deployed: World) -> None:
    deployed.revision("one", None, 'op.execute("CREATE TABLE pets ()"); op.execute("DROP TABLE pets")')
    deployed.plan("--first")

    def prettier(plan: Paper) -> None:
        plan["pending"][0]["rendered"]["sql"] = "CREATE TABLE pets ();"
        plan["pending"][0]["risks"] = []

    rewrite(deployed.plan_file, "plan", prettier)
    deployed.approve()  # which runs nothing of the app, and cannot know
    deployed.check()
    refused("PLAN_STALE", deployed.admit)


def test_it_cannot_forge_what_was_deployed_before(live: World) -> None:
    """Against another past the open route is no change: what the database says was deployed decides."""

    def as_if_it_was_open(plan: Paper) -> None:
        plan["before"]["document"] = plan["state"]["document"]
        plan["changes"] = [change for change in plan["changes"] if change["what"] != "route GET /pets"]

    rewrite(live.plan_file, "plan", as_if_it_was_open)
    live.admit()  # the pipeline knows no better
    refused("BASE_DIFFERS", live.apply)
    assert _applied(live) == 1


def test_it_cannot_forge_who_could_approve_before(live: World) -> None:
    def as_if_it_was_listed(plan: Paper) -> None:
        plan["before"]["signers"] = live.signers("ana", "agent")
        plan["state"]["signers"] = live.signers("ana", "agent")

    live.write("allowed_signers", live.signers("ana", "agent"))
    live.plan()
    rewrite(live.plan_file, "plan", as_if_it_was_listed)
    rewrite(
        live.plan_file,
        "plan",
        lambda plan: plan.update(changes=[each for each in plan["changes"] if each["what"] != "who may approve"]),
    )
    live.approve("agent")
    live.check()
    live.admit()
    refused("BASE_DIFFERS", live.apply)
    assert _applied(live) == 1


def test_it_cannot_start_over_as_if_nothing_was_deployed(live: World) -> None:
    live.write("allowed_signers", live.signers("agent"))
    live.plan("--first")
    live.approve("agent")
    live.check()
    live.admit()
    refused("BASE_DIFFERS", live.apply_first)


def test_it_cannot_admit(live: World) -> None:
    live.approve()
    refused("NOT_SEALED", lambda: live.admit("agent"))


def test_it_cannot_seal_a_check_that_never_was(live: World) -> None:
    """A report is a file like any other: what counts is who says that it is true."""
    live.approve()
    live.check()
    live.admit()
    rewrite(live.admission_file, "admission", lambda admission: admission["held"].update(report="sha256:never"))
    refused("NOT_SEALED", live.apply)


def test_it_cannot_apply_other_code_than_was_admitted(live: World) -> None:
    live.approve()
    live.admit()
    live.write("serve.py", "print('malicious')\n")
    assert "serve.py" in refused("PLAN_STALE", live.apply)


def test_it_cannot_apply_what_was_applied_before_once_more(live: World) -> None:
    first = live.admission_file.read_bytes()
    document = (live.app / "holdtrue.toml").read_text(encoding="utf-8")
    live.approve()
    live.admit()
    live.apply()
    live.write("holdtrue.toml", document.replace('{ public = "easier" }', '{ permission = "pets.read" }'))
    live.admission_file.write_bytes(first)
    refused("BASE_DIFFERS", live.apply)


def test_an_admission_of_an_edited_plan_is_noticed(live: World) -> None:
    live.approve()
    live.admit()
    rewrite(live.admission_file, "admission", lambda admission: admission["plan"].update(until="2099-01-01"))
    refused("ADMISSION_EDITED", live.apply)


def test_the_first_release_needs_somebody_who_vouches_for_its_signers(deployed: World) -> None:
    deployed.write("allowed_signers", deployed.signers("agent"))
    deployed.plan("--first")
    deployed.approve("agent")
    deployed.check()
    deployed.admit()
    refused("SIGNERS_UNKNOWN", deployed.apply)
    refused("SIGNERS_UNKNOWN", lambda: deployed.apply("--first-signers", digest(deployed.signers("ana"))))


# -- the environment --------------------------------------------------------------------------------------------------


def test_no_variable_opens_the_gate(live: World) -> None:
    names = ("SKIP", "FORCE", "APPROVED", "NO_GATE", "BASE", "SIGNERS", "ALLOWED_SIGNERS", "DEBUG", "CI", "KEY")
    live.environ |= {f"HOLDTRUE_{name}": "1" for name in names} | {"APPROVED": "1", "CI": "true", "SSH_ASKPASS": "true"}
    refused("NOT_APPROVED", live.admit)


def test_another_ssh_keygen_on_the_path_is_not_asked(live: World) -> None:
    fake = live.root / "bin" / "ssh-keygen"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\necho 'Good \"holdtrue-plan\" signature for ana@example.test with ED25519 key SHA256:x'\n"
    )
    fake.chmod(0o755)
    _sign(live, "agent")
    live.environ["PATH"] = f"{fake.parent}:{os.environ['PATH']}"
    refused("NOT_APPROVED", live.admit)


def test_libpqs_variables_do_not_lead_to_another_database(live: World) -> None:
    live.approve()
    live.admit()
    live.environ |= {"PGHOST": "192.0.2.1", "PGHOSTADDR": "192.0.2.1", "PGPORT": "1", "PGDATABASE": "postgres"}
    live.environ |= {"PGOPTIONS": "-c search_path=evil", "PGSERVICE": "evil"}
    live.apply()
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGOPTIONS", "PGSERVICE"):
        del live.environ[name]
    assert _applied(live) == 2


# -- the ledger -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO holdtrue_gate.ledger SELECT 9, now(), 'me', 'applied', 'sha256:x', '', NULL, '', ''",
        "UPDATE holdtrue_gate.ledger SET admission = 'sha256:x'",
        "DELETE FROM holdtrue_gate.ledger",
        "TRUNCATE holdtrue_gate.ledger",
        "DROP TABLE holdtrue_gate.ledger",
        "CREATE TABLE holdtrue_gate.mine (id int)",
        "SELECT content FROM holdtrue_gate.ledger",
    ],
)
def test_the_apps_role_can_only_read_what_was_applied(live: World, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        live.sql(statement, "DATABASE_URL")
    assert live.sql("SELECT event FROM holdtrue_gate.ledger ORDER BY entry", "DATABASE_URL") == [
        ("started",),
        ("applied",),
    ]


@pytest.mark.parametrize(
    "statement", ["UPDATE holdtrue_gate.ledger SET detail = ''", "DELETE FROM holdtrue_gate.ledger"]
)
def test_not_even_the_owner_changes_the_ledger_in_passing(live: World, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        live.sql(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE holdtrue_gate.ledger SET admission = 'sha256:x' WHERE entry = 2",
        "UPDATE holdtrue_gate.ledger SET at = now() - interval '1 day' WHERE entry = 1",
        "DELETE FROM holdtrue_gate.ledger WHERE entry = 1",
        "UPDATE holdtrue_gate.ledger SET content = replace(content, 'pets', 'cats') WHERE entry = 1",
        "INSERT INTO holdtrue_gate.ledger SELECT 3, now(), 'me', 'applied', 'sha256:x', '', NULL, hash, 'x' "
        "FROM holdtrue_gate.ledger WHERE entry = 2",
    ],
)
def test_who_breaks_the_ledger_by_force_leaves_a_broken_chain(live: World, statement: str) -> None:
    live.approve()
    live.admit()
    live.sql(f"ALTER TABLE holdtrue_gate.ledger DISABLE TRIGGER append_only; {statement}", "SUPERUSER_URL")
    refused("LEDGER_EDITED", live.apply)


def test_a_ledger_that_somebody_else_prepared_is_not_taken(deployed: World) -> None:
    deployed.sql(
        "CREATE SCHEMA holdtrue_gate AUTHORIZATION tower_app; "
        "CREATE TABLE holdtrue_gate.ledger (entry int); ALTER TABLE holdtrue_gate.ledger OWNER TO tower_app",
        "SUPERUSER_URL",
    )
    deployed.release("--first")
    refused("LEDGER_FOREIGN", deployed.apply_first)


def test_a_broken_check_cannot_be_hidden_behind_an_older_one(live: World) -> None:
    live.approve()
    live.check(Outcome.BROKEN, name="20270101T000000-000000")
    refused("NOT_HELD", live.admit)


# -- helpers ----------------------------------------------------------------------------------------------------------


def _sign(world: World, who: str) -> None:
    """Put a signature beside the plan, past the command that would refuse to."""
    message = f"{loads(world.plan_file.read_bytes())['digest']}\n"
    signed = subprocess.run(
        ["/usr/bin/ssh-keygen", "-q", "-Y", "sign", "-f", world.key(who), "-n", "holdtrue-plan"],
        input=message,
        capture_output=True,
        check=True,
        text=True,
    )
    world.write("holdtrue.plan.forged.sig", signed.stdout)


def _applied(world: World) -> int:
    return len(world.sql("SELECT 1 FROM holdtrue_gate.ledger WHERE event = 'applied'"))
