"""A plan says what would be deployed; whoever approves, approves exactly that."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from gate.releases import World, refused, rewrite

from holdtrue.contract.errors import HoldtrueError, UsageError
from holdtrue.contract.words import Outcome
from holdtrue.gate.canonical import digest, loads
from holdtrue.gate.held import bind

TABLE = 'op.execute("CREATE TABLE pets (home_id int, name text)")'


def _plan(world: World) -> Any:
    return loads(world.plan_file.read_bytes())


def test_a_plan_says_which_approvals_it_needs_and_why(world: World) -> None:
    world.revision("one", None, TABLE)
    world.revision("two", "one", 'op.execute("DROP TABLE pets")')
    text = world.plan("--first")
    assert "Needs an approval (migrations, permissions, process, public, signers)" in text
    assert "route POST /homes: anybody may call it" in text
    assert "! drop: what is in it is gone" in text
    assert "| DROP TABLE pets;" in text
    assert _plan(world)["digest"] in text


def test_a_plan_is_canonical_and_the_same_for_the_same_release(world: World) -> None:
    world.revision("one", None, TABLE)
    world.plan("--first")
    first = world.plan_file.read_bytes()
    world.plan("--first")
    assert world.plan_file.read_bytes() == first
    assert digest(_plan(world)["plan"]) == _plan(world)["digest"]
    assert (
        first.decode()
        == json.dumps(json.loads(first), sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    )


def test_sql_that_only_a_database_can_render_is_said_to_be_unknown(world: World) -> None:
    world.revision("one", None, 'op.get_bind().execute("SELECT 1").fetchall()')
    assert "! its SQL is not known before it runs" in world.plan("--first")


def test_what_needs_nobody_is_admitted_without_an_approval(world: World) -> None:
    world.release("--first")
    world.write("serve.py", "print('better')\n")
    assert "Needs no approval" in world.plan()
    world.check()
    assert "admitted pets" in world.admit()


def test_a_text_cannot_make_the_plan_look_like_another_one(world: World) -> None:
    world.edit("holdtrue.toml", '"sign-up"', '"sign\\u001b[2J\\u202e-up"')
    text = world.plan("--first")
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    ("name", "text"),
    [("serve.py", "print('other')"), ("new.py", ""), ("allowed_signers", ""), ("alembic/versions/one.py", "x")],
)
def test_a_plan_is_stale_once_a_file_changes(world: World, name: str, text: str) -> None:
    world.revision("one", None, TABLE)
    world.plan("--first")
    world.write(name, text)
    assert f"{name} changed" in refused("PLAN_STALE", world.approve)
    assert not list(world.app.glob("*.sig"))


def test_a_plan_ends(world: World) -> None:
    world.plan("--first")
    rewrite(world.plan_file, "plan", lambda plan: plan.update(until="2020-01-01"))
    refused("PLAN_EXPIRED", world.approve)


def test_approving_runs_nothing_of_the_app(world: World) -> None:
    """Who approves has the key: what an agent wrote must not run beside it."""
    trap = world.root / "sprung"
    world.revision("one", None, f'open({str(trap)!r}, "w")')
    world.plan("--first")
    trap.unlink()
    world.approve()
    assert not trap.exists()


@pytest.mark.parametrize(("code", "change"), [("MIGRATION_EDITED", "edit"), ("MIGRATION_GONE", "remove")])
def test_history_that_was_admitted_is_not_rewritten(world: World, code: str, change: str) -> None:
    world.revision("one", None, TABLE)
    world.revision("two", "one", "pass")
    world.release("--first")
    if change == "edit":
        world.edit("alembic/versions/one.py", "name text", "name varchar")
    else:
        (world.app / "alembic/versions/two.py").unlink()
    refused(code, world.plan)


def test_a_revision_cannot_be_put_before_one_that_was_admitted(world: World) -> None:
    world.revision("one", None, TABLE)
    world.release("--first")
    world.revision("zero", None, "pass")
    world.edit("alembic/versions/one.py", "None, None, None", "'zero', None, None")
    refused("MIGRATION_EDITED", world.plan)


# -- the check it rests on --------------------------------------------------------------------------------------------


def test_nothing_is_admitted_that_was_not_checked(world: World) -> None:
    world.plan("--first")
    world.approve()
    refused("NOT_CHECKED", world.admit)


def test_nothing_is_admitted_that_is_not_held(world: World) -> None:
    world.plan("--first")
    world.approve()
    world.check(Outcome.KEPT, Outcome.BROKEN)
    assert "AUTH002 broken" in refused("NOT_HELD", world.admit)
    world.check(Outcome.KEPT, Outcome.NOT_RUN)  # and its first line says held
    assert "AUTH002 not_run" in refused("NOT_HELD", world.admit)
    world.check(Outcome.NOT_PROMISED)
    assert "nothing was tried" in refused("NOT_HELD", world.admit)


def test_a_check_of_a_part_admits_nothing(world: World) -> None:
    world.plan("--first")
    world.approve()
    world.check(narrowed="--only AUTH001")
    refused("REPORT_NARROWED", world.admit)


def test_only_the_newest_check_counts(world: World) -> None:
    world.plan("--first")
    world.approve()
    world.check(name="20260101T000000-000000")
    world.check(Outcome.BROKEN, name="20260102T000000-000000")
    refused("NOT_HELD", world.admit)


def test_a_check_of_another_source_or_document_admits_nothing(world: World) -> None:
    world.check()
    world.write("serve.py", "print('other')\n")
    world.plan("--first")
    world.approve()
    assert "of another source" in refused("REPORT_OF_SOMETHING_ELSE", world.admit)


def test_a_check_during_which_the_app_changed_is_no_check(world: World) -> None:
    run = world.check()
    refused("CHANGED_MEANWHILE", lambda: bind(run, {"source": "a", "document": "b"}, {"source": "c", "document": "b"}))


def test_a_check_that_admit_runs_counts_and_not_one_that_lies_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's name is easily made newer than any."""
    world.plan("--first")
    world.approve()
    world.check(name="20990101T000000-000000")
    asked = []

    def check(request: Any) -> int:
        asked.append(request)
        world.check(Outcome.BROKEN)
        return 1

    monkeypatch.setattr("holdtrue.cli.check.run", check)
    refused("NOT_HELD", lambda: world.run("admit", world.plan_file, "--key", world.key("pipeline"), "--check"))
    assert [(each.directory, each.only, each.places, each.case) for each in asked] == [(world.app, (), (), None)]

    monkeypatch.setattr("holdtrue.cli.check.run", lambda _: 3)
    with pytest.raises(HoldtrueError, match=r"no reports came"):
        world.run("admit", world.plan_file, "--key", world.key("pipeline"), "--check")


# -- bad input --------------------------------------------------------------------------------------------------------


def test_there_is_no_plan_without_something_to_plan_from(world: World) -> None:
    with pytest.raises(UsageError, match=r"--first"):
        world.plan()


def test_there_is_no_plan_without_signers(world: World) -> None:
    (world.app / "allowed_signers").unlink()
    with pytest.raises(UsageError, match=r"no signers file"):
        world.plan("--first")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"plan": {}, "digest": "x"}', b"\xff", b'{"plan": 1, "digest": 2}']
)
def test_what_is_no_plan_is_said_to_be_none(world: World, content: bytes) -> None:
    world.plan_file.write_bytes(content)
    with pytest.raises(UsageError, match=r"no plan|plan:"):
        world.approve()


def test_a_migration_that_does_not_import_is_explained(world: World) -> None:
    world.revision("one", None, "pass")
    world.edit("alembic/versions/one.py", "from alembic import op", "import nothing_of_that_name")
    with pytest.raises(HoldtrueError, match=r"No module named 'nothing_of_that_name'"):
        world.plan("--first")


def test_a_key_that_is_none_is_refused(world: World) -> None:
    world.plan("--first")
    with pytest.raises(UsageError, match=r"does not sign"):
        world.run("approve", world.plan_file, "--key", world.root / "nothing")


def test_a_directory_that_cannot_be_written_to_is_said(world: World) -> None:
    with pytest.raises(UsageError, match=r"cannot be written"):
        world.plan("--first", "--out", world.root / "nowhere" / "plan.json")


def test_no_private_key_is_written_anywhere(world: World) -> None:
    world.release("--first")
    secret = world.key("ana").read_text(encoding="utf-8").splitlines()[1]
    written = [path for path in Path(world.app).rglob("*") if path.is_file() and stat.S_ISREG(path.stat().st_mode)]
    assert written
    assert not [path for path in written if secret in path.read_text(encoding="utf-8", errors="replace")]
