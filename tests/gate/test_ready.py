"""The app does not start but with the code that was admitted, on a database that it was applied to."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest
from gate.releases import World, refused, rewrite

from holdtrue.contract.errors import UsageError

SAY = (sys.executable, "-c", "print('serving')")


def _ready(world: World, *words: str) -> str:
    return world.run("ready", "--app", world.app, *words)


def test_the_command_takes_the_place_of_the_gate(applied: World) -> None:
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "holdtrue.gate.ready", "--app", applied.app, "--", *SAY],
        env=applied.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = process.communicate()
    assert (process.returncode, out) == (0, "serving\n"), err
    assert "ready, admitted as sha256:" in err


def test_a_refusal_starts_nothing_and_is_no_success(applied: World) -> None:
    applied.write("serve.py", "print('malicious')\n")
    process = applied.process("ready", "--app", applied.app, "--", *SAY)
    out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert "refused (CODE_DIFFERS)" in err
    assert "serve.py differs" in err


@pytest.mark.parametrize("change", ["differs", "was not admitted", "is missing"])
def test_other_code_than_was_admitted_does_not_start(applied: World, change: str) -> None:
    if change == "is missing":
        (applied.app / "serve.py").unlink()
    else:
        applied.write("serve.py" if change == "differs" else "sitecustomize.py", "print('malicious')\n")
    assert change in refused("CODE_DIFFERS", lambda: _ready(applied))


def test_what_was_not_applied_does_not_start(applied: World) -> None:
    applied.write("serve.py", "print('better')\n")
    applied.plan()
    applied.check()
    applied.admit()
    assert "it was not applied" in refused("NOT_APPLIED", lambda: _ready(applied))


def test_what_was_replaced_does_not_start(applied: World) -> None:
    old = applied.admission_file.read_bytes()
    applied.write("serve.py", "print('better')\n")
    applied.plan()
    applied.check()
    applied.admit()
    applied.apply()
    assert _ready(applied) == ""
    applied.write("serve.py", "print('served')\n")
    applied.admission_file.write_bytes(old)
    assert "a newer release was applied since" in refused("NOT_APPLIED", lambda: _ready(applied))


def test_a_database_without_a_ledger_does_not_do(deployed: World) -> None:
    deployed.release("--first")
    assert "nothing was ever applied" in refused("NOT_APPLIED", lambda: _ready(deployed))


def test_an_admission_that_was_edited_does_not_do(applied: World) -> None:
    applied.write("serve.py", "print('malicious')\n")
    from holdtrue.gate.files import digests

    files = digests(applied.app)
    rewrite(applied.admission_file, "admission", lambda paper: paper["plan"]["state"].update(files=files))
    refused("ADMISSION_EDITED", lambda: _ready(applied))


@pytest.mark.parametrize("role", ["MIGRATION_DATABASE_URL", "SUPERUSER_URL"])
def test_an_app_that_could_write_the_ledger_does_not_start(applied: World, role: str) -> None:
    applied.environ["DATABASE_URL"] = applied.environ[role]
    refused("LEDGER_WRITABLE", lambda: _ready(applied))


def test_a_ledger_of_the_apps_own_does_not_do(deployed: World) -> None:
    """Whoever gets hold of the app before the first apply could prepare one."""
    deployed.release("--first")
    with psycopg.connect(deployed.environ["SUPERUSER_URL"], autocommit=True) as connection:
        connection.execute("CREATE SCHEMA holdtrue_gate AUTHORIZATION tower_app")
    deployed.sql("CREATE TABLE holdtrue_gate.ledger (entry int, event text, admission text)", "DATABASE_URL")
    refused("LEDGER_WRITABLE", lambda: _ready(deployed))


def test_no_variable_lets_it_start(applied: World) -> None:
    applied.write("serve.py", "print('malicious')\n")
    applied.environ |= {f"HOLDTRUE_{name}": "1" for name in ("SKIP", "FORCE", "READY", "ADMITTED", "NO_GATE")}
    refused("CODE_DIFFERS", lambda: _ready(applied))


def test_bad_input_is_explained(applied: World) -> None:
    with pytest.raises(UsageError, match=r"cannot start no-such-command"):
        _ready(applied, "--", "no-such-command")
    applied.admission_file.write_bytes(b"\xff{")
    with pytest.raises(UsageError, match=r"no admission"):
        _ready(applied)
    applied.admission_file.unlink()
    with pytest.raises(UsageError, match=r"there is no admission"):
        _ready(applied)
