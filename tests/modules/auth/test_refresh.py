"""Refresh: one winner, one replay for who lost the answer, and the end of the session for a thief."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from modules.auth.house import Town
from sqlalchemy import select

from holdtrue.modules.auth.flows.sessions import hashed, revoke
from holdtrue.modules.auth.models import RefreshToken, Session

TENANT = UUID("00000000-0000-4000-8000-00000000000a")


async def renew(town: Town, token: str, **more: Any) -> httpx.Response:
    return await town.post("/auth/refresh", refresh_token=token, **more)


async def test_an_exchanged_token_gives_new_ones_that_work(town: Town) -> None:
    ada = await town.member("ada@example.test", TENANT)
    town.clock.forward(seconds=1)
    pair = (await renew(town, ada["refresh_token"])).json()
    assert pair["session_id"] == ada["session_id"]
    assert pair["refresh_token"] != ada["refresh_token"]
    assert (await town.get("/house", pair["access_token"])).json()["tenant"] == str(TENANT)


async def test_many_at_once_get_one_and_the_same_answer(town: Town) -> None:
    ada = await town.sign_up("ada@example.test")
    answers = await asyncio.gather(*(renew(town, ada["refresh_token"]) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    generations = await town.kit.sql("SELECT generation FROM auth_refresh_tokens ORDER BY generation")
    assert [row["generation"] for row in generations] == [0, 1]


@pytest.mark.parametrize("environ", [{"AUTH_GRACE_SECONDS": "0"}], indirect=True)
async def test_without_a_grace_window_of_many_at_once_one_wins_and_the_session_ends(town: Town) -> None:
    ada = await town.sign_up("ada@example.test")
    answers = await asyncio.gather(*(renew(town, ada["refresh_token"]) for _ in range(8)))
    winners = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(winners) == 1
    assert (await renew(town, winners[0]["refresh_token"])).status_code == 401


async def test_a_lost_answer_is_given_again_to_the_letter_within_the_window(town: Town) -> None:
    ada = await town.sign_up("ada@example.test")
    first = await renew(town, ada["refresh_token"])
    town.clock.forward(seconds=10)
    again = await renew(town, ada["refresh_token"])
    assert (again.status_code, again.text) == (200, first.text)


async def test_after_the_window_a_used_token_ends_the_session_and_that_is_kept_and_audited(town: Town) -> None:
    ada = await town.member("ada@example.test", TENANT)
    newest = (await renew(town, ada["refresh_token"])).json()
    town.clock.forward(seconds=11)
    refused = await renew(town, ada["refresh_token"])
    assert (refused.status_code, refused.json()["code"]) == (401, "auth.invalid_grant")
    assert (await renew(town, newest["refresh_token"])).status_code == 401
    (row,) = await town.audited("auth.refresh_token_reused")
    assert (row["tenant"], row["subject"]) == (TENANT, ada["session_id"])
    (session,) = await town.kit.sql("SELECT revoked_for FROM auth_sessions WHERE id = %s", UUID(ada["session_id"]))
    assert session["revoked_for"] == "reuse"


async def test_a_grandparent_ends_the_session_even_within_the_window(town: Town) -> None:
    ada = await town.sign_up("ada@example.test")
    second = (await renew(town, ada["refresh_token"])).json()
    third = (await renew(town, second["refresh_token"])).json()
    assert (await renew(town, ada["refresh_token"])).status_code == 401
    assert (await renew(town, third["refresh_token"])).status_code == 401


async def test_another_client_or_scope_is_refused_in_the_window_and_the_session_goes_on(town: Town) -> None:
    ada = await town.sign_up("ada@example.test")
    newest = (await renew(town, ada["refresh_token"])).json()
    for other in ({"client_id": "phone"}, {"scope": "house.read"}):
        assert (await renew(town, ada["refresh_token"], **other)).status_code == 401
    assert (await renew(town, newest["refresh_token"])).status_code == 200


async def test_a_token_of_another_client_is_not_used_up(town: Town) -> None:
    ada = await town.sign_up("ada@example.test", client_id="phone")
    assert (await renew(town, ada["refresh_token"], client_id="web")).status_code == 401
    assert (await renew(town, ada["refresh_token"], client_id="phone")).status_code == 200


async def test_a_scope_may_narrow_and_never_grow(town: Town) -> None:
    await town.member("ada@example.test", TENANT)
    pair = (await town.sign_in("ada@example.test", scope="house.read house.write")).json()
    grown = await renew(town, pair["refresh_token"], scope="house.read auth.keys")
    assert (grown.status_code, grown.json()["code"]) == (422, "auth.invalid_scope")
    narrowed = (await renew(town, pair["refresh_token"], scope="house.read")).json()
    assert (await town.get("/house", narrowed["access_token"])).status_code == 200
    assert (await town.post("/house", {"Authorization": f"Bearer {narrowed['access_token']}"})).status_code == 403
    whole = (await renew(town, narrowed["refresh_token"])).json()
    assert whole["scope"] == "house.read house.write"


async def test_refreshing_does_not_prolong_a_session_past_its_end(town: Town) -> None:
    token = (await town.sign_up("ada@example.test"))["refresh_token"]
    for _ in range(2):
        town.clock.forward(days=13)
        token = (await renew(town, token)).json()["refresh_token"]
    town.clock.forward(days=4)
    assert (await renew(town, token)).status_code == 401


async def test_a_session_that_nobody_refreshes_ends(town: Town) -> None:
    token = (await town.sign_up("ada@example.test"))["refresh_token"]
    town.clock.forward(days=14)
    assert (await renew(town, token)).status_code == 401


async def test_the_stored_answer_opens_only_with_the_token_it_answered(town: Town) -> None:
    ada = await town.sign_up("ada@example.test")
    newest = (await renew(town, ada["refresh_token"])).json()
    rows = await town.kit.sql("SELECT * FROM auth_refresh_tokens ORDER BY generation")
    assert newest["refresh_token"] not in str(rows)
    assert rows[0]["token_hash"] == hashed(ada["refresh_token"])
    # Whoever can write the table cannot make one token answer for another.
    bob = await town.sign_up("bob@example.test")
    await renew(town, bob["refresh_token"])
    await town.kit.sql(
        "UPDATE auth_refresh_tokens SET response = (SELECT response FROM auth_refresh_tokens WHERE token_hash = %s) "
        "WHERE token_hash = %s",
        hashed(bob["refresh_token"]),
        hashed(ada["refresh_token"]),
    )
    assert (await renew(town, ada["refresh_token"])).status_code == 500


async def test_a_session_ended_while_its_token_is_exchanged_is_not_renewed(town: Town) -> None:
    ada = await town.sign_up("ada@example.test")
    async with town.kit.unit() as unit:
        await revoke(unit, Session.id == UUID(ada["session_id"]), why="test")
        waiting = asyncio.create_task(renew(town, ada["refresh_token"]), context=Context())
        await town.waits_for_a_lock(waiting)
    assert (await waiting).status_code == 401
    async with town.kit.unit() as unit:
        assert await unit.session.scalar(select(RefreshToken.used_at)) is None


async def test_who_left_the_tenant_cannot_renew_a_session_for_it_nor_have_an_answer_again(town: Town) -> None:
    ada = await town.member("ada@example.test", TENANT)
    newest = (await renew(town, ada["refresh_token"])).json()
    await town.kit.sql("DELETE FROM house_members")
    assert (await renew(town, ada["refresh_token"])).status_code == 401
    assert (await renew(town, newest["refresh_token"])).status_code == 401


async def test_an_unknown_token_is_refused(town: Town) -> None:
    assert (await renew(town, str(uuid4()))).status_code == 401
