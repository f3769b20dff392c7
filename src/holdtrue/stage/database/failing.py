"""Writes that the database refuses for a while, as it does when its disk is full."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Literal

import psycopg
from psycopg import sql

from holdtrue.stage.database.errors import translate

Operation = Literal["INSERT", "UPDATE", "DELETE"]
DISK_FULL = "53100"
_NAME = "holdtrue_failing"
_FUNCTION = """
CREATE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = TG_ARGV[0],
        MESSAGE = format('could not extend file of relation "%s": No space left on device', TG_TABLE_NAME);
END $$
"""


@asynccontextmanager
async def failing(
    connection: psycopg.AsyncConnection,
    tables: Iterable[str],
    operations: Iterable[Operation] = ("INSERT",),
    *,
    sqlstate: str = DISK_FULL,
) -> AsyncIterator[None]:
    """Have these operations fail for every row of the tables (full names), whoever tries; nothing is left afterwards.

    ``connection`` is a superuser's to the clone behind the wire, in autocommit, and the clone must not be replaced
    meanwhile. A statement that reaches no row goes through, and so does ``session_replication_role = replica``.
    ``sqlstate``: https://www.postgresql.org/docs/current/errcodes-appendix.html

    Raises:
        DatabaseError: a table is not there, or is locked by a transaction that the app has left open.
    """
    names = [sql.Identifier(*table.split(".", 1)) for table in tables]
    events = sql.SQL(" OR ").join(map(sql.SQL, operations))
    create = sql.SQL("CREATE TRIGGER {} BEFORE {} ON {} FOR EACH ROW EXECUTE FUNCTION {}({})")
    function = sql.Identifier(_NAME, "refuse")
    trigger = sql.Identifier(f"a_{_NAME}")  # before the app's own: they fire in the order of their names
    await _in_one_transaction(
        connection,
        [
            sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(_NAME)),
            sql.SQL(_FUNCTION).format(function),
            *(create.format(trigger, events, name, function, sql.Literal(sqlstate)) for name in names),
        ],
    )
    try:
        yield
    finally:
        await _in_one_transaction(
            connection,
            [
                *(sql.SQL("DROP TRIGGER {} ON {}").format(trigger, name) for name in names),
                sql.SQL("DROP FUNCTION {}()").format(function),
                sql.SQL("DROP SCHEMA {}").format(sql.Identifier(_NAME)),
            ],
        )


async def _in_one_transaction(connection: psycopg.AsyncConnection, statements: Iterable[sql.Composed]) -> None:
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '5s'")
            for statement in statements:
                await connection.execute(statement)
    except psycopg.Error as error:
        raise translate(error, "having writes refused for a while") from error
