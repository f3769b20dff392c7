"""Audit history that the app can empty.

What production does
--------------------
Somebody who got into the app, or a clean-up script with the wrong address, empties the audit table in one statement.

Why apps break here
-------------------
A trigger FOR EACH ROW refuses UPDATE and DELETE; TRUNCATE visits no row and goes past it. Or the grants name UPDATE and
DELETE, and the role owns the table, or was once granted ALL on it.

Wrong
-----
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_events
        FOR EACH ROW EXECUTE FUNCTION refuse();

Right
-----
    -- the table belongs to the role that migrates; TRUNCATE is a right of its own, and nobody has it
    REVOKE ALL ON audit_events FROM app;
    GRANT SELECT, INSERT ON audit_events TO app;
    CREATE TRIGGER append_only BEFORE TRUNCATE ON audit_events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse();  -- for the owner's own mistakes
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
from psycopg import sql

from holdtrue.contract.words import Severity
from holdtrue.guarantees.audit import history
from holdtrue.guarantees.base import Case, Guarantee, Untried
from holdtrue.stage import Stage


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each audit table and each of its partitions: empty it as the role the app runs as."""
    async for each in history.cases(stage, {"TRUNCATE": _truncate}):
        yield each


async def _truncate(connection: psycopg.AsyncConnection, stage: Stage, table: str) -> int:
    await connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.Identifier(*table.split("."))))
    return len(stage.scene.rows.rows.get(table, ())) or 1  # a partition's rows are counted with its parent's


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUD010",
    catalogue="M10",
    severity=Severity.MEDIUM,
    promise="The database role the app runs as cannot empty the audit tables, nor any partition of them.",
    why="One statement takes the whole history, and leaves no row that could tell who did it.",
    do="Let another role own the audit table, and grant the app's role INSERT and SELECT on it, and nothing else.",
    do_not="Do not add a row trigger: TRUNCATE goes past it. It takes a right of its own, or a statement trigger.",
    subjects=lambda document: document.audit.tables if document.audit else [],
    rehearse=rehearse,
)
