"""A new password: the link goes where it should, works once, and ends what the old password began."""

from __future__ import annotations

import asyncio
from contextvars import Context
from uuid import UUID

from modules.auth.house import PASSWORD, SITE, Town, bearer
from sqlalchemy import text

TENANT = UUID("00000000-0000-4000-8000-00000000000a")
NEW = "another long password"


async def test_a_reset_ends_every_session_and_the_old_password_and_tells_the_person(town: Town) -> None:
    ada = await town.member("ada@example.test", TENANT)
    await town.post("/auth/forgot", email="ada@example.test")
    token = await town.link_token("ada@example.test")
    assert (await town.post("/auth/reset", token=token, password=NEW)).status_code == 204
    assert (await town.post("/auth/refresh", refresh_token=ada["refresh_token"])).status_code == 401
    assert (await town.get("/house/vault", ada["access_token"])).status_code == 401
    assert (await town.sign_in("ada@example.test")).status_code == 401
    assert (await town.sign_in("ada@example.test", NEW)).status_code == 200
    assert (await town.mails("ada@example.test"))[-1]["template"] == "auth.changed"
    assert [row["details"]["by"] for row in await town.audited("auth.password_changed")] == ["reset"]


async def test_a_host_header_does_not_lead_the_link_astray(town: Town) -> None:
    await town.sign_up("ada@example.test")
    evil = {
        "Host": "evil.test",
        "X-Forwarded-Host": "evil.test",
        "Forwarded": "host=evil.test",
        "Origin": "//evil.test",
    }
    await town.post("/auth/forgot", evil, email="ada@example.test")
    link = (await town.mails("ada@example.test"))[-1]["payload"]["link"]
    # In the fragment the token reaches no server, no log and no referrer.
    assert link.startswith(f"{SITE}/reset#token=")


async def test_a_reset_link_works_once_expires_and_takes_the_others_along(town: Town) -> None:
    await town.sign_up("ada@example.test")
    tokens = []
    for _ in range(3):
        await town.post("/auth/forgot", email="ada@example.test")
        tokens.append(await town.link_token("ada@example.test"))
    both = await asyncio.gather(*(town.post("/auth/reset", token=tokens[0], password=NEW) for _ in range(2)))
    assert sorted(answer.status_code for answer in both) == [204, 400]
    assert (await town.post("/auth/reset", token=tokens[1], password=NEW)).status_code == 400
    await town.post("/auth/forgot", email="ada@example.test")
    late = await town.link_token("ada@example.test")
    town.clock.forward(minutes=20)
    assert (await town.post("/auth/reset", token=late, password=NEW)).status_code == 400


async def test_a_sign_in_under_way_with_the_old_password_does_not_outlive_the_reset(town: Town) -> None:
    await town.sign_up("ada@example.test")
    await town.post("/auth/forgot", email="ada@example.test")
    token = await town.link_token("ada@example.test")
    async with town.kit.unit() as unit:
        # The sign-in gets as far as the question for its tenant; the reset must not overtake it.
        await unit.session.execute(text("LOCK TABLE house_members IN ACCESS EXCLUSIVE MODE"))
        entering = asyncio.create_task(town.sign_in("ada@example.test"), context=Context())
        await town.waits_for_a_lock(entering)
        reset = town.post("/auth/reset", token=token, password=NEW)
        resetting = asyncio.create_task(reset, context=Context())
        await town.waits_for_a_lock(resetting, sessions=2)
    assert [(await entering).status_code, (await resetting).status_code] == [200, 204]
    assert await town.kit.sql("SELECT id FROM auth_sessions WHERE revoked_at IS NULL") == []


async def test_a_change_needs_the_current_password_and_ends_the_other_sessions(town: Town) -> None:
    ada = await town.member("ada@example.test", TENANT)
    other = (await town.sign_in("ada@example.test")).json()
    here = bearer(ada["access_token"])
    assert (await town.post("/auth/password", here, current="wrong", new=NEW)).status_code == 401
    assert (await town.post("/auth/password", here, current=PASSWORD, new="short")).status_code == 422
    assert (await town.post("/auth/password", here, current=PASSWORD, new=NEW)).status_code == 204
    assert (await town.post("/auth/refresh", refresh_token=other["refresh_token"])).status_code == 401
    assert (await town.post("/auth/refresh", refresh_token=ada["refresh_token"])).status_code == 200
    (row,) = await town.audited("auth.password_changed")
    assert (row["tenant"], row["principal"]) == (TENANT, ada["user_id"])
