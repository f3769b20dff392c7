"""Let time pass in a database whose clock cannot be moved: shift what it remembers into the past."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from holdtrue.stage.database.catalog import Catalog, Column, Table, catalog_of
from holdtrue.stage.database.errors import translate
from holdtrue.stage.database.two_phase import locked_by_prepared

_DAY = 86_400
_RANGES = {"tsrange": "interval", "tstzrange": "interval", "daterange": "days"}


@dataclass(frozen=True, kw_only=True)
class Unaged:
    """A column that kept its times, and why."""

    table: str
    column: str
    why: str


async def age(
    connection: psycopg.AsyncConnection, seconds: float, *, catalog: Catalog | None = None
) -> tuple[Unaged, ...]:
    """Shift every timestamp, date and range of them in every table back by `seconds`; returns what could not be.

    A date moves by whole days only: five minutes do not make it yesterday. Triggers and foreign keys are off meanwhile
    (`session_replication_role`). Times inside text, JSON, tokens and memory stay what they are, and so does a table of
    which a transaction that was left prepared has locked something.

    Raises:
        DatabaseError: a table is locked, or the role may not switch triggers off.
    """
    known = catalog or await catalog_of(connection)
    unaged: list[Unaged] = []
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute("SET LOCAL lock_timeout = '5s'")
            locked = await locked_by_prepared(connection)
            for table in known.stored:
                if table.full_name in locked:
                    unaged += _locked(table)
                else:
                    unaged += await _age_table(connection, table, seconds)
    except psycopg.Error as error:
        raise translate(error, "ageing the rows") from error
    return tuple(unaged)


def _locked(table: Table) -> list[Unaged]:
    why = "a transaction that was left prepared holds locks on the table"
    moving = (column.name for column in table.columns if _shift(column, 0) is not None)
    return [Unaged(table=table.full_name, column=name, why=why) for name in moving]


async def _age_table(connection: psycopg.AsyncConnection, table: Table, seconds: float) -> list[Unaged]:
    shifts = {column.name: shift for column in table.columns if (shift := _shift(column, seconds)) is not None}
    unaged = [
        Unaged(table=table.full_name, column=column.name, why=f"{column.type} is not shifted")
        for column in table.columns
        if column.name not in shifts and not column.generated and _holds_moments(column)
    ]
    if not shifts:
        return unaged
    try:
        await _update(connection, table, shifts)
    except (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation):
        # A shifted row met one that was about to be shifted: take all rows out, then put them back.
        unaged += await _replace(connection, table, shifts)
    except psycopg.errors.IntegrityError:
        unaged += await _column_by_column(connection, table, shifts)
    return unaged


async def _update(connection: psycopg.AsyncConnection, table: Table, shifts: dict[str, sql.Composed]) -> None:
    async with connection.transaction():
        await connection.execute(
            sql.SQL("UPDATE {} SET {}").format(
                _name(table),
                sql.SQL(", ").join(
                    sql.SQL("{} = {}").format(sql.Identifier(column), shift) for column, shift in shifts.items()
                ),
            )
        )


async def _replace(connection: psycopg.AsyncConnection, table: Table, shifts: dict[str, sql.Composed]) -> list[Unaged]:
    columns = [column.name for column in table.columns if not column.generated]
    try:
        async with connection.transaction():
            await connection.execute(
                sql.SQL("CREATE TEMP TABLE holdtrue_ageing ON COMMIT DROP AS SELECT * FROM {}").format(_name(table))
            )
            await connection.execute(sql.SQL("DELETE FROM {}").format(_name(table)))
            await connection.execute(
                sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM holdtrue_ageing").format(
                    sql.Identifier(table.schema, table.name),
                    sql.SQL(", ").join(map(sql.Identifier, columns)),
                    sql.SQL(", ").join(shifts.get(column, sql.Identifier(column)) for column in columns),
                )
            )
            await connection.execute("DROP TABLE holdtrue_ageing")
    except psycopg.errors.IntegrityError:
        return await _column_by_column(connection, table, shifts)
    return []


async def _column_by_column(
    connection: psycopg.AsyncConnection, table: Table, shifts: dict[str, sql.Composed]
) -> list[Unaged]:
    """Age what can be aged: a check constraint, or a partition that does not exist, keeps the rest where it is."""
    unaged = []
    for column, shift in shifts.items():
        try:
            await _update(connection, table, {column: shift})
        except psycopg.errors.IntegrityError as error:
            why = error.diag.message_primary or str(error)
            unaged.append(Unaged(table=table.full_name, column=column, why=why))
    return unaged


def _shift(column: Column, seconds: float) -> sql.Composed | None:
    """The expression for the shifted value, or none for a column that has no moment in it."""
    if column.generated:
        return None
    name = sql.Identifier(column.name)
    days = sql.Literal(int(seconds // _DAY))
    interval = sql.SQL("make_interval(secs => {})").format(sql.Literal(seconds))
    if column.type.startswith("timestamp") and not column.type.endswith("[]"):
        return sql.SQL("{} - {}").format(name, interval)
    if column.type == "date":
        return sql.SQL("{} - {}").format(name, days)
    if (unit := _RANGES.get(column.type)) is not None:
        by = interval if unit == "interval" else days
        make = sql.Identifier(column.type)
        bounds = sql.SQL(
            "CASE WHEN lower_inc({0}) THEN '[' ELSE '(' END || CASE WHEN upper_inc({0}) THEN ']' ELSE ')' END"
        ).format(name)
        return sql.SQL("CASE WHEN isempty({0}) THEN {0} ELSE {1}(lower({0}) - {2}, upper({0}) - {2}, {3}) END").format(
            name, make, by, bounds
        )
    return None


def _holds_moments(column: Column) -> bool:
    """Whether a column that `_shift` does not know holds moments all the same: arrays and multiranges of them."""
    return column.type.startswith(("timestamp", "date", "tstz", "tsmulti", "tsrange")) and column.type != "date"


def _name(table: Table) -> sql.Composed:
    only = sql.SQL("ONLY ") if table.kind == "table" else sql.SQL("")
    return sql.SQL("{}{}").format(only, sql.Identifier(table.schema, table.name))
