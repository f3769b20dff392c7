"""Audit history that the app can edit.

What production does
--------------------
Whoever gets into the app, by an injection, a leaked URL, or as a colleague with a console, wants the traces gone.

Why apps break here
-------------------
One database user owns everything and runs everything. "Append-only" is a comment, or a row trigger that TRUNCATE goes
past.

Wrong
-----
    GRANT ALL ON ALL TABLES IN SCHEMA public TO app;

Right
-----
    -- the table belongs to the role that migrates; the app's role may only add and read
    REVOKE ALL ON audit_events FROM app;
    GRANT SELECT, INSERT ON audit_events TO app;
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import psycopg
from psycopg import sql

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.stage import Stage
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tables import listed, qualified

ATTEMPTS = ("UPDATE", "DELETE", "TRUNCATE")


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each audit table and each of its partitions: rewrite, remove, empty it as the role the app runs as."""
    if stage.document.audit is None:
        return
    await stage.fresh()
    for name in stage.document.audit.tables:
        table = qualified(name)
        if table not in stage.scene.catalog.tables:
            yield Untried(subject=name, reason="the migrated database has no such table")
            continue
        if not stage.scene.rows[table]:
            yield Untried(subject=name, reason="nothing in the scene wrote an event, so nothing can be rewritten")
            continue
        for part in (table, *_partitions(stage, table)):
            for attempt in ATTEMPTS:
                yield Case(
                    name=f"{attempt} {listed([part])}",
                    play=partial(_play, stage, part, attempt),
                    cause=table,
                )


def _partitions(stage: Stage, table: str) -> list[str]:
    """The partitions below a table: rights on them are rights of their own."""
    below = [each.full_name for each in stage.scene.catalog if each.partition and each.parent == table]
    return [name for child in below for name in (child, *_partitions(stage, child))]


async def _play(stage: Stage, table: str, attempt: str) -> Harm | None:
    await stage.fresh()
    role = stage.setting.runtime
    connection = await stage.setting.cluster.connect(stage.database, user=role)
    async with connection:
        await connection.set_autocommit(False)
        try:
            rows = await _attempt(connection, stage, table, attempt)
        except psycopg.OperationalError as error:
            raise StepFailedError(f"{attempt} could not be tried: {error}", where=listed([table])) from error
        except psycopg.Error as error:
            stage.player.evidence.add("refused", role=role, attempt=f"{attempt} {table}", error=str(error))
            return None
        finally:
            await connection.rollback()
    stage.player.evidence.add("attempt", role=role, attempt=f"{attempt} {table}", rows=rows, rolled_back=True)
    if not rows:
        return None
    return Harm(
        seen=f"As the app's own database role {role!r}, {attempt} on {listed([table])} succeeded (rows: {rows}).",
        where=listed([table]),
        clause=("audit", "tables"),
    )


async def _attempt(connection: psycopg.AsyncConnection, stage: Stage, table: str, attempt: str) -> int:
    """Do it, in a transaction that is rolled back; return how many rows it reached."""
    name = sql.Identifier(*table.split("."))
    if attempt == "TRUNCATE":
        total = len(stage.scene.rows.rows.get(table, ())) or 1
        await connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(name))
        return total
    if attempt == "DELETE":
        return (await connection.execute(sql.SQL("DELETE FROM {}").format(name))).rowcount
    for column in stage.scene.catalog.tables[table].columns:
        set_itself = sql.SQL("UPDATE {} SET {} = {}").format(
            name, sql.Identifier(column.name), sql.Identifier(column.name)
        )
        try:
            async with connection.transaction():
                return (await connection.execute(set_itself)).rowcount
        except psycopg.errors.InsufficientPrivilege as error:
            refused = error
    raise refused


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUD007",
    catalogue="M7",
    severity=Severity.MEDIUM,
    promise="The database role the app runs as can add audit events, and can neither change nor remove one.",
    why="A history that its subject can rewrite proves nothing, to a court or to a customer.",
    do="Let another role own the audit table, and grant the app's role INSERT and SELECT on it, and nothing else.",
    do_not="Do not rely on a trigger: the owner of a table can switch it off, and TRUNCATE goes past a row trigger.",
    subjects=lambda document: document.audit.tables if document.audit else [],
    rehearse=rehearse,
)
