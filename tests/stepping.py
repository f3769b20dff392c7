"""An app that has nothing but migrations, in a tool of its own, and the stage's mover of them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from holdtrue.contract.document import Document
from holdtrue.stage.migrations import StepMover, mover
from holdtrue.stage.setting import Setting

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
