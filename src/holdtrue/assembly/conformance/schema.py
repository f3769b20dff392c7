"""A module's migrations on a real PostgreSQL, and whether each of its tables is as its contract says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from sqlalchemy.exc import DBAPIError

from holdtrue.assembly.conformance.subject import Subject
from holdtrue.assembly.testing import Postgres
from holdtrue.assembly.testing.postgres import Urls
from holdtrue.contract import Table
from holdtrue.runtime import Fault
from holdtrue.runtime.migrating import Migrations

Dump = frozenset[tuple[str, str]]
"""What there is, and how it is defined."""

_SCHEMA = """
SELECT 'table ' || oid::regclass,
    concat_ws(' ', relkind, relrowsecurity, relforcerowsecurity, pg_get_userbyid(relowner), relacl::text)
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
UNION ALL
SELECT 'column ' || attrelid::regclass || '.' || attname,
    concat_ws(' ', format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attacl::text)
  FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid AND relnamespace = 'public'::regnamespace
  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
  WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'v', 'm')
UNION ALL
SELECT 'constraint ' || conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
UNION ALL
SELECT 'index ' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'policy ' || tablename || '.' || policyname, concat_ws(' ', permissive, roles::text, cmd, qual, with_check)
  FROM pg_policies WHERE schemaname = 'public'
UNION ALL
SELECT 'trigger ' || tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'function ' || oid::regprocedure, pg_get_functiondef(oid) || coalesce(proacl::text, '')
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind IN ('f', 'p')
UNION ALL
SELECT 'type ' || oid::regtype, typtype::text
  FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd', 'r')
"""
_KEYS = """
SELECT conname, contype::text, confrelid::regclass::text,
    (SELECT array_agg(attname ORDER BY at) FROM unnest(conkey) WITH ORDINALITY AS k (number, at)
     JOIN pg_attribute ON attrelid = conrelid AND attnum = number)
  FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype IN ('p', 'f')
"""
_TABLE = """
SELECT relrowsecurity AND relforcerowsecurity, pg_get_userbyid(relowner),
    (SELECT count(*) FROM pg_policies WHERE schemaname = 'public' AND tablename = relname),
    (SELECT attnotnull FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = %s AND NOT attisdropped)
  FROM pg_class WHERE oid = to_regclass(%s)
"""


def schema(subject: Subject) -> Iterator[Fault]:
    """What is wrong with its migrations and its tables."""
    if subject.module.migrations is None:
        if subject.module.contract.tables:
            yield Fault("NO_MIGRATIONS", f"{subject.name} declares tables and has no migrations")
        return
    with Postgres.start() as postgres:
        urls, others, whole = postgres.create(), subject.migrations(whole=False), subject.migrations(whole=True)
        own = [each.revision for each in whole.order if not others.knows(each.revision)]
        if strangers := [each for each in own if not each.startswith(f"{subject.name}_")]:
            yield Fault(
                "REVISION_NAME",
                f"{subject.name} has revisions named {', '.join(strangers)}",
                why="Two modules with one revision id could not be composed.",
                do=f'Name them "{subject.name}_0001" and so on.',
            )
        _up(others, urls)
        before = _dump(urls)
        _up(whole, urls)
        up = _dump(urls)
        yield from _tables(subject, urls, {name.removeprefix("table ") for name, _ in up - before if _is_table(name)})
        try:
            _down(whole, urls, set(own))
            _up(others, urls)
            if left := _difference(before, _dump(urls)):
                yield _way_down(subject, f"leaves: {left}")
            _up(whole, urls)
        except (psycopg.Error, DBAPIError) as error:
            yield _way_down(subject, f"fails, or leads to where up fails: {str(error).splitlines()[0]}")
            return
        if left := _difference(up, _dump(urls)):
            yield _way_down(subject, f"does not lead up again to the same: {left}")


def _is_table(name: str) -> bool:
    return name.startswith("table ") and not name.endswith("_seq")


def _way_down(subject: Subject, what: str) -> Fault:
    return Fault(
        "WAY_DOWN",
        f"the way down of {subject.name}'s migrations {what}",
        why="A roll-back at night ends in a schema that nobody knows.",
        do="Undo in downgrade() all that upgrade() does, the last thing first.",
    )


def _up(migrations: Migrations, urls: Urls) -> None:
    migrations.upgrade(urls.owner, urls.app, worker_url=urls.worker)


def _down(migrations: Migrations, urls: Urls, own: set[str]) -> None:
    """Until none of the module's own is left; others may stand above one of them."""
    left = set(own)
    while left:
        undone = migrations.downgrade(urls.owner, urls.app, worker_url=urls.worker, steps=1)
        left -= set(undone)
        if not undone:
            break


def _rows(urls: Urls, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(urls.superuser, autocommit=True, row_factory=tuple_row) as connection:
        return connection.execute(query.encode(), values or None).fetchall()


def _dump(urls: Urls) -> Dump:
    return frozenset((name, definition) for name, definition in _rows(urls, _SCHEMA) if "alembic_version" not in name)


def _difference(wanted: Dump, found: Dump) -> str:
    names = sorted({name for name, _ in wanted ^ found})
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _tables(subject: Subject, urls: Urls, created: set[str]) -> Iterator[Fault]:
    declared = {each.name: each for each in subject.module.contract.tables}
    for name in sorted(created - declared.keys()):
        yield Fault(
            "TABLE_WITHOUT_DECISION",
            f"{subject.name} creates the table {name} without a tenant decision",
            why="A table that nobody decided about is where one tenant reads another's rows.",
            do=f'Add Table(name="{name}") to the contract, or global_table("{name}", "why").',
        )
    for name in sorted(declared.keys() - created):
        yield Fault("TABLE_MISSING", f"{subject.name} declares the table {name}, and no migration creates it")
    tenant = {name: each.tenant for name, each in declared.items() if each.tenant}
    for name in sorted(tenant.keys() & created):
        yield from _tenant_table(urls, declared[name], tenant)


def _tenant_table(urls: Urls, table: Table, tenant: dict[str, str]) -> Iterator[Fault]:
    name, column = table.name, table.tenant
    ((secured, owner, policies, required),) = _rows(urls, _TABLE, column, name)
    if required is None:
        yield Fault("NO_TENANT_COLUMN", f"{name} has no column {column}")
        return
    if not (secured and policies and required):
        yield Fault(
            "TABLE_NOT_ISOLATED",
            f"{name}: row-level security is not forced, has no policy, or {column} may be NULL",
            why="One forgotten condition in a query would show every tenant's rows.",
            do="Create it with tenant_table(…) of holdtrue.runtime.revisions.",
        )
    if owner in ("tower_app", "tower_worker"):
        yield Fault("TABLE_OF_THE_APP", f"{name} belongs to {owner}", do="Create it as the owner, in a migration.")
    for constraint, kind, target, columns in _rows(urls, _KEYS, name):
        if kind == "p" and columns[0] != column:
            yield Fault(
                "TABLE_NOT_BY_TENANT",
                f"the primary key of {name} does not lead with {column}",
                why="References to it could point into another tenant.",
                do="Create it with tenant_table(…).",
            )
        if kind == "f" and target in tenant and column not in columns:
            yield Fault(
                "REFERENCE_ACROSS_TENANTS",
                f"{name}.{constraint} refers to {target} without {column}",
                why="A row could refer to one of another tenant.",
                do=f'Use within_tenant("{columns[-1]}", "{target}").',
            )
