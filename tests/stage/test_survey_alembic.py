"""An app's own Alembic set-up is walked revision by revision, in one process of its interpreter."""

import itertools
import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest
from psycopg import sql

from holdtrue.stage.database.cluster import Cluster
from holdtrue.stage.survey import AlembicDriver, Interpreter, SurveyError

NUMBERS = itertools.count(1)

INI = """
[alembic]
script_location = migrations
prepend_sys_path = .
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = INFO
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stdout,)
formatter = plain
[formatter_plain]
format = %(levelname)s %(message)s
"""

# The pooled engine of the app keeps a connection open: in one long process it must not stand in the way.
SETTINGS = """
import os
from sqlalchemy import MetaData, create_engine
engine = create_engine(os.environ["DATABASE_URL"])
metadata = MetaData()
"""

ENV = """
from logging.config import fileConfig
from alembic import context
from shop.settings import engine, metadata

fileConfig(context.config.config_file_name)
print("noise")
if context.is_offline_mode():
    context.configure(url=engine.url, target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata)
        with context.begin_transaction():
            context.run_migrations()
"""

ASYNC_ENV = """
import asyncio, os
from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine(os.environ["DATABASE_URL"])  # pooled, and never disposed of

def steps(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

async def main():
    async with engine.connect() as connection:
        await connection.run_sync(steps)

asyncio.run(main())
"""


def write(
    directory: Path, name: str, down: str | None, up_sql: str, down_sql: str, *, label: str | None = None
) -> None:
    downs = None if down is None else tuple(down.split("+")) if "+" in down else down
    file = directory / "migrations" / "versions" / f"{name}_x.py"
    file.write_text(
        dedent(
            f'''
            """The {name} step."""
            from alembic import op
            revision, down_revision, branch_labels, depends_on = {name!r}, {downs!r}, {label!r}, None
            def upgrade(): op.execute({up_sql!r})
            def downgrade(): op.execute({down_sql!r})
            '''
        )
    )


@pytest.fixture
def app(tmp_path: Path) -> Path:
    app = tmp_path / "backend"
    (app / "shop").mkdir(parents=True)
    (app / "shop" / "settings.py").write_text(SETTINGS)
    (app / "migrations" / "versions").mkdir(parents=True)
    (app / "migrations" / "env.py").write_text(ENV)
    (app / "alembic.ini").write_text(INI)
    write(app, "a1", None, "CREATE TABLE orders (id int)", "DROP TABLE orders")
    write(app, "b1", "a1", "ALTER TABLE orders ADD note text", "ALTER TABLE orders DROP note")
    write(app, "b2", "a1", "CREATE TABLE refunds (id int)", "DROP TABLE refunds")
    write(app, "m1", "b1+b2", "CREATE TABLE merged (id int)", "DROP TABLE merged")
    return app


@pytest.fixture
async def database(cluster: Cluster) -> AsyncIterator[str]:
    name = cluster.name(f"survey{next(NUMBERS)}")
    async with await cluster.admin() as admin:
        await admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield name
        # Without FORCE: this fails when the driver left a connection open.
        await admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def interpreter(app: Path, cluster: Cluster | None = None, database: str = "none") -> Interpreter:
    url = f"postgresql+psycopg:///{database}"
    if cluster is not None:
        url = f"postgresql+psycopg://{cluster.superuser}@/{database}?host={cluster.host}&port={cluster.port}"
    env = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "DATABASE_URL": url}
    return Interpreter(python=sys.executable, directory=app, env=env)


async def columns(cluster: Cluster, database: str) -> set[str]:
    query = "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'"
    async with await cluster.admin(database) as connection:
        rows = await (await connection.execute(query)).fetchall()
    return {name for (name,) in rows if not name.startswith("alembic_")}


async def test_revisions_are_walked_up_and_down_one_by_one(app: Path, cluster: Cluster, database: str) -> None:
    async with await AlembicDriver.start(interpreter(app, cluster, database)) as driver:
        assert await driver.current() == ()
        seen = []
        for each in (await driver.revisions()).revisions:
            step = await driver.upgrade(each.revision)
            assert step.ok, step.problem
            seen.append(each.revision)
            assert each.revision in await driver.current()
        assert (seen[0], set(seen[1:3]), seen[3]) == ("a1", {"b1", "b2"}, "m1")
        assert await columns(cluster, database) == {"orders.id", "orders.note", "refunds.id", "merged.id"}
        assert (await driver.downgrade("a1")).ok
        assert await columns(cluster, database) == {"orders.id"}
        assert (await driver.downgrade("base")).ok
        assert await columns(cluster, database) == set()
        assert (await driver.upgrade("heads")).seconds > 0


NEEDS_GREENLET = pytest.mark.skipif(find_spec("greenlet") is None, reason="needs sqlalchemy[asyncio]")


@pytest.mark.parametrize("env", [ENV, pytest.param(ASYNC_ENV, marks=NEEDS_GREENLET)], ids=["sync", "async"])
async def test_no_connection_is_left_between_commands(app: Path, cluster: Cluster, database: str, env: str) -> None:
    (app / "migrations" / "env.py").write_text(env)
    async with await AlembicDriver.start(interpreter(app, cluster, database)) as driver:
        assert (await driver.upgrade()).ok
        copy = cluster.name("survey_copy")
        async with await cluster.admin() as admin:
            names = sql.Identifier(copy), sql.Identifier(database)
            await admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
            await admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(copy)))


async def test_a_migration_that_fails_is_told_with_its_traceback_and_leaves_the_driver_usable(
    app: Path, cluster: Cluster, database: str
) -> None:
    write(app, "c1", "m1", "ALTER TABLE missing ADD x int", "SELECT 1")
    async with await AlembicDriver.start(interpreter(app, cluster, database), "alembic.ini") as driver:
        step = await driver.upgrade("c1")
        assert not step.ok
        assert step.problem is not None
        assert step.problem.type == "ProgrammingError"
        assert 'relation "missing" does not exist' in step.problem.message
        assert "c1_x.py" in step.problem.traceback
        assert (await driver.upgrade("m1")).ok
        assert await driver.current() == ("m1",)


async def test_merges_branches_and_several_heads_are_reported(app: Path) -> None:
    write(app, "z1", "b2", "SELECT 1", "SELECT 1", label="side")
    async with await AlembicDriver.start(interpreter(app)) as driver:
        found = await driver.revisions()
    by_name = {each.revision: each for each in found.revisions}
    assert set(found.heads) == {"m1", "z1"}
    assert found.bases == ("a1",)
    assert found.revisions[0] == by_name["a1"]
    assert (by_name["m1"].is_merge, set(by_name["m1"].down_revisions)) == (True, {"b1", "b2"})
    assert (by_name["a1"].is_branch_point, by_name["z1"].is_head, by_name["b1"].is_head) == (True, True, False)
    assert "side" in by_name["z1"].branch_labels
    assert (by_name["a1"].file, by_name["a1"].message) == ("migrations/versions/a1_x.py", "The a1 step.")


async def test_the_sql_of_a_migration_is_rendered_without_a_database(app: Path) -> None:
    async with await AlembicDriver.start(interpreter(app)) as driver:
        rendered = await driver.sql("a1", "b1")
    assert "ALTER TABLE orders ADD note text" in rendered
    assert "CREATE TABLE orders" not in rendered


async def test_the_configuration_is_found_below_the_app_but_not_guessed_among_several(app: Path) -> None:
    outer = app.parent
    async with await AlembicDriver.start(interpreter(outer)) as driver:
        assert (await driver.revisions()).bases == ("a1",)
    (outer / "second").mkdir()
    (outer / "second" / "alembic.ini").write_text(INI)
    with pytest.raises(SurveyError, match=r"which alembic.ini\? found in .*second/alembic.ini; name one"):
        await AlembicDriver.start(interpreter(outer))
    with pytest.raises(SurveyError, match="no Alembic configuration at"):
        await AlembicDriver.start(interpreter(outer), "nowhere.ini")


async def test_scripts_that_do_not_fit_together_are_a_survey_error(app: Path) -> None:
    write(app, "q1", "nothing", "SELECT 1", "SELECT 1")
    async with await AlembicDriver.start(interpreter(app)) as driver:
        with pytest.raises(SurveyError, match="nothing"):
            await driver.revisions()


async def test_a_migration_that_exits_or_dies_is_told(app: Path, cluster: Cluster, database: str) -> None:
    versions = app / "migrations" / "versions"
    text = (versions / "m1_x.py").read_text()
    async with await AlembicDriver.start(interpreter(app, cluster, database)) as driver:
        (versions / "m1_x.py").write_text(text.replace("def upgrade(): ", "def upgrade(): raise SystemExit(3) or "))
        step = await driver.upgrade()
        assert step.problem is not None
        assert step.problem.type == "SystemExit"
        (versions / "m1_x.py").write_text(text.replace("def upgrade(): ", "import os\ndef upgrade(): os._exit(9) or "))
        with pytest.raises(SurveyError, match="exit code 9"):
            await driver.upgrade()
        with pytest.raises(SurveyError, match="exit code 9"):
            await driver.current()
