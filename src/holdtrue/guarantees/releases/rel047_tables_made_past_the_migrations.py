"""Tables made past the migrations.

What production does
--------------------
The app starts on the database that the migrations made. Half a year later a column is added, and a new environment is
set up from nothing.

Why apps break here
-------------------
`create_all` at startup makes what is missing wherever a database is new: on a laptop, in tests, in a preview. There the
migrations are never needed, so nobody sees that one was never written; and `create_all` never alters a table, so
production is the first place where the column is missing. In a migration it is worse: an old revision that makes tables
from today's models makes another schema each time it runs, and the revisions after it fail on what is already there.

Wrong
-----
    @asynccontextmanager
    async def lifespan(app):
        Base.metadata.create_all(engine)
        yield

    def upgrade():  # 0001_baseline.py
        Base.metadata.create_all(op.get_bind())

Right
-----
    def upgrade():
        op.create_table("orders", sa.Column("id", sa.Uuid, primary_key=True), ...)

The migrations make every table, in the deploy, and the app makes none.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from functools import partial

from holdtrue.contract.document import Document
from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Absent, Case, Guarantee, Harm, Read, Tried, Untried
from holdtrue.stage import Stage
from holdtrue.stage.crew import FIRST, WORKER, Build
from holdtrue.stage.database import catalog_of
from holdtrue.stage.survey.metadata import MetadataCall, metadata_calls
from holdtrue.stage.survey.scripts import Scripts, migration_scripts
from holdtrue.stage.survey.sources import Sources
from holdtrue.stage.wire import Recording, Statement
from holdtrue.stage.wire.tables import made_table

WORKER_PATIENCE = 5.0
"""Seconds in which a worker that neither ends nor asks for a table may still begin to make some."""
DENIED, MISSING = "42501", "42P01"
"""SQLSTATEs of a right that is lacking, and of a table (PostgreSQL, appendix A)."""
LEDGERS = frozenset(
    (
        *("alembic_version", "django_migrations", "schema_migrations", "knex_migrations", "_prisma_migrations"),
        *("sequelizemeta", "pgmigrations", "migrations", "flyway_schema_history", "goose_db_version"),
        *("__drizzle_migrations", "aerich", "mikro_orm_migrations"),
    )
)
"""Where migration tools keep what has run."""


def inspect(sources: Sources, document: Document) -> Iterable[Read]:
    """Revisions, and Alembic's env.py, that make tables from models which go on changing."""
    scripts = migration_scripts(sources, document)
    if scripts is None:
        yield Absent(reason="none of its files is an Alembic revision")
        return
    for where, path in _files(scripts):
        file = sources.python(path)
        for call in metadata_calls(sources, file) if file is not None else ():
            yield _read(where, call)


def _files(scripts: Scripts) -> Iterable[tuple[str, str]]:
    if scripts.environment is not None:
        yield scripts.environment, scripts.environment
    for revision in scripts.revisions:
        yield f"revision {revision.revision}", revision.file


def _read(where: str, call: MetadataCall) -> Harm:
    origin = f"the models of {call.models}" if call.models else "models of which the file does not say where they are"
    return Harm(
        seen=f"{where[:1].upper()}{where[1:]} calls {call.text}: it works on {origin} as they are on the day it runs, "
        "so it makes another schema after each change of the models.",
        where=where,
        clause=("migrations",),
        source=f"{call.file}:{call.line}",
        suspect=call.switched or not call.models,
    )


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """The app's processes are started on a database that has no schema; they must not make one."""
    made = await _made_by_migrations(stage)
    if not made:
        yield Untried(subject="process.migrate", reason="it makes no table")
        return
    name = "start on a database that was never migrated"
    yield Case(name=name, play=partial(_started, stage, made), cause="startup")


async def _made_by_migrations(stage: Stage) -> frozenset[str]:
    """The tables that are there after the migrations, with their schemas.

    Where the app's own are in ``public``, another schema is a library's, which keeps it up to date itself.
    """
    setting = stage.setting
    database = await setting.databases.clone(setting.base)
    try:
        async with await setting.cluster.admin(database) as connection:
            tables = frozenset((await catalog_of(connection)).tables)
    finally:
        await setting.databases.drop(database)
    return frozenset(name for name in tables if name.startswith("public.")) or tables


async def _started(stage: Stage, made: frozenset[str]) -> Harm | None:
    async with stage.outfit.on_nothing() as (wire, equip):
        with wire.record() as recording:
            starts = [_web(stage, await equip(FIRST))]
            if stage.crew.has_worker:
                starts.append(_worker(stage, await equip(WORKER), recording, made))
            await asyncio.gather(*starts)
    own = _own_tables(recording.statements, made, _ledgers(stage.document))
    stage.player.evidence.add("statements", tables=[f"{item.process}: {item.sql}" for item, _ in own])
    if not own:
        return None
    names = ", ".join(dict.fromkeys(table for _, table in own))
    who = "worker" if own[0][0].process == WORKER else "app"
    refused = f" ({own[0][0].message}, it was told)" if own[0][0].sqlstate == DENIED else ""
    return Harm(
        seen=f"On a database that was never migrated the {who} itself sent CREATE TABLE for {names}{refused}: tables "
        "that the migrations make. Wherever a database is new, nobody notices a migration that was never written.",
        where="the start of the worker" if who == "worker" else "the start of the app",
        clause=("process", "migrate"),
    )


async def _web(stage: Stage, build: Build) -> None:
    """Start it, and ask it once: some make their tables at the first request."""
    async with stage.outfit.web(build) as port:
        if port is not None:
            await stage.client.send(port, "GET", stage.document.process.ready or "/")


async def _worker(stage: Stage, build: Build, recording: Recording, made: frozenset[str]) -> None:
    """Start it, until it has made a table, has missed one, has ended, or only waits for work."""
    command = stage.document.process.worker
    if command is None:
        return
    worker = build(command, None)

    def tells(statement: Statement) -> bool:
        return statement.process == WORKER and (
            statement.sqlstate in (MISSING, DENIED) or _is_of(made_table(statement.sql), made)
        )

    try:
        await worker.start()
        waits = [asyncio.create_task(each) for each in (recording.seen(tells), worker.exited.wait())]
        try:
            await asyncio.wait(waits, timeout=WORKER_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
    finally:
        await worker.kill()


def _own_tables(
    statements: list[Statement], made: frozenset[str], ledgers: frozenset[str]
) -> list[tuple[Statement, str]]:
    """Statements that make tables of the migrations, and which; none after the ledger was begun.

    A process that keeps the ledger runs the migrations themselves.
    """
    found = []
    for statement in sorted(statements, key=lambda each: each.at):
        table = made_table(statement.sql)
        if statement.writes and not ledgers.isdisjoint(re.findall(r"\w+", statement.shape)):
            break
        if table is not None and _is_of(table, made):
            found.append((statement, table))
    return found


def _is_of(table: str | None, made: frozenset[str]) -> bool:
    if table is None:
        return False
    return table in made if "." in table else any(name.partition(".")[2] == table for name in made)


def _ledgers(document: Document) -> frozenset[str]:
    told = document.migrations.ledger if document.migrations else []
    return LEDGERS | {name.rpartition(".")[2].lower() for name in told}


GUARANTEE = Guarantee(
    doc=__doc__,
    code="REL047",
    catalogue="M47",
    severity=Severity.MEDIUM,
    promise="Every table is made by a migration that says itself what it makes; the app makes none when it starts.",
    why="A missing migration is found by customers, and an environment that is built anew has another schema.",
    do="Write what each revision makes into the revision, and take create_all out of the app and the migrations.",
    do_not="Do not guard create_all by checking whether a table is there: it still hides the missing migration.",
    subjects=lambda document: ["schema"] if document.process.migrate is not None else [],
    rehearse=rehearse,
    inspect=inspect,
)
