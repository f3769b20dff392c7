"""Audit history that the app can edit.

What production does
--------------------
Whoever gets into the app, by an injection, a leaked URL, or as a colleague with a console, wants the traces gone.

Why apps break here
-------------------
One database user owns everything and runs everything. "Append-only" is a comment.

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
from contextlib import suppress
from functools import partial

import psycopg
from psycopg import sql

from holdtrue.contract.words import Severity
from holdtrue.guarantees.audit import history
from holdtrue.guarantees.base import Case, Guarantee, Untried
from holdtrue.stage import Stage
from holdtrue.stage.tables import qualified

# What a policy asks of the session, the session may say of itself: the app does so before each of its own statements.
# https://www.postgresql.org/docs/current/view-pg-policies.html
SETTINGS = r"""
SELECT DISTINCT found[1] FROM pg_policies, regexp_matches(qual, $$current_setting\('([^']+)'$$, 'g') found
WHERE schemaname || '.' || tablename = %s
"""


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each audit table and each of its partitions: rewrite and remove its rows as the role the app runs as."""
    async for each in history.cases(
        stage, {"UPDATE": partial(_in_the_tenant, _update), "DELETE": partial(_in_the_tenant, _delete)}
    ):
        yield each


async def _in_the_tenant(
    attempt: history.Attempt, connection: psycopg.AsyncConnection, stage: Stage, table: str
) -> int:
    """Try it as it is; where policies hide every row, as a session that says it acts for the tenant of one."""
    if rows := await attempt(connection, stage, table):
        return rows
    tenant = _tenant_of_a_row(stage, table)
    for (setting,) in await (await connection.execute(SETTINGS, [table])).fetchall() if tenant else []:
        with suppress(psycopg.errors.DataError):  # a setting of another kind: of a person, a number
            async with connection.transaction():
                await connection.execute("SELECT set_config(%s, %s, true)", [setting, tenant])
                if rows := await attempt(connection, stage, table):
                    return rows
    return 0


def _tenant_of_a_row(stage: Stage, table: str) -> str | None:
    tenancy, event = stage.document.tenancy, next(iter(stage.scene.rows.rows.get(table, ())), None)
    columns = {qualified(name): column for name, column in tenancy.tables.items()} if tenancy else {}
    tenant = event.get(columns[table]) if event and table in columns else None
    return str(tenant) if tenant is not None else None


async def _delete(connection: psycopg.AsyncConnection, _: Stage, table: str) -> int:
    return (await connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(*table.split("."))))).rowcount


async def _update(connection: psycopg.AsyncConnection, stage: Stage, table: str) -> int:
    """Column by column: rights may be granted on one alone, and what the database makes up nobody may set."""
    for column in stage.scene.catalog.tables[table].columns:
        set_itself = sql.SQL("UPDATE {} SET {} = {}").format(
            sql.Identifier(*table.split(".")), sql.Identifier(column.name), sql.Identifier(column.name)
        )
        try:
            async with connection.transaction():
                return (await connection.execute(set_itself)).rowcount
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.GeneratedAlways) as error:
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
    do_not="Do not rely on a trigger: the owner of a table can switch it off.",
    subjects=lambda document: document.audit.tables if document.audit else [],
    rehearse=rehearse,
)
