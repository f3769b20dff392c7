"""All rows of all tables, and what changed between two such snapshots."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import psycopg
from psycopg import sql

from holdtrue.stage.database.catalog import Catalog, Column, Table
from holdtrue.stage.database.errors import translate

Value = str | int | bool | None
"""A canonical value: integers and booleans as such, everything else in PostgreSQL's own text form, UTC and ISO."""
Row = Mapping[str, Value]

ROW_LIMIT = 10_000
_LOCK_PATIENCE = "5s"
_INTEGERS = {"smallint", "integer", "bigint"}

# The same text for the same value, whatever the server, the database or the role is set to. row_security=off makes
# PostgreSQL refuse, instead of leaving rows out, when the role does not bypass the policies.
_SESSION = """
SELECT set_config(name, value, true) FROM (VALUES ('timezone', 'UTC'), ('datestyle', 'ISO, YMD'),
    ('intervalstyle', 'iso_8601'), ('bytea_output', 'hex'), ('extra_float_digits', '1'), ('row_security', 'off'),
    ('lock_timeout', %s)) settings(name, value)
"""


@dataclass(frozen=True, kw_only=True)
class Oversized:
    """A table with too many rows to list: known by their number, and a checksum that their order does not change."""

    rows: int
    checksum: str


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Every row of an app at one moment: table → rows, in the order of the primary key."""

    rows: Mapping[str, tuple[Row, ...]]
    oversized: Mapping[str, Oversized] = field(default_factory=dict)

    def __getitem__(self, table: str) -> tuple[Row, ...]:
        return self.rows[table]

    def as_json(self) -> dict[str, object]:
        """The snapshot in JSON's own types."""
        return {
            "rows": {table: [dict(row) for row in rows] for table, rows in self.rows.items()},
            "oversized": {table: {"rows": it.rows, "checksum": it.checksum} for table, it in self.oversized.items()},
        }


@dataclass(frozen=True, kw_only=True)
class Update:
    """A row that was there before and is there still, with other values."""

    key: tuple[Value, ...]
    old: Row
    new: Row
    changed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What changed in one table."""

    inserted: tuple[Row, ...] = ()
    updated: tuple[Update, ...] = ()
    deleted: tuple[Row, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What changed between two snapshots: only tables that changed are in it."""

    tables: Mapping[str, Changes] = field(default_factory=dict)
    oversized: tuple[str, ...] = ()
    """Tables too large to list that are not what they were."""

    def __bool__(self) -> bool:
        return bool(self.tables or self.oversized)

    def describe(self) -> list[str]:
        """One readable line per changed row."""
        lines = []
        for table, changes in self.tables.items():
            name = short(table)
            lines += [f"{name}: inserted {render(row)}" for row in changes.inserted]
            lines += [
                f"{name} #{key_text(each.key)}: "
                + ", ".join(f"{column} {text(each.old[column])} → {text(each.new[column])}" for column in each.changed)
                for each in changes.updated
            ]
            lines += [f"{name}: deleted {render(row)}" for row in changes.deleted]
        return lines + [f"{short(table)}: changed, too many rows to list" for table in self.oversized]

    def without(self, tables: Collection[str]) -> "Difference":
        """The difference without some tables, named with their schema."""
        return Difference(
            tables={name: changes for name, changes in self.tables.items() if name not in tables},
            oversized=tuple(name for name in self.oversized if name not in tables),
        )


async def snapshot(
    connection: psycopg.AsyncConnection,
    catalog: Catalog,
    *,
    ignore: Collection[str] = (),
    limit: int = ROW_LIMIT,
) -> Snapshot:
    """Read every row of every table, at one moment, as somebody whom no policy hides rows from.

    `ignore` names tables (with schema) to leave out; a table of more than `limit` rows is known by its checksum only.

    Raises:
        DatabaseError: a table is locked for five seconds, or the role cannot read every row.
    """
    tables = [table for table in catalog.stored if table.full_name not in ignore and table.columns]
    rows: dict[str, tuple[Row, ...]] = {}
    oversized: dict[str, Oversized] = {}
    try:
        async with connection.transaction(), connection.cursor() as cursor:
            await cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            await cursor.execute(_SESSION, [_LOCK_PATIENCE])
            # One round trip for all tables: a check takes hundreds of snapshots.
            async with connection.pipeline():
                asked = [(table, await connection.execute(_select(table), [limit + 1])) for table in tables]
            for table, answer in asked:
                found = await answer.fetchall()
                if len(found) > limit:
                    oversized[table.full_name] = await _checksum(cursor, table)
                else:
                    rows[table.full_name] = tuple(_row(table.columns, values) for values in found)
    except psycopg.Error as error:
        raise translate(error, "reading the rows") from error
    return Snapshot(rows=rows, oversized=oversized)


def difference(before: Snapshot, after: Snapshot, catalog: Catalog) -> Difference:
    """What changed, row by row: by primary key, or by the whole row in a table without one."""
    names = sorted({*before.rows, *after.rows} - {*before.oversized, *after.oversized})
    changes = {name: _changes(catalog.get(name), before.rows.get(name, ()), after.rows.get(name, ())) for name in names}
    large = {
        name
        for name in {*before.oversized, *after.oversized}
        if before.oversized.get(name) != after.oversized.get(name)
    }
    return Difference(
        tables={name: change for name, change in changes.items() if change != Changes()},
        oversized=tuple(sorted(large)),
    )


def _changes(table: Table | None, before: tuple[Row, ...], after: tuple[Row, ...]) -> Changes:
    key = table.primary_key if table else ()
    if not key:
        return _changes_of_whole_rows(before, after)
    old = {tuple(row[column] for column in key): row for row in before}
    new = {tuple(row[column] for column in key): row for row in after}
    updated = [
        Update(key=each, old=old[each], new=row, changed=tuple(c for c in row if old[each].get(c) != row[c]))
        for each, row in new.items()
        if each in old and old[each] != row
    ]
    return Changes(
        inserted=tuple(row for each, row in new.items() if each not in old),
        updated=tuple(updated),
        deleted=tuple(row for each, row in old.items() if each not in new),
    )


def _changes_of_whole_rows(before: tuple[Row, ...], after: tuple[Row, ...]) -> Changes:
    old, new = Counter(map(_frozen, before)), Counter(map(_frozen, after))
    return Changes(
        inserted=tuple(dict(row) for row in (new - old).elements()),
        deleted=tuple(dict(row) for row in (old - new).elements()),
    )


def _frozen(row: Row) -> tuple[tuple[str, Value], ...]:
    return tuple(row.items())


def _select(table: Table) -> bytes:
    """The query that reads a table; composed once for equal shapes."""
    return _composed(table.schema, table.name, table.kind, table.columns, table.primary_key)


@lru_cache(maxsize=2_000)
def _composed(schema: str, name: str, kind: str, all_columns: tuple[Column, ...], key: tuple[str, ...]) -> bytes:
    # An ordinary table's inheritance children are read on their own; a partitioned table has no rows but theirs.
    only = sql.SQL("ONLY ") if kind == "table" else sql.SQL("")
    columns = sql.SQL(", ").join(_expression(column) for column in all_columns)
    order = sql.SQL(" ORDER BY {}").format(sql.SQL(", ").join(map(sql.Identifier, key))) if key else sql.SQL("")
    query = sql.SQL("SELECT {} FROM {}{}{} LIMIT %s").format(columns, only, sql.Identifier(schema, name), order)
    return query.as_bytes(None)


def _expression(column: Column) -> sql.Composed:
    plain = column.type in _INTEGERS or column.type == "boolean"
    return sql.SQL("{}" if plain else "{}::text").format(sql.Identifier(column.name))


async def _checksum(cursor: psycopg.AsyncCursor, table: Table) -> Oversized:
    await cursor.execute(
        sql.SQL("SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM {} t").format(
            sql.Identifier(table.schema, table.name)
        )
    )
    found = await cursor.fetchone()
    return Oversized(rows=found[0], checksum=found[1]) if found else Oversized(rows=0, checksum="0")


def _row(columns: tuple[Column, ...], values: tuple[Value, ...]) -> Row:
    return {column.name: value for column, value in zip(columns, values, strict=True)}


def short(table: str) -> str:
    """A table's name as people say it, without the schema `public`."""
    return table.removeprefix("public.")


def text(value: Value, limit: int = 80) -> str:
    """A value for a person to read, cut where it is long."""
    words = value if isinstance(value, str) else json.dumps(value)
    return words if len(words) <= limit else f"{words[: limit - 1]}…"


def key_text(key: tuple[Value, ...]) -> str:
    """A primary key for a person to read."""
    return ", ".join(text(part) for part in key)


def render(row: Row, only: Collection[str] | None = None) -> str:
    """A row for a person to read, without its nulls."""
    shown: Iterator[str] = (
        f"{column}: {text(value)}"
        for column, value in row.items()
        if value is not None and (only is None or column in only)
    )
    return "{" + ", ".join(shown) + "}"
