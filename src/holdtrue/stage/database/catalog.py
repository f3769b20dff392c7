"""Facts of a database: its tables, columns, keys and references, and who may do what to them."""

import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from holdtrue.stage.database.errors import translate

SYSTEM_SCHEMAS = "('pg_catalog', 'information_schema', 'pg_toast')"
"""For SQL: where nothing is the app's."""

# One round trip per kind of fact; JSON, so that arrays and nulls need no decoding of our own.
# pg_class, pg_attribute, pg_constraint: https://www.postgresql.org/docs/current/catalogs.html
_TABLES = f"""
SELECT json_build_object(
    'schema', n.nspname, 'name', c.relname, 'kind', c.relkind, 'owner', pg_get_userbyid(c.relowner),
    'partition', c.relispartition,
    'parent', (SELECT pn.nspname || '.' || p.relname FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
               JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE i.inhrelid = c.oid ORDER BY i.inhseqno LIMIT 1),
    'partition_key', CASE WHEN c.relkind = 'p' THEN (
        SELECT array_agg(a.attname) FROM pg_partitioned_table pt JOIN pg_attribute a
        ON a.attrelid = c.oid AND a.attnum = ANY (pt.partattrs::int2[]) WHERE pt.partrelid = c.oid) END,
    'row_security', c.relrowsecurity, 'row_security_forced', c.relforcerowsecurity,
    'grants', (SELECT json_agg(json_build_array(
                   CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END, g.privilege_type)
                   ORDER BY g.privilege_type)
               FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) g),
    'columns', (SELECT json_agg(json_build_object(
                    'name', a.attname, 'nullable', NOT a.attnotnull,
                    'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
                    'identity', a.attidentity <> '', 'generated', a.attgenerated <> '',
                    'type', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod)
                                 ELSE format_type(a.atttypid, a.atttypmod) END,
                    'category', t.typcategory) ORDER BY a.attnum)
                FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND n.nspname NOT IN {SYSTEM_SCHEMAS}
  AND NOT EXISTS (SELECT FROM pg_depend e
                  WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
ORDER BY 1
"""  # noqa: S608

_KEYS = f"""
SELECT json_build_object(
    'table', n.nspname || '.' || c.relname, 'primary', x.indisprimary,
    'columns', (SELECT array_agg(a.attname ORDER BY k.place) FROM unnest(x.indkey::int2[]) WITH ORDINALITY k(num, place)
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.num WHERE k.place <= x.indnkeyatts))::text
FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE x.indisunique AND x.indpred IS NULL AND x.indexprs IS NULL AND n.nspname NOT IN {SYSTEM_SCHEMAS}
ORDER BY x.indisprimary DESC, 1
"""  # noqa: S608

_REFERENCES = f"""
SELECT json_build_object(
    'table', n.nspname || '.' || c.relname, 'target', tn.nspname || '.' || t.relname, 'on_delete', k.confdeltype,
    'columns', (SELECT array_agg(a.attname ORDER BY u.place) FROM unnest(k.conkey) WITH ORDINALITY u(num, place)
                JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num),
    'target_columns', (SELECT array_agg(a.attname ORDER BY u.place) FROM unnest(k.confkey) WITH ORDINALITY u(num, place)
                       JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num))::text
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class t ON t.oid = k.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE k.contype = 'f' AND n.nspname NOT IN {SYSTEM_SCHEMAS}
  AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = k.conparentid AND p.confrelid <> k.confrelid)
ORDER BY 1
"""  # noqa: S608

_KINDS = {"r": "table", "p": "partitioned", "f": "foreign"}
_ON_DELETE = {"a": "no action", "r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column; its type is in PostgreSQL's words (`timestamp with time zone`), a domain's is what it is made of."""

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    identity: bool = False
    generated: bool = False
    category: str = "U"
    """PostgreSQL's `typcategory`: N numeric, S string, D date and time, B boolean, E enum, A array, U other."""

    @property
    def serial(self) -> bool:
        """Filled from a sequence: identity, serial, or a default that calls nextval."""
        return self.identity or (self.default is not None and "nextval(" in self.default)

    @property
    def random(self) -> bool:
        """Filled by the database with a random value."""
        return self.default is not None and any(word in self.default for word in ("uuid", "random", "gen_salt"))


@dataclass(frozen=True, kw_only=True)
class ForeignKey:
    """A declared reference; `columns` and `target_columns` belong together by position."""

    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    on_delete: str = "no action"


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table; partitions of a partitioned table are tables too, with `partition` set."""

    schema: str = "public"
    name: str
    kind: str = "table"
    owner: str = ""
    parent: str | None = None
    partition: bool = False
    partition_key: tuple[str, ...] = ()
    row_security: bool = False
    row_security_forced: bool = False
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    """Every unique key without predicate or expression, the primary key included."""
    foreign_keys: tuple[ForeignKey, ...] = ()
    grants: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Role (or PUBLIC) → privileges on the table, the owner's own included."""

    @property
    def full_name(self) -> str:
        """Schema and name, the key in `Catalog.tables`."""
        return f"{self.schema}.{self.name}"

    def column(self, name: str) -> Column:
        """The column of that name.

        Raises:
            KeyError: the table has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.full_name} has no column {name}")


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Every table of an app's database that is not PostgreSQL's or an extension's own."""

    tables: Mapping[str, Table]

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables.values())

    def get(self, full_name: str) -> Table | None:
        """The table of that full name, if there is one."""
        return self.tables.get(full_name)

    @property
    def stored(self) -> tuple[Table, ...]:
        """The tables that hold an app's rows, each row once: no partitions (their parent shows them), none foreign."""
        return tuple(table for table in self if not table.partition and table.kind != "foreign")

    def without(self, names: Container[str]) -> "Catalog":
        """The same, but for some tables by their full names."""
        return Catalog(tables={name: table for name, table in self.tables.items() if name not in names})

    def with_access(self, role: str) -> tuple[Table, ...]:
        """The tables on which a role, or everybody, has any right."""
        return tuple(table for table in self if role in table.grants or "PUBLIC" in table.grants)


async def catalog_of(connection: psycopg.AsyncConnection) -> Catalog:
    """Read the facts of the database that the connection is open to.

    Raises:
        DatabaseError: the connection is lost or not privileged.
    """
    try:
        tables, keys, references = [await _objects(connection, query) for query in (_TABLES, _KEYS, _REFERENCES)]
    except psycopg.Error as error:
        raise translate(error, "reading the catalog") from error
    found: dict[str, Table] = {}
    for facts in tables:
        name = f"{facts['schema']}.{facts['name']}"
        own_keys = [key for key in keys if key["table"] == name and key["columns"]]
        found[name] = _table(facts, own_keys, [each for each in references if each["table"] == name])
    return Catalog(tables=dict(sorted(found.items())))


async def _objects(connection: psycopg.AsyncConnection, query: str) -> list[dict[str, Any]]:
    cursor = await connection.execute(query.encode())
    return [json.loads(text) for (text,) in await cursor.fetchall()]


def _table(facts: dict[str, Any], keys: list[dict[str, Any]], references: list[dict[str, Any]]) -> Table:
    grants: dict[str, set[str]] = {}
    for role, privilege in facts["grants"] or ():
        grants.setdefault(role, set()).add(privilege)
    return Table(
        schema=facts["schema"],
        name=facts["name"],
        kind=_KINDS[facts["kind"]],
        owner=facts["owner"],
        parent=facts["parent"],
        partition=facts["partition"],
        partition_key=tuple(facts["partition_key"] or ()),
        row_security=facts["row_security"],
        row_security_forced=facts["row_security_forced"],
        columns=tuple(Column(**column) for column in facts["columns"] or ()),
        primary_key=next((tuple(key["columns"]) for key in keys if key["primary"]), ()),
        unique=tuple(dict.fromkeys(tuple(key["columns"]) for key in keys)),
        foreign_keys=tuple(
            ForeignKey(
                columns=tuple(each["columns"]),
                target=each["target"],
                target_columns=tuple(each["target_columns"]),
                on_delete=_ON_DELETE[each["on_delete"]],
            )
            for each in references
        ),
        grants={role: frozenset(privileges) for role, privileges in sorted(grants.items())},
    )
