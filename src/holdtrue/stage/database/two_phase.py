"""Transactions that an app has prepared and not ended (two-phase commit).

They outlive their connection, keep their locks and their identifier, which counts for the whole server, and their
database can be neither copied nor dropped.
Source: https://www.postgresql.org/docs/current/sql-prepare-transaction.html
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from holdtrue.stage.database.errors import translate

if TYPE_CHECKING:
    from holdtrue.stage.database.cluster import Cluster

_LEFT = "SELECT gid FROM pg_prepared_xacts WHERE database = %s ORDER BY prepared"
_LOCKED = """
SELECT DISTINCT n.nspname || '.' || c.relname
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid IS NULL AND l.mode <> 'AccessShareLock' AND l.database = (
    SELECT oid FROM pg_database WHERE datname = current_database())
"""
"""No process holds the locks of a prepared transaction (pg_locks.pid)."""


async def left_prepared(connection: psycopg.AsyncConnection, database: str) -> list[str]:
    """The identifiers of what is prepared in a database; any connection to the server can ask.

    Raises:
        psycopg.Error: the server does not answer.
    """
    return [gid for (gid,) in await (await connection.execute(_LEFT, [database])).fetchall()]


async def locked_by_prepared(connection: psycopg.AsyncConnection) -> frozenset[str]:
    """The tables (full names) of the connection's database in which prepared transactions have locked something.

    Raises:
        psycopg.Error: the server does not answer.
    """
    return frozenset(name for (name,) in await (await connection.execute(_LOCKED)).fetchall())


async def roll_back_prepared(cluster: Cluster, connection: psycopg.AsyncConnection, database: str) -> list[str]:
    """Roll back what is prepared in a database that nobody uses any more; returns the identifiers that are free again.

    ``connection`` leads to any database of the server; that one must admit connections.

    Raises:
        DatabaseError: the server refuses.
    """
    try:
        left = await left_prepared(connection, database)
        if left:
            async with await cluster.admin(database) as inside:
                for gid in left:
                    with contextlib.suppress(psycopg.errors.UndefinedObject):  # its end was under way
                        await inside.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
    except psycopg.Error as error:
        raise translate(error, f"rolling back what was left prepared in '{database}'") from error
    return left
