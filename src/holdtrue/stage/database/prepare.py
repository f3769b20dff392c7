"""Ask a database whether it would understand the statements an app sends, without running any."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from holdtrue.stage.database.errors import translate

# https://www.postgresql.org/docs/current/sql-prepare.html: what PREPARE takes.
_PREPARABLE = re.compile(
    r"\A(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(?:select|insert|update|delete|merge|values|with|table)\b", re.I | re.S
)

_SEVERAL = "multiple commands"


@dataclass(frozen=True, kw_only=True)
class PrepareFailure:
    """A statement that the database refuses to plan."""

    sqlstate: str
    message: str
    sql: str


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """How many statements were tried, how many cannot be (`BEGIN`, `COPY`, several at once), and which failed."""

    tried: int
    skipped: int
    failures: tuple[PrepareFailure, ...]


async def prepare(
    connection: psycopg.AsyncConnection, statements: Iterable[tuple[str, Sequence[int]]], *, role: str | None = None
) -> Prepared:
    """PREPARE each statement (its text, and the type OIDs of its parameters; 0 or a missing one is inferred).

    That finds tables, columns, functions and types that the database does not have. It does not find missing rights:
    PostgreSQL asks for those only when a statement runs. `connection` is in autocommit; it is read-only meanwhile.

    Raises:
        DatabaseError: the connection is lost, or there is no such role.
    """
    tried = skipped = 0
    failures: list[PrepareFailure] = []
    try:
        if role is not None:
            await connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        await connection.execute("SET default_transaction_read_only = on")
        types = await _type_names(connection)
        for number, (text, oids) in enumerate(statements):
            if not _PREPARABLE.match(text):
                skipped += 1
                continue
            failure = await _try(connection, f"holdtrue_{number}", text, [types.get(oid) for oid in oids])
            if failure is not None and _SEVERAL in failure.message:
                skipped += 1
                continue
            tried += 1
            failures += [failure] if failure is not None else []
        for setting in ("DEALLOCATE ALL", "RESET ROLE", "RESET default_transaction_read_only"):
            await connection.execute(setting)
    except psycopg.Error as error:
        raise translate(error, "preparing the app's statements") from error
    return Prepared(tried=tried, skipped=skipped, failures=tuple(failures))


async def _try(
    connection: psycopg.AsyncConnection, name: str, text: str, types: Sequence[str | None]
) -> PrepareFailure | None:
    known = f" ({', '.join(each or 'unknown' for each in types)})" if any(types) else ""
    try:
        # binary=True selects the extended protocol: one message is one statement, and nothing behind a semicolon runs.
        await connection.execute(f"PREPARE {name}{known} AS {text}".encode(), binary=True)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        message = error.diag.message_primary or str(error)
        return PrepareFailure(sqlstate=error.sqlstate or "", message=message, sql=text)
    return None


async def _type_names(connection: psycopg.AsyncConnection) -> dict[int, str]:
    found = await connection.execute("SELECT oid, format_type(oid, NULL) FROM pg_type WHERE typtype <> 'p'")
    return {int(oid): str(name) for oid, name in await found.fetchall()}
