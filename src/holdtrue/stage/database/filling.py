"""Puts rows into the tables of a schema that has none: those that a scene made, and one made up where it made none."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product

import psycopg
from psycopg import sql
from psycopg.errors import CheckViolation, DataError

from holdtrue.stage.database.catalog import Catalog, Column, Table
from holdtrue.stage.database.errors import translate
from holdtrue.stage.database.rows import Row, Value

MOST_TRIES = 40
"""How many values are tried until a row fits the check constraints of its table."""
# Triggers and references rest meanwhile: rows come table by table, and nothing is to be done because of them.
_SESSION = "SELECT set_config(name, value, true) FROM (VALUES ('session_replication_role', 'replica'), \
('timezone', 'UTC'), ('datestyle', 'ISO, YMD')) settings(name, value)"
_CHECK = """
    SELECT pg_get_constraintdef(k.oid), array(SELECT a.attname::text FROM pg_attribute a
                                              WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey))
    FROM pg_constraint k WHERE k.conrelid = %s::regclass AND k.conname = %s
"""
_OF_CATEGORY = {"S": "x", "N": "1", "B": "false", "D": "2026-01-01 00:00:00", "T": "1 day", "A": "{}", "I": "127.0.0.1"}
_OF_TYPE = {"uuid": "00000000-0000-4000-8000-000000000001", "json": "{}", "jsonb": "{}", "bytea": ""}
_LITERAL = re.compile(r"'((?:[^']|'')*)'|(?<![\w.])(-?\d+(?:\.\d+)?)")


@dataclass(kw_only=True)
class Filled:
    """What was put in."""

    made: set[str] = field(default_factory=set)
    """Tables whose row was made up, at least in part."""
    skipped: set[str] = field(default_factory=set)
    """Tables that are empty although there were rows for them: of another shape, or refused."""


async def fill(
    connection: psycopg.AsyncConnection,
    catalog: Catalog,
    rows: Mapping[str, Sequence[Row]],
    shapes: Catalog,
    *,
    make: bool,
    ignore: Collection[str] = (),
) -> Filled:
    """Fill the tables of `catalog` that are empty with `rows`, which stood in tables of the `shapes`.

    `make`: make one row up for a table without any, and what is missing in rows of another shape. `ignore` names
    tables, with their schema, to leave alone.

    Raises:
        DatabaseError: the server cannot be asked.
    """
    filled = Filled()
    try:
        async with connection.transaction():
            await connection.execute(_SESSION)
            for table in _referred_first(catalog):
                if table.full_name not in ignore and table.columns and await _is_empty(connection, table):
                    filling = _Filling(connection, table)
                    await filling.fill(rows.get(table.full_name, ()), shapes.get(table.full_name), filled, make=make)
    except psycopg.Error as error:
        raise translate(error, "filling tables with rows") from error
    return filled


def _referred_first(catalog: Catalog) -> list[Table]:
    """Tables that others refer to stand before those; a circle is entered anywhere."""
    tables = {table.full_name: table for table in catalog.tables.values() if table.kind != "foreign"}
    found: dict[str, Table] = {}

    def visit(name: str, above: frozenset[str]) -> None:
        table = tables.get(name)
        if table is None or name in found or name in above or table.partition:
            return
        for key in table.foreign_keys:
            visit(key.target, above | {name})
        found[name] = table

    for name in sorted(tables):
        visit(name, frozenset())
    return list(found.values())


async def _is_empty(connection: psycopg.AsyncConnection, table: Table) -> bool:
    query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(_name(table))
    found = await (await connection.execute(query)).fetchone()
    return found is not None and not found[0]


def _name(table: Table) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)


class _Filling:
    """One table on its way to having rows."""

    def __init__(self, connection: psycopg.AsyncConnection, table: Table) -> None:
        self._connection = connection
        self._table = table
        self._columns = [column for column in table.columns if not column.generated]

    async def fill(self, rows: Sequence[Row], shape: Table | None, filled: Filled, *, make: bool) -> None:
        known = {column.name: column.type for column in shape.columns} if shape is not None else {}
        same = [column for column in self._columns if known.get(column.name) == column.type]
        name = self._table.full_name
        if rows and len(same) == len(self._columns) and await self._put(rows):
            return
        if make and await self._make({column.name: rows[0][column.name] for column in same} if rows else {}):
            filled.made.add(name)
        elif rows:
            filled.skipped.add(name)

    async def _put(self, rows: Sequence[Row]) -> bool:
        """Insert rows as they are; False when the table does not take them."""
        names = [column.name for column in self._columns]
        try:
            async with self._connection.transaction():
                for row in rows:
                    await self._insert({name: row[name] for name in names})
                for column in self._columns:
                    if column.serial:
                        await self._advance(column)
        except psycopg.Error:
            return False
        return True

    async def _advance(self, column: Column) -> None:
        """Let a sequence go on behind the rows, as it would if they had been inserted by the app."""
        query = sql.SQL("SELECT setval(pg_get_serial_sequence({}, {})::regclass, max({})) FROM {}")
        told = _name(self._table).as_string(None)
        await self._connection.execute(query.format(told, column.name, sql.Identifier(column.name), _name(self._table)))

    async def _make(self, row: Mapping[str, Value]) -> bool:
        """Insert one row, made up as far as it is not given; False when no value fits."""
        values = dict(row)
        for column in self._columns:
            if column.name in values or column.nullable or column.default is not None or column.identity:
                continue
            values[column.name] = await self._label(column) if column.category == "E" else _of_type(column)
        values |= await self._references(values)
        if any(value is None and not self._table.column(name).nullable for name, value in values.items()):
            return False
        tries: dict[str, Iterator[dict[str, Value]]] = {}
        last = ""
        for _ in range(MOST_TRIES):
            try:
                async with self._connection.transaction():
                    await self._insert(values)
            except CheckViolation as error:
                last = str(error.diag.constraint_name)
                if last not in tries:
                    tries[last] = await self._candidates(last)
            except DataError:  # a candidate that is of another type
                if not last:
                    return False
            except psycopg.Error:
                return False
            else:
                return True
            changed = next(tries[last], None)
            if changed is None:
                return False
            values |= changed
        return False

    async def _references(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """For each reference that the row must have, the key of a row that is there."""
        found: dict[str, Value] = {}
        for key in self._table.foreign_keys:
            if not any(name in values for name in key.columns):
                continue
            text = (sql.SQL("{}::text").format(sql.Identifier(each)) for each in key.target_columns)
            target = sql.Identifier(*key.target.split(".", 1))
            query = sql.SQL("SELECT {} FROM {} LIMIT 1").format(sql.SQL(", ").join(text), target)
            there = await (await self._connection.execute(query)).fetchone()
            if there is not None:
                found |= dict(zip(key.columns, there, strict=True))
        return found

    async def _label(self, column: Column) -> Value:
        """The first label of an enumeration."""
        query = "SELECT enumlabel FROM pg_enum WHERE enumtypid = %s::regtype ORDER BY enumsortorder LIMIT 1"
        found = await (await self._connection.execute(query, [column.type])).fetchone()
        return str(found[0]) if found is not None else None

    async def _candidates(self, constraint: str) -> Iterator[dict[str, Value]]:
        """Values for the columns of a check constraint, out of its own text."""
        name = _name(self._table).as_string(None)
        told = await (await self._connection.execute(_CHECK, [name, constraint])).fetchone()
        if told is None:
            return iter(())
        literals = [text.replace("''", "'") if text else number for text, number in _LITERAL.findall(told[0])]
        literals = list(dict.fromkeys([*literals, "0", "1", "x"]))
        return (
            dict(zip(told[1], chosen, strict=True))
            for chosen in islice(product(literals, repeat=len(told[1])), MOST_TRIES)
        )

    async def _insert(self, row: Mapping[str, Value]) -> None:
        if not row:
            await self._connection.execute(sql.SQL("INSERT INTO {} DEFAULT VALUES").format(_name(self._table)))
            return
        # A text without a type is read as the column's own (psycopg's default for strings).
        query = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
            _name(self._table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() for _ in row),
        )
        await self._connection.execute(query, [None if value is None else str(value) for value in row.values()])


def _of_type(column: Column) -> Value:
    """A value that most columns of a type take; None for a type that is not known here."""
    if column.type in _OF_TYPE:
        return _OF_TYPE[column.type]
    if column.type.startswith("time "):
        return "00:00"
    return _OF_CATEGORY.get(column.category)
