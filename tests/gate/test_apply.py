"""An admitted release reaches the database once, wherever the last attempt was cut off, and nowhere else."""

from __future__ import annotations

import os
import signal

import psycopg
import pytest
from gate.releases import World, refused

from holdtrue.contract.errors import HoldtrueError, UsageError
from holdtrue.gate.apply import LOCK
from holdtrue.gate.canonical import digest

PETS = 'op.execute("CREATE TABLE pets (home_id int, name text)")'


@pytest.fixture
def migrating(deployed: World) -> World:
    """Two migrations, the second of which waits where the test lets it."""
    deployed.revision("one", None, PETS)
    door = deployed.root / "door"
    os.mkfifo(door)
    os.mkfifo(f"{door}.go")
    deployed.environ["DOOR"] = str(door)
    deployed.edit("holdtrue.toml", "migrate_env = {", 'migrate_env = { DOOR = "",')
    deployed.revision("two", "one", f"op.execute('CREATE TABLE toys ()'); {_WAIT}")
    return deployed


# Offline, when the plan is drawn, the variable is the document's: there is no door.
_WAIT = "import os; door = os.environ['DOOR']; door and (open(door, 'w').close(), open(door + '.go').read())"


def _events(world: World) -> list[str]:
    return [event for (event,) in world.sql("SELECT event FROM holdtrue_gate.ledger ORDER BY entry")]


def _signers(world: World) -> str:
    return digest((world.app / "allowed_signers").read_text(encoding="utf-8"))


def test_each_step_is_in_the_ledger_with_who_approved_and_who_admitted(deployed: World) -> None:
    deployed.revision("one", None, PETS)
    deployed.revision("two", "one", 'op.execute("CREATE TABLE toys ()")')
    deployed.release("--first")
    deployed.apply_first()
    assert _events(deployed) == ["started", "step", "step", "applied"]
    rows = deployed.sql("SELECT who, detail FROM holdtrue_gate.ledger ORDER BY entry")
    assert {who for who, _ in rows} == {"tower_owner"}
    assert rows[0][1].startswith("approved by ana@example.test (SHA256:")
    assert "admitted by pipeline (SHA256:" in rows[0][1]
    assert [detail for _, detail in rows[1:]] == ["one", "two", ""]
    deployed.apply()
    assert len(_events(deployed)) == 4


def test_what_was_applied_last_is_what_the_next_plan_starts_from(applied: World) -> None:
    file = applied.root / "deployed.json"
    applied.apply("--last", file)
    applied.admission_file.unlink()
    applied.write("new.py", "")
    assert "Needs no approval" in applied.plan("--base", file)


def test_an_apply_that_was_killed_midway_is_gone_on_with(migrating: World) -> None:
    migrating.release("--first")
    words = ("apply", migrating.admission_file, "--first-signers", _signers(migrating))
    killed = migrating.process(*words)
    _wait_at_the_door(migrating)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert _events(migrating) == ["started", "step"]
    _wait_until_alone(migrating)

    migrating.environ["DOOR"] = ""
    again = migrating.process(*words)
    _, said = again.communicate()
    assert again.returncode == 0, said
    assert "begun at" in said
    assert "The database has one; going on with two." in said
    assert _events(migrating) == ["started", "step", "started", "step", "applied"]
    assert migrating.sql("SELECT version_num FROM alembic_version") == [("two",)]


def test_two_applies_at_once_do_the_work_once(migrating: World) -> None:
    migrating.release("--first")
    words = ("apply", migrating.admission_file, "--first-signers", _signers(migrating))
    first = migrating.process(*words)
    _wait_at_the_door(migrating)
    assert "of tower_owner" in refused("APPLY_UNDER_WAY", lambda: migrating.run(*words))
    waiting = migrating.process(*words, "--wait", 60)
    _wait_until_waiting(migrating)
    os.close(os.open(f"{migrating.environ['DOOR']}.go", os.O_WRONLY))
    said = [process.communicate()[1] for process in (first, waiting)]
    assert [first.returncode, waiting.returncode] == [0, 0], said
    assert "nothing to do" in said[1]
    assert _events(migrating) == ["started", "step", "step", "applied"]


def test_waiting_ends_when_its_time_is_over(applied: World) -> None:
    with psycopg.connect(applied.environ["MIGRATION_DATABASE_URL"], autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        refused("APPLY_UNDER_WAY", lambda: applied.apply("--wait", 0.1))
    applied.apply()


def test_a_failing_migration_is_written_down_and_can_be_mended_by_a_new_plan(deployed: World) -> None:
    deployed.revision("one", None, PETS)
    deployed.revision("two", "one", 'op.execute("CREATE TABLE pets ()")')
    deployed.release("--first")
    with pytest.raises(HoldtrueError, match=r"two ended with 1") as caught:
        deployed.apply_first()
    assert "The database has one." in str(caught.value)
    assert _events(deployed) == ["started", "step", "failed"]

    deployed.edit("alembic/versions/two.py", "CREATE TABLE pets", "CREATE TABLE toys")
    deployed.release("--first")
    deployed.apply_first()
    assert _events(deployed)[3:] == ["started", "step", "applied"]


def test_a_step_that_was_done_by_a_failed_apply_cannot_be_edited_afterwards(deployed: World) -> None:
    deployed.revision("one", None, PETS)
    deployed.revision("two", "one", 'op.execute("CREATE TABLE pets ()")')
    deployed.release("--first")
    with pytest.raises(HoldtrueError):
        deployed.apply_first()
    deployed.edit("alembic/versions/one.py", "name text", "name varchar")
    deployed.release("--first")
    assert "one was applied" in refused("MIGRATION_EDITED", deployed.apply_first)


@pytest.mark.parametrize(
    ("code", "version", "said"),
    [
        ("DATABASE_AHEAD", "three", "three, which this release does not have"),
        ("DATABASE_AHEAD", "two", "no apply was begun that would have brought it"),
        ("DATABASE_BEHIND", None, "lacks one, which the gate's ledger says was applied"),
    ],
)
def test_a_database_that_stands_elsewhere_is_explained(
    deployed: World, code: str, version: str | None, said: str
) -> None:
    deployed.revision("one", None, PETS)
    deployed.release("--first")
    deployed.apply_first()
    deployed.revision("two", "one", "pass")
    deployed.release()
    deployed.sql("DELETE FROM alembic_version")
    if version is not None:
        deployed.sql(f"INSERT INTO alembic_version VALUES ('{version}')")
    assert said in refused(code, deployed.apply)
    assert _events(deployed) == ["started", "step", "applied"]


def test_a_database_that_was_migrated_before_there_was_a_gate_is_taken_as_it_is(deployed: World) -> None:
    deployed.revision("one", None, PETS)
    deployed.sql("CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('one')")
    deployed.release("--first")
    deployed.apply_first()
    assert _events(deployed) == ["started", "applied"]


def test_a_migration_that_reaches_another_database_is_not_taken_for_done(deployed: World) -> None:
    deployed.revision("one", None, PETS)
    deployed.write("alembic/env.py", "# as if all were well")
    deployed.release("--first")
    with pytest.raises(HoldtrueError, match=r"ended well, and the database lacks one"):
        deployed.apply_first()
    assert _events(deployed) == ["started", "step", "failed"]


def test_an_app_with_a_tool_of_its_own_is_migrated_by_its_command(deployed: World) -> None:
    deployed.edit("holdtrue.toml", 'start = "', 'migrate = "{python} migrate.py"\nstart = "')
    deployed.write(
        "holdtrue.toml",
        (deployed.app / "holdtrue.toml").read_text(encoding="utf-8")
        + '\n[migrations]\ntool = "command"\nup = "{python} migrate.py"\ndown = "{python} migrate.py down"\n',
    )
    deployed.write("migrations/1.sql", "CREATE TABLE pets ()")
    deployed.write(
        "migrate.py",
        "import os, psycopg\nwith psycopg.connect(os.environ['MIGRATION_DATABASE_URL']) as db:\n"
        "    db.execute(open('migrations/1.sql').read())\n",
    )
    assert "migration file migrations/1.sql" in deployed.plan("--first")
    deployed.release("--first")
    deployed.apply_first()
    assert deployed.sql("SELECT to_regclass('pets') IS NOT NULL") == [(True,)]


def test_a_database_that_is_away_or_not_named_is_said(applied: World) -> None:
    applied.environ["MIGRATION_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
    refused("NO_DATABASE", applied.apply)
    for url in ("", "postgresql:///pets", "mysql://a/b"):
        applied.environ["MIGRATION_DATABASE_URL"] = url
        with pytest.raises(UsageError, match=r"MIGRATION_DATABASE_URL"):
            applied.apply()


def test_what_is_no_admission_is_said_to_be_none(world: World) -> None:
    world.plan("--first")
    for content in (world.plan_file.read_bytes(), b"{}", b'{"admission": {}, "digest": ""}'):
        world.admission_file.write_bytes(content)
        with pytest.raises(UsageError, match=r"no admission"):
            world.apply()


# -- waiting for what the server does ----------------------------------------------------------------------------------


def _wait_at_the_door(world: World) -> None:
    """Until the second migration is at work: a pipe opens when both ends are."""
    os.close(os.open(world.environ["DOOR"], os.O_RDONLY))


def _wait_until_waiting(world: World) -> None:
    _wait(
        world,
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()",
    )


def _wait_until_alone(world: World) -> None:
    """The server notices that a client is gone a moment after it is."""
    _wait(
        world,
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND usename = 'tower_owner'",
    )


def _wait(world: World, question: str) -> None:
    """Ask until it is so; each question is a round trip to the server that does it."""
    with psycopg.connect(world.environ["SUPERUSER_URL"], autocommit=True) as connection:
        for _ in range(100_000):
            if connection.execute(f"SELECT pg_stat_clear_snapshot(), ({question})".encode()).fetchall()[0][1]:
                return
    raise AssertionError(question)
