"""What is refused before a process serves: settings, roles, schemas; and what readiness says."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from pydantic import Field
from tower.deployed import assembly as deployed
from tower.notes import Notes

from holdtrue.assembly import compose
from holdtrue.assembly.testing import Doors, Kit, Postgres, running
from holdtrue.runtime import Fault, Faults, ModuleSettings, SecretKey, prefix
from holdtrue.runtime.settings import RuntimeSettings, load, variables
from holdtrue.runtime.web.app import build_app

A = UUID(int=0xA)
TESTS = Path(__file__).parents[1]
URL = "postgresql://app@db.test/app"


class Keys(ModuleSettings):
    model_config = prefix("KEYS_")
    signing: SecretKey
    days: int = Field(default=7, ge=1)
    issuer: str = Field(validation_alias="ISSUER_URL")


def codes(faults: Faults) -> list[str]:
    return [f"{fault.code} {fault.seen.partition(' ')[0].rstrip(':')}" for fault in faults.faults]


def test_everything_that_is_wrong_with_the_settings_is_said_at_once() -> None:
    environ = {"DATABASE_URL": "mysql://x", "KEYS_SIGNING": "changeme", "KEYS_DAYZ": "3", "HOLDTRUE_POOL_SIZE": "many"}
    with pytest.raises(Faults) as refused:
        load((RuntimeSettings, Keys), environ)
    assert codes(refused.value) == [
        "SETTING_WRONG DATABASE_URL",
        "SETTING_WRONG HOLDTRUE_POOL_SIZE",
        "SETTING_UNKNOWN KEYS_DAYZ",
        "SETTING_WRONG KEYS_SIGNING",
        "SETTING_MISSING ISSUER_URL",
    ]
    assert "changeme" not in str(refused.value)


@pytest.mark.parametrize("weak", ["short", "a" * 64, "change-me-" * 5, "abcabcabc" * 5])
def test_a_weak_key_is_refused(weak: str) -> None:
    with pytest.raises(Faults, match="SETTING_WRONG: KEYS_SIGNING"):
        load((Keys,), {"KEYS_SIGNING": weak, "ISSUER_URL": "https://i.test"})


def test_right_settings_are_read_from_what_is_given_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS_DAYS", "30")
    strong = "kJ8sQ2mZ0vX4pL7rT1yU6bN3wE5hG9dC"
    keys = load((Keys,), {"KEYS_SIGNING": strong, "ISSUER_URL": "https://i.test"})[Keys]
    assert (keys.days, keys.issuer, keys.signing.get_secret_value()) == (7, "https://i.test", strong)
    assert strong not in repr(keys)


def test_the_variables_of_settings_can_be_listed() -> None:
    assert variables(Keys) == {"KEYS_SIGNING": True, "KEYS_DAYS": False, "ISSUER_URL": True}


@pytest.mark.parametrize(
    ("role", "power"), [("superuser", "is a superuser"), ("owner", "owns tables")], ids=["superuser", "owner"]
)
async def test_a_role_that_could_step_around_isolation_is_refused(postgres: Postgres, role: str, power: str) -> None:
    assembly = compose(Notes(), Doors())
    urls = postgres.migrated(assembly.migrations)
    app = build_app(assembly.blueprint, {"DATABASE_URL": getattr(urls, role)})
    with pytest.raises(Fault, match=f"ROLE_TOO_POWERFUL.*{power}"):
        async with app.router.lifespan_context(app):
            pass
    postgres.drop(urls)


async def test_a_member_of_the_owner_is_refused_too(kit: Kit) -> None:
    await kit.sql("GRANT tower_owner TO tower_app")
    try:
        with pytest.raises(Fault, match="ROLE_TOO_POWERFUL"):
            await kit.process.health.refuse_powerful_role()
    finally:
        await kit.sql("REVOKE tower_owner FROM tower_app")
    await kit.process.health.refuse_powerful_role()


async def test_a_worker_that_may_not_start_says_why_in_words() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "holdtrue.assembly", "worker", "tower.deployed:assembly"),
        env={"PYTHONPATH": str(TESTS), "PATH": os.environ["PATH"], "NOTES_SERCH_URL": "x"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 3
    assert "SETTING_MISSING: DATABASE_URL is not set" in errors.decode()
    assert "SETTING_UNKNOWN: NOTES_SERCH_URL" in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_a_ready_app_says_so_and_whether_a_worker_was_heard_of(kit: Kit) -> None:
    assert (await kit.client.get("/health/live")).json() == {"status": "live"}
    assert (await kit.client.get("/health/ready")).json() == {"status": "ready", "worker": "silent"}
    await kit.sql("INSERT INTO procrastinate_workers DEFAULT VALUES")
    assert (await kit.client.get("/health/ready")).json() == {"status": "ready", "worker": "heard of"}


async def test_an_unmigrated_database_is_not_served_and_then_is(postgres: Postgres) -> None:
    urls = postgres.create()
    app = build_app(deployed.blueprint, {"DATABASE_URL": urls.app})
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://app.test") as client,
    ):
        assert (await client.get("/health/live")).status_code == 200
        for path in ("/health/ready", "/notes/about"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        deployed.migrations.upgrade(urls.owner, urls.app)
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.get("/notes/about")).status_code == 200
    postgres.drop(urls)


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        ("UPDATE alembic_version SET version_num = 'notes_0009' WHERE version_num = 'notes_0001'", "ahead"),
        ("DELETE FROM alembic_version WHERE version_num = 'notes_0001'", "behind"),
        ("ALTER TABLE notes DROP COLUMN title", "not that of this release"),
        ("REVOKE SELECT ON notes FROM tower_app", "not that of this release"),
    ],
)
async def test_a_schema_that_is_not_the_codes_is_not_served(kit: Kit, change: str, trouble: str) -> None:
    await kit.sql(change)
    answer = await kit.client.get("/health/ready")
    assert answer.status_code == 503
    assert trouble in answer.json()["detail"]


async def test_the_log_says_which_column_the_database_lacks(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    await kit.sql("ALTER TABLE notes DROP COLUMN title")
    assert "notes" not in (await kit.client.get("/health/ready")).text  # which anybody may read
    assert "not ready: column notes.title does not exist" in caplog.messages


async def test_a_database_that_is_gone_is_told_and_not_a_crash(postgres: Postgres) -> None:
    async with running(compose(Notes(), Doors()), postgres) as kit:
        assert (await kit.client.get("/health/ready")).status_code == 200
        postgres.drop(kit.urls)
        answer = await kit.client.get("/health/ready")
        assert (answer.status_code, answer.json()["detail"]) == (503, "The database does not answer.")
        assert (await kit.client.get("/health/live")).status_code == 200
        headers = {"X-Principal": "ann", "X-Tenant": str(A), "X-Permissions": "notes.read"}
        assert (await kit.client.get("/notes", headers=headers)).status_code == 503


async def test_a_connection_that_idled_and_broke_is_replaced_unnoticed(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdtrue.runtime.database.IDLE_SECONDS", 0.0)
    headers = {"X-Principal": "ann", "X-Tenant": str(A), "X-Permissions": "notes.read"}
    assert (await kit.client.get("/notes", headers=headers)).status_code == 200
    await kit.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tower_app'")
    assert (await kit.client.get("/notes", headers=headers)).status_code == 200


async def test_a_connection_that_broke_in_use_is_told_once_and_replaced(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdtrue.runtime.database.IDLE_SECONDS", 3600.0)
    headers = {"X-Principal": "ann", "X-Tenant": str(A), "X-Permissions": "notes.read"}
    assert (await kit.client.get("/notes", headers=headers)).status_code == 200
    await kit.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tower_app'")
    assert [(await kit.client.get("/notes", headers=headers)).status_code for _ in range(2)] == [503, 200]
