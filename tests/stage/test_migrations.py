"""Each way down of an app is taken by itself: with its tool's stepping command, in one process."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from holdtrue.contract.document import Document
from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage.migrations import StepMover, mover
from holdtrue.stage.setting import Setting
from holdtrue.stage.steps import StepFailedError

TOOL = """
import json, os, sys
import psycopg

STEPS = {steps!r}
with open("starts.txt", "a") as starts:
    starts.write(sys.argv[1] + "\\n")

def applied(db):
    db.execute("CREATE TABLE IF NOT EXISTS ledger (name text PRIMARY KEY)")
    return db.execute("SELECT count(*) FROM ledger").fetchone()[0]

def up(steps, db):
    done = applied(db)
    if done == len(steps):
        return None
    name, statement, _ = steps[done]
    db.execute(statement)
    db.execute("INSERT INTO ledger VALUES (%s)", [name])
    return name

def down(steps, db):
    name, _, statement = steps[applied(db) - 1]
    db.execute(statement)
    db.execute("DELETE FROM ledger WHERE name = %s", [name])
    return name

def once(step, steps):
    with psycopg.connect(os.environ["DATABASE_URL"]) as db:
        return step(steps, db)

if sys.argv[1] == "up":
    while once(up, STEPS):
        pass
elif sys.argv[1] == "down":
    once(down, STEPS)
else:
    told = [each for each in STEPS if each[0] != {quiet!r}]
    for line in sys.stdin:
        do = json.loads(line)["do"]
        try:
            if do == "revisions":
                answer = {{"revisions": [each[0] for each in told]}}
            else:
                answer = {{"moved": once(up if do == "up" else down, told)}}
        except psycopg.Error as error:
            answer = {{"error": str(error)}}
        print(json.dumps(answer), flush=True)
"""
ONE = ("one", "CREATE TABLE teams (id int PRIMARY KEY)", "DROP TABLE teams")
TWO = ("two", "CREATE INDEX by_id ON teams (id)", "DROP INDEX by_id")
THREE = ("three", "CREATE TABLE notes (id int PRIMARY KEY)", "DROP TABLE notes")


@asynccontextmanager
async def moving(folder: Path, *steps: tuple[str, str, str], quiet: str = "") -> AsyncIterator[tuple[StepMover, Path]]:
    """The mover of an app with these migrations, and the app's copy."""
    app = folder / "app"
    app.mkdir()
    (app / "tool.py").write_text(TOOL.format(steps=steps, quiet=quiet))
    document = Document.model_validate(
        {
            "app": {"name": "stepping"},
            "process": {
                "start": "{python} -c pass",
                "migrate": "{python} tool.py up",
                "env": {"DATABASE_URL": "{postgres_url}"},
            },
            "migrations": {
                "tool": "command",
                "up": "{python} tool.py up",
                "down": "{python} tool.py down",
                "steps": "{python} tool.py steps",
                "ledger": ["ledger"],
            },
        }
    )
    assert document.migrations is not None
    preparing = Setting.prepare(
        document, app, seed=1, logs=folder / "logs", keep=False, python=sys.executable, tell=lambda _: None
    )
    async with preparing as setting:
        await setting.migrate()
        found = mover(setting, document.migrations)
        assert isinstance(found, StepMover)
        try:
            yield found, setting.copy
        finally:
            await found.close()
        assert setting.databases.made == {setting.base}


async def test_every_way_down_is_taken_in_one_process(tmp_path: Path) -> None:
    async with moving(tmp_path, ONE, TWO, THREE) as (mover, copy):
        assert await mover.ways() == ["one", "two", "three"]
        assert [await mover.left_by(way) for way in ("one", "two", "three")] == [[], [], []]
        assert await mover.left_by("two") == [], "a way can be taken again, out of order"
        assert (copy / "starts.txt").read_text().split() == ["up", "steps"]


async def test_what_a_way_down_leaves_is_laid_to_its_revision_alone(tmp_path: Path) -> None:
    forgetful = ("two", "CREATE INDEX by_id ON teams (id)", "SELECT 1")
    async with moving(tmp_path, ONE, forgetful, THREE) as (mover, _):
        assert await mover.ways() == ["one", "two", "three"]
        assert await mover.left_by("one") == []
        assert any("by_id" in line for line in await mover.left_by("two"))
        assert any("by_id" in line for line in await mover.left_by("two")), "and again, when it is confirmed"
        assert await mover.left_by("three") == []


async def test_a_way_down_that_fails_is_told_in_the_tools_own_words(tmp_path: Path) -> None:
    wrong = ("two", "CREATE INDEX by_id ON teams (id)", "DROP INDEX by_name")
    async with moving(tmp_path, ONE, wrong, THREE) as (mover, _):
        await mover.ways()
        with pytest.raises(HoldtrueError, match='down: index "by_name" does not exist'):
            await mover.left_by("two")
        assert await mover.left_by("three") == []


async def test_a_revision_that_the_stepping_command_keeps_quiet_about_is_noticed(tmp_path: Path) -> None:
    async with moving(tmp_path, ONE, TWO, THREE, quiet="two") as (mover, _):
        assert await mover.ways() == ["one", "three"]
        assert await mover.left_by("one") == []
        with pytest.raises(StepFailedError, match=r"ends at another schema than `process.migrate`.*by_id"):
            await mover.left_by("three")
