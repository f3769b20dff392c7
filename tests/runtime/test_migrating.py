"""Revisions of several modules in one order, one run at a time, and back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest
from tower.deployed import assembly as deployed

from holdtrue.assembly.testing import Postgres
from holdtrue.runtime import Fault
from holdtrue.runtime.migrating import Migrations

TESTS = Path(__file__).parents[1]
CATALOGUE = """
    SELECT 'relation', relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND relname NOT LIKE 'alembic_version%'
    UNION ALL SELECT 'function', proname::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'public'
    UNION ALL SELECT 'type', typname::text FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname = 'public' AND typname NOT LIKE '%alembic_version%'
    UNION ALL SELECT 'policy', policyname::text FROM pg_policies ORDER BY 1, 2"""


def catalogue(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        return connection.execute(CATALOGUE).fetchall()


def test_up_down_and_up_again_leaves_the_same_and_down_leaves_nothing(postgres: Postgres) -> None:
    urls, migrations = postgres.create(), deployed.migrations
    order = [each.revision for each in migrations.order]
    assert migrations.upgrade(urls.owner, urls.app) == order
    assert frozenset(migrations.versions(urls.owner)) == migrations.heads == {"notes_0001", "doors_0001"}
    head = catalogue(urls.superuser)
    assert migrations.downgrade(urls.owner, urls.app, steps=1) == order[-1:]
    assert migrations.upgrade(urls.owner, urls.app) == order[-1:]
    assert catalogue(urls.superuser) == head
    assert migrations.downgrade(urls.owner, urls.app, steps=None) == order[::-1]
    assert catalogue(urls.superuser) == []
    assert migrations.upgrade(urls.owner, urls.app, steps=1) == ["runtime_0001"]
    assert migrations.upgrade(urls.owner, urls.app) == order[1:]
    assert catalogue(urls.superuser) == head
    postgres.drop(urls)


def test_two_runs_at_once_apply_everything_once(postgres: Postgres) -> None:
    urls = postgres.create()
    with ThreadPoolExecutor() as threads:
        folders = [TESTS / "tower" / "notes_migrations"]
        runs = [threads.submit(Migrations(folders).upgrade, urls.owner, urls.app) for _ in range(2)]
    assert sorted(run.result() for run in runs) == [[], ["runtime_0001", "notes_0001"]]
    postgres.drop(urls)


def test_a_database_that_is_ahead_is_refused(postgres: Postgres) -> None:
    urls = postgres.migrated(deployed.migrations)
    with pytest.raises(Fault, match=r"SCHEMA_AHEAD.*notes_0001"):
        Migrations().upgrade(urls.owner, urls.app)
    postgres.drop(urls)


def test_the_owner_must_not_be_the_apps_role(postgres: Postgres) -> None:
    urls = postgres.urls("postgres")
    with pytest.raises(Fault, match="OWNER_IS_APP"):
        deployed.migrations.upgrade(urls.owner, urls.owner)


def test_the_vendored_schema_is_that_of_the_installed_procrastinate() -> None:
    """A newer one needs a revision of its own, with its migrations."""
    vendored = (files("holdtrue.runtime.migrations") / "sql" / "procrastinate_3_10.sql").read_text(encoding="utf-8")
    installed = (files("procrastinate") / "sql" / "schema.sql").read_text(encoding="utf-8")
    assert vendored.partition("\n\n")[2] == installed, version("procrastinate")


async def test_the_app_role_can_neither_change_the_audit_log_nor_the_schema(postgres: Postgres) -> None:
    urls = postgres.migrated(deployed.migrations)
    async with await psycopg.AsyncConnection.connect(urls.app, autocommit=True) as connection:
        for forbidden in (
            "UPDATE doors_audit SET action = 'x'",
            "DELETE FROM doors_audit",
            "TRUNCATE notes",
            "ALTER TABLE notes NO FORCE ROW LEVEL SECURITY",
            "CREATE TABLE own (id int)",
            "DELETE FROM holdtrue_outbox",
            "SELECT * FROM procrastinate_jobs",
            "INSERT INTO doors_audit (tenant_id, id, created_at) VALUES (gen_random_uuid(), gen_random_uuid(), now())",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(forbidden.encode())
    postgres.drop(urls)


async def test_a_column_of_another_tenants_row_cannot_be_referred_to(postgres: Postgres) -> None:
    """``within_tenant`` makes the key composite; a single-column key would take the row of B for one of A."""
    urls = postgres.migrated(Migrations([TESTS / "tower" / "notes_migrations"]))
    async with await psycopg.AsyncConnection.connect(urls.superuser, autocommit=True) as connection:
        await connection.execute("""
            CREATE TABLE lines (tenant_id uuid, id uuid, note_id uuid, PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, note_id) REFERENCES notes (tenant_id, id))""")
        await connection.execute("INSERT INTO notes VALUES (gen_random_uuid(), %s, 'of B')", [uuid.UUID(int=1)])
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            await connection.execute(
                "INSERT INTO lines VALUES (gen_random_uuid(), gen_random_uuid(), %s)", [uuid.UUID(int=1)]
            )
    postgres.drop(urls)


@pytest.mark.parametrize(("arguments", "applied"), [((), 3), (("--down", "1"), 1)])
async def test_the_command_line_moves_the_schema(postgres: Postgres, arguments: tuple[str, ...], applied: int) -> None:
    urls = postgres.migrated(deployed.migrations) if arguments else postgres.create()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "holdtrue.assembly", "migrate", "tower.deployed:assembly", *arguments),
        env={"PYTHONPATH": str(TESTS), "DATABASE_OWNER_URL": urls.owner, "DATABASE_URL": urls.app},
        stdout=subprocess.PIPE,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    assert len(told.decode().splitlines()) == applied
    postgres.drop(urls)
