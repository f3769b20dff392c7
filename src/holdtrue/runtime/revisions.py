"""What a revision is written with: tables that are right by construction, and the rights of the two roles.

Every tenant table leads with ``tenant_id`` in its keys, so that a row can refer to rows of its own tenant only, and
forces row-level security, so that not even its owner is an exception.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

from holdtrue.runtime.faults import Fault

CRUD = "SELECT, INSERT, UPDATE, DELETE"
SEARCH_PATH = "SET search_path = pg_catalog, public, pg_temp"
"""Of every definer function: a caller's own objects must never be taken for ours (PostgreSQL, CREATE FUNCTION)."""

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def app_roles() -> tuple[str, ...]:
    """The roles that the app and its worker log in with, quoted."""
    attributes = _attributes()
    return tuple(dict.fromkeys((attributes["app_role"], attributes["worker_role"])))


def worker_role() -> str:
    """The role of the worker, quoted; the app's own, where it has none."""
    return str(_attributes()["worker_role"])


def _attributes() -> dict[str, Any]:
    config = op.get_context().config
    if config is None or "app_role" not in config.attributes:
        raise Fault(
            "MIGRATION_BY_HAND",
            "a revision runs without the roles it grants rights to",
            do='Migrate with "python -m holdtrue.assembly migrate".',
        )
    return config.attributes


def quoted(name: str) -> str:
    """A plain identifier in quotes.

    Raises:
        ValueError: it is not plain.
    """
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"{name!r} is not a plain lower-case identifier of PostgreSQL")
    return f'"{name}"'


def execute(sql: str) -> None:
    """Run SQL as it is, one statement or several: no parameters, and no colon or percent sign has a meaning."""
    op.get_bind().connection.cursor().execute(sql)


def tenant_table(
    name: str, *columns: SchemaItem, rights: str = CRUD, insert_columns: Sequence[str] = (), owner_reads: bool = False
) -> None:
    """A table whose every row belongs to one tenant: ``tenant_id``, ``id``, the columns, ``created_at``.

    With ``insert_columns`` only these can be inserted (append-only logs: the time is the database's). ``owner_reads``
    lets definer functions look across tenants.
    """
    op.create_table(
        name,
        sa.Column("tenant_id", sa.Uuid, primary_key=True, server_default=sa.text("current_tenant()")),
        sa.Column("id", sa.Uuid, primary_key=True),
        *columns,
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    isolate(name, "tenant_id = (SELECT current_tenant())", owner_reads=owner_reads)
    grant(name, rights, insert_columns=insert_columns)


def global_table(name: str, *columns: SchemaItem, rights: str = CRUD) -> None:
    """A table that belongs to no tenant: ``id``, the columns, ``created_at``. Its contract entry says why."""
    op.create_table(
        name,
        sa.Column("id", sa.Uuid, primary_key=True),
        *columns,
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    grant(name, rights)


def isolate(name: str, own: str, *, owner_reads: bool = False) -> None:
    """Force row-level security: only rows for which ``own`` holds are seen or written."""
    execute(f"ALTER TABLE {quoted(name)} ENABLE ROW LEVEL SECURITY")
    execute(f"ALTER TABLE {quoted(name)} FORCE ROW LEVEL SECURITY")
    execute(f"CREATE POLICY own_tenant ON {quoted(name)} USING ({own}) WITH CHECK ({own})")
    if owner_reads:
        execute(f"CREATE POLICY definer ON {quoted(name)} TO CURRENT_USER USING (true) WITH CHECK (true)")


def grant(name: str, rights: str = CRUD, *, insert_columns: Sequence[str] = ()) -> None:
    """Give the app's roles these rights on a table, and no other."""
    for role in app_roles():
        if rights:
            execute(f"GRANT {rights} ON {quoted(name)} TO {role}")
        if insert_columns:
            execute(f"GRANT INSERT ({', '.join(map(quoted, insert_columns))}) ON {quoted(name)} TO {role}")


def drop_table(name: str) -> None:
    """Drop a table, its policies and its indexes."""
    op.drop_table(name)


def within_tenant(column: str, table: str, **options: Any) -> sa.ForeignKeyConstraint:
    """A reference to a row of the same tenant. A single-column key could point into another tenant."""
    return sa.ForeignKeyConstraint(["tenant_id", column], [f"{table}.tenant_id", f"{table}.id"], **options)


def index(table: str, *columns: str, unique: bool = False, where: str | None = None) -> None:
    """An index that leads with ``tenant_id``, as every query under row-level security does."""
    name = f"{table}_{'_'.join(columns)}"
    condition = None if where is None else sa.text(where)
    op.create_index(name, table, ["tenant_id", *columns], unique=unique, postgresql_where=condition)


def definer_function(
    signature: str, returns: str, body: str, *, language: str = "sql", options: str = "STABLE"
) -> None:
    """A narrow function that runs as the owner, for the app's roles alone."""
    execute(
        f"CREATE FUNCTION {signature} RETURNS {returns} LANGUAGE {language} {options} SECURITY DEFINER {SEARCH_PATH} "
        f"AS $body$ {body} $body$"
    )
    execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
    for role in app_roles():
        execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {role}")


def tenant_lookup(table: str, column: str) -> None:
    """``<table>_tenant(text) → uuid``: whose row has this value, for work that starts without a tenant.

    The table needs ``owner_reads=True``, and a unique index on the column alone. It tells the tenant and nothing else.
    """
    body = f"SELECT tenant_id FROM public.{quoted(table)} WHERE {quoted(column)}::text = wanted"  # noqa: S608
    definer_function(f"{table}_tenant(wanted text)", "uuid", body)


def drop_function(signature: str) -> None:
    """Drop a function, named with its argument types: ``orders_tenant(text)``."""
    execute(f"DROP FUNCTION {signature}")
