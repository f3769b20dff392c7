"""Signing keys: published before they sign, verified after they signed, gone at once when they leaked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from joserfc import jws
from modules.auth.house import ENVIRON, SECRET, FakeClock, House, Town

from holdtrue.assembly import Assembly, compose
from holdtrue.assembly.testing import Postgres, running
from holdtrue.contract import Job
from holdtrue.modules.auth import EXTRA_CLAIMS, Auth, ExtraClaims, revoke_signing_key
from holdtrue.modules.auth.contract import REVOKE_KEYS, ROTATE_KEYS, TIDY
from holdtrue.modules.auth.payloads import Nothing
from holdtrue.modules.auth.ports import KEY_MEMORY
from holdtrue.runtime import UnitOfWork


def kid(token: str) -> str:
    return str(jws.extract_compact(token.encode()).headers()["kid"])


async def published(town: Town) -> list[str]:
    answer = await town.kit.client.get("/.well-known/jwks.json")
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    keys: list[dict[str, Any]] = answer.json()["keys"]
    assert all(set(key) == {"kty", "n", "e", "kid", "use", "alg"} for key in keys)
    return [key["kid"] for key in keys]


async def rotate(town: Town, job: Job[Nothing] = ROTATE_KEYS) -> None:
    async with town.kit.unit() as unit:
        await unit.enqueue(job, Nothing())
    await town.kit.work()


async def renewed(town: Town, pair: dict[str, Any]) -> dict[str, Any]:
    answer = await town.post("/auth/refresh", refresh_token=pair["refresh_token"])
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_key_is_published_before_it_signs_and_verified_after_it_signed(town: Town) -> None:
    first = await town.sign_up("ada@example.test")
    (old,) = await published(town)
    town.clock.forward(days=10)
    first = await renewed(town, first)
    town.clock.forward(days=10)
    first = await renewed(town, first)
    await rotate(town)
    assert await published(town) == [old]
    town.clock.forward(days=9, hours=23, minutes=59)
    pair = await town.sign_up("bob@example.test")
    town.clock.forward(minutes=1)
    await rotate(town)
    await rotate(town)
    _, new = await published(town)
    town.clock.forward(seconds=299)
    pair = await renewed(town, pair)
    assert kid(pair["access_token"]) == old
    town.clock.forward(seconds=1)
    after = await renewed(town, pair)
    assert kid(after["access_token"]) == new
    town.clock.forward(seconds=250)
    assert (await town.get("/house/me", pair["access_token"])).status_code == 200
    assert await published(town) == [old, new]
    town.clock.forward(seconds=70)
    assert await published(town) == [new]


async def test_a_revoked_key_opens_nothing_and_its_successor_signs_at_once(town: Town) -> None:
    pair = await town.sign_up("ada@example.test")
    (old,) = await published(town)
    assert (await town.get("/house/me", pair["access_token"])).status_code == 200
    async with town.kit.unit() as unit:
        await revoke_signing_key(unit, UUID(old))
    # This process knows at once.
    assert (await town.get("/house/me", pair["access_token"])).status_code == 401
    (new,) = await published(town)
    after = await renewed(town, pair)
    assert kid(after["access_token"]) == new != old
    assert (await town.get("/house/me", after["access_token"])).status_code == 200
    (row,) = await town.kit.sql("SELECT sealed FROM auth_signing_keys WHERE revoked_at IS NOT NULL")
    assert row["sealed"] is None
    assert [row["subject"] for row in await town.audited("auth.signing_key_revoked")] == [old]


async def test_a_published_successor_takes_over_when_its_predecessor_is_revoked(town: Town) -> None:
    await town.sign_up("ada@example.test")
    town.clock.forward(days=31)
    await rotate(town)
    old, new = await published(town)
    async with town.kit.unit() as unit:
        await revoke_signing_key(unit, UUID(old))
    assert await published(town) == [new]
    assert kid((await town.sign_in("ada@example.test")).json()["access_token"]) == new


async def test_an_operator_revokes_all_keys_the_published_successor_too(town: Town) -> None:
    await town.sign_up("ada@example.test")
    town.clock.forward(days=30, seconds=-1)
    pair = await town.sign_up("bob@example.test")
    town.clock.forward(seconds=1)
    await rotate(town)
    before = await published(town)
    assert len(before) == 2
    assert (await town.get("/house/me", pair["access_token"])).status_code == 200
    await rotate(town, REVOKE_KEYS)
    # It was done by the worker; this is the longest that another process goes on believing the old key.
    town.clock.forward(seconds=KEY_MEMORY.total_seconds())
    assert (await town.get("/house/me", pair["access_token"])).status_code == 401
    (new,) = await published(town)
    assert new not in before
    assert kid((await renewed(town, pair))["access_token"]) == new


async def test_private_keys_lie_encrypted_and_open_with_the_previous_secret_too(
    town: Town, assembly: Assembly, postgres: Postgres
) -> None:
    await town.sign_up("ada@example.test")
    (row,) = await town.kit.sql("SELECT public, sealed FROM auth_signing_keys")
    assert '"d"' not in str(row)
    assert len(row["sealed"].split(".")) == 5
    successor = "aP9sLq2Zr7Vx4Nc8Tb1Ym6Wd3Kf5Hg0J-" + "UeRoQi"
    environ = ENVIRON | {"AUTH_SECRET_KEY": successor, "AUTH_PREVIOUS_SECRET_KEYS": f'["{SECRET}"]'}
    app = assembly.blueprint.open(environ | {"DATABASE_URL": town.kit.urls.app})
    from holdtrue.modules.auth.flows.signing_keys import signing_key
    from holdtrue.runtime.context import Context

    async with app as process, process.services.unit(Context(request_id="test")) as unit:
        assert str((await signing_key(unit)).kid) == row["public"]["kid"]


async def add_plan(unit: UnitOfWork, asked: ExtraClaims) -> ExtraClaims:
    return asked.model_copy(update={"extra": {"plan": "gold"}})


async def claim_tenant(unit: UnitOfWork, asked: ExtraClaims) -> ExtraClaims:
    return asked.model_copy(update={"extra": {"tenant": "everybody"}})


@pytest.fixture
async def generous(postgres: Postgres, clock: FakeClock) -> AsyncIterator[Town]:
    assembly = compose(House(), Auth(), bindings=[EXTRA_CLAIMS.bind(add_plan)])
    async with running(assembly, postgres, environ=ENVIRON, clock=clock) as kit:
        yield Town(kit=kit, clock=clock)


@pytest.fixture
async def greedy(postgres: Postgres, clock: FakeClock) -> AsyncIterator[Town]:
    assembly = compose(House(), Auth(), bindings=[EXTRA_CLAIMS.bind(claim_tenant)])
    async with running(assembly, postgres, environ=ENVIRON, clock=clock) as kit:
        yield Town(kit=kit, clock=clock)


async def test_a_hook_adds_a_claim(generous: Town) -> None:
    pair = await generous.sign_up("ada@example.test")
    payload = jws.extract_compact(pair["access_token"].encode()).payload
    assert b'"plan":"gold"' in payload


async def test_a_hook_that_sets_a_registered_claim_is_a_fault_and_nothing_is_kept(greedy: Town) -> None:
    await greedy.post("/auth/sign-up", email="ada@example.test")
    token = await greedy.link_token("ada@example.test")
    answer = await greedy.post("/auth/sign-up/complete", token=token, password="a long enough password")
    assert answer.status_code == 500
    assert await greedy.kit.sql("SELECT id FROM auth_users") == []


async def test_what_has_expired_is_forgotten(town: Town) -> None:
    person = await town.sign_up("ada@example.test")
    await town.post("/auth/refresh", refresh_token=person["refresh_token"])
    await town.post("/auth/forgot", email="nobody@example.test")
    town.clock.forward(minutes=1)
    for days in (0, 32):
        town.clock.forward(days=days)
        await rotate(town, TIDY)
        assert await town.kit.sql("SELECT id FROM auth_refresh_tokens WHERE response IS NOT NULL") == []
    for table in ("auth_sessions", "auth_refresh_tokens", "auth_links", "auth_counters"):
        assert await town.kit.sql(f"SELECT 1 FROM {table}") == []
