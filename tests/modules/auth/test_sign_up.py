"""Sign-up: an address is proved first, and nobody learns whether it is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from modules.auth.house import ENVIRON, PASSWORD, FakeClock, House, Town, bearer

from holdtrue.assembly import compose
from holdtrue.assembly.testing import Postgres, running
from holdtrue.modules.auth import SIGN_UP_ASKED, SIGNING_UP, Auth, SigningUp, SignUpAsked, email_of
from holdtrue.modules.auth.errors import InvalidLink
from holdtrue.modules.auth.flows.links import look_at
from holdtrue.runtime import Forbidden, UnitOfWork

TENANT = uuid4()


async def test_whoever_holds_the_mailed_link_becomes_a_user_and_is_signed_in(town: Town) -> None:
    person = await town.sign_up("Ada@Example.test ")
    me = await town.get("/house/me", person["access_token"])
    assert me.json() == {"id": person["user_id"]}
    async with town.kit.unit() as unit:
        assert await email_of(unit, person["user_id"]) == "ada@example.test"


async def test_a_known_and_an_unknown_address_get_one_answer_and_cause_the_same_statements(town: Town) -> None:
    await town.sign_up("known@example.test")
    for path in ("/auth/sign-up", "/auth/forgot"):
        known = await town.post(path, email="known@example.test")
        unknown = await town.post(path, email="unknown@example.test")
        assert (known.status_code, known.text) == (unknown.status_code, unknown.text)
    rows = await town.kit.sql("SELECT email, purpose FROM auth_links WHERE used_at IS NULL ORDER BY purpose, email")
    # The worker alone finds out; until then both are the same.
    assert [row["email"] for row in rows] == ["known@example.test", "unknown@example.test"] * 2


async def test_the_owner_of_a_known_address_is_told_by_mail_and_gets_no_second_account(town: Town) -> None:
    await town.sign_up("known@example.test")
    await town.post("/auth/sign-up", email="known@example.test")
    await town.post("/auth/forgot", email="stranger@example.test")
    mails = await town.mails("known@example.test")
    assert [mail["template"] for mail in mails] == ["auth.confirm", "auth.known"]
    assert "token" not in mails[-1]["payload"]["link"]
    assert await town.mails("stranger@example.test") == []


async def test_a_link_works_once_even_for_two_at_once(town: Town) -> None:
    await town.post("/auth/sign-up", email="ada@example.test")
    token = await town.link_token("ada@example.test")
    both = await asyncio.gather(
        *(town.post("/auth/sign-up/complete", token=token, password=PASSWORD) for _ in range(2))
    )
    assert sorted(answer.status_code for answer in both) == [201, 400]
    again = await town.post("/auth/sign-up/complete", token=token, password=PASSWORD)
    assert again.json()["code"] == "auth.invalid_link"


async def test_of_two_links_to_one_address_the_second_makes_no_second_user(town: Town) -> None:
    await town.post("/auth/sign-up", email="ada@example.test")
    first = await town.link_token("ada@example.test")
    await town.post("/auth/sign-up", email="ada@example.test")
    second = await town.link_token("ada@example.test")
    assert first != second
    assert (await town.post("/auth/sign-up/complete", token=first, password=PASSWORD)).status_code == 201
    assert (await town.post("/auth/sign-up/complete", token=second, password=PASSWORD)).status_code == 400


async def test_a_link_expires_and_serves_its_own_purpose_only(town: Town) -> None:
    await town.post("/auth/sign-up", email="ada@example.test")
    token = await town.link_token("ada@example.test")
    assert (await town.post("/auth/reset", token=token, password=PASSWORD)).status_code == 400
    async with town.kit.unit() as unit:
        assert await look_at(unit, "sign_up", token) == "ada@example.test"
        with pytest.raises(InvalidLink):
            await look_at(unit, "reset", token)
    town.clock.forward(minutes=61)
    assert (await town.post("/auth/sign-up/complete", token=token, password=PASSWORD)).status_code == 400


async def test_no_token_of_a_mail_is_stored_in_the_modules_tables(town: Town) -> None:
    person = await town.sign_up("ada@example.test")
    await town.post("/auth/forgot", email="ada@example.test")
    secrets = [await town.link_token("ada@example.test"), person["refresh_token"], person["access_token"], PASSWORD]
    tables = await town.kit.sql("SELECT tablename FROM pg_tables WHERE tablename LIKE 'auth\\_%%' AND %s", True)
    dump = str([await town.kit.sql(f"SELECT * FROM {row['tablename']}") for row in tables])
    assert len(tables) == 8
    assert [secret for secret in secrets if secret in dump] == []


async def refuse_rivals(unit: UnitOfWork, asked: SignUpAsked) -> None:
    if asked.email.endswith("@rival.test"):
        raise Forbidden("Not from there.")


async def found_tenant(unit: UnitOfWork, person: SigningUp) -> None:
    if "shop" not in person.details:
        return
    if person.details["shop"] == "taken":
        raise Forbidden("That name is taken.")
    await unit.enter(TENANT)


@pytest.fixture
async def bound(postgres: Postgres, clock: FakeClock) -> AsyncIterator[Town]:
    bindings = [SIGN_UP_ASKED.bind(refuse_rivals), SIGNING_UP.bind(found_tenant)]
    async with running(compose(House(), Auth(), bindings=bindings), postgres, environ=ENVIRON, clock=clock) as kit:
        yield Town(kit=kit, clock=clock)


async def test_a_guard_refuses_before_a_mail_is_sent(bound: Town) -> None:
    assert (await bound.post("/auth/sign-up", email="spy@rival.test")).status_code == 403
    assert await bound.mails("spy@rival.test") == []


async def test_a_guard_makes_a_tenant_in_the_transaction_and_the_first_session_is_of_it(bound: Town) -> None:
    person = await bound.sign_up("ada@example.test", details={"shop": "adas"})
    assert UUID(person["tenant"]) == TENANT
    assert [row["tenant"] for row in await bound.audited("auth.signed_up")] == [TENANT]


async def test_what_a_guard_refuses_leaves_no_user_and_the_link_good(bound: Town) -> None:
    await bound.post("/auth/sign-up", email="ada@example.test")
    told = {"token": await bound.link_token("ada@example.test"), "password": PASSWORD}
    refused = await bound.post("/auth/sign-up/complete", **told, details={"shop": "taken"})
    assert refused.status_code == 403
    assert await bound.kit.sql("SELECT id FROM auth_users") == []
    assert (await bound.post("/auth/sign-up/complete", **told, details={"shop": "other"})).status_code == 201


async def test_a_role_in_a_body_is_refused(town: Town) -> None:
    answer = await town.post("/auth/sign-up", headers=bearer("x"), email="ada@example.test", is_admin=True)
    assert answer.status_code == 422
