"""Sign-in: right or wrong, known or unknown, and not too often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest
from modules.auth.house import PASSWORD, Town

from holdtrue.modules.auth.adapters.passwords import Passwords
from holdtrue.modules.auth.ports import AuthPorts
from holdtrue.runtime import Unavailable

LIMITS = {
    "AUTH_SIGN_INS_PER_NETWORK": "20",
    "AUTH_SIGN_INS_PER_PERSON_AND_NETWORK": "3",
    "AUTH_SIGN_INS_PER_PERSON": "5",
    "AUTH_MAILS_PER_PERSON": "2",
    "AUTH_MAILS_PER_NETWORK": "4",
}


@asynccontextmanager
async def from_network(town: Town, address: str) -> AsyncIterator[Town]:
    """The same app, called from elsewhere."""
    app = town.kit.client._transport.app  # type: ignore[attr-defined]  # the transport of the kit
    transport = httpx.ASGITransport(app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="https://app.test") as client:
        kit = town.kit
        before, kit.client = kit.client, client
        try:
            yield town
        finally:
            kit.client = before


async def test_a_wrong_password_and_an_unknown_address_get_one_answer(town: Town) -> None:
    await town.sign_up("ada@example.test")
    wrong = await town.sign_in("ada@example.test", "not the password")
    unknown = await town.sign_in("nobody@example.test", "not the password")
    assert (wrong.status_code, wrong.text) == (unknown.status_code, unknown.text) == (401, wrong.text)
    assert (await town.sign_in("ADA@example.test")).status_code == 200


async def test_an_unknown_address_is_hashed_for_as_a_known_one_is(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    await town.sign_up("ada@example.test")
    verified: list[str] = []
    hasher = town.kit.port(AuthPorts).passwords._hasher
    verify = type(hasher).verify

    def watched(self: object, stored: str, password: str) -> bool:
        verified.append(stored.rpartition("$")[0].rpartition("$")[0])
        return verify(hasher, stored, password)

    monkeypatch.setattr(type(hasher), "verify", watched)
    for email in ("ada@example.test", "nobody@example.test"):
        await town.sign_in(email, "not the password")
    assert verified == ["$argon2id$v=19$m=19456,t=2,p=1"] * 2


async def test_a_session_is_opened_only_for_a_tenant_one_belongs_to(town: Town) -> None:
    mine, foreign = uuid4(), uuid4()
    await town.member("ada@example.test", mine)
    await town.member("eve@example.test", foreign)
    for tenant in (foreign, uuid4()):
        refused = await town.sign_in("ada@example.test", tenant=str(tenant))
        assert (refused.status_code, refused.json()["code"]) == (403, "auth.not_a_member")
    only = (await town.sign_in("ada@example.test")).json()
    assert only["tenant"] == str(mine)
    recorded = [row["tenant"] for row in await town.audited("auth.signed_in") if row["tenant"]]
    assert recorded.count(foreign) == 1


@pytest.mark.parametrize("environ", [LIMITS], indirect=True)
async def test_guessing_at_one_address_ends_soon_and_a_right_guess_comes_too_late(town: Town) -> None:
    await town.sign_up("ada@example.test")
    async with from_network(town, "203.0.113.9"):
        for _ in range(3):
            assert (await town.sign_in("ada@example.test", "wrong")).status_code == 401
        late = await town.sign_in("Ada@Example.test")
        assert late.status_code == 429
        assert 0 < int(late.headers["Retry-After"]) <= 300
        town.clock.forward(minutes=5)
        assert (await town.sign_in("ada@example.test")).status_code == 200


@pytest.mark.parametrize("environ", [LIMITS], indirect=True)
async def test_many_at_once_do_not_get_past_a_limit(town: Town) -> None:
    await town.sign_up("ada@example.test")
    async with from_network(town, "203.0.113.9"):
        answers = await asyncio.gather(*(town.sign_in("ada@example.test", "wrong") for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [401] * 3 + [429] * 3


@pytest.mark.parametrize("environ", [LIMITS], indirect=True)
async def test_outsiders_from_many_networks_do_not_shut_a_person_out(town: Town) -> None:
    await town.sign_up("ada@example.test")
    for number in range(6):
        async with from_network(town, f"203.0.113.{number}"):
            answer = await town.sign_in("ada@example.test", "wrong")
    assert answer.status_code == 429
    # From where she signed in before, she still can; and from a new place once she reset her password there.
    assert (await town.sign_in("ada@example.test")).status_code == 200
    async with from_network(town, "198.51.100.7"):
        assert (await town.sign_in("ada@example.test")).status_code == 429
        await town.post("/auth/forgot", email="ada@example.test")
        token = await town.link_token("ada@example.test")
        assert (await town.post("/auth/reset", token=token, password=PASSWORD)).status_code == 204
        assert (await town.sign_in("ada@example.test")).status_code == 200


@pytest.mark.parametrize("environ", [LIMITS], indirect=True)
async def test_one_network_has_its_limit_whatever_addresses_it_tries_and_v6_is_counted_by_64(town: Town) -> None:
    codes = []
    for number in range(21):
        async with from_network(town, f"2001:db8::{number + 1:x}"):
            codes.append((await town.sign_in(f"n{number}@example.test", "wrong")).status_code)
    assert codes == [401] * 20 + [429]


@pytest.mark.parametrize("environ", [LIMITS], indirect=True)
async def test_one_address_gets_so_many_mails_and_whoever_asks_is_not_told(town: Town) -> None:
    answers = [await town.post("/auth/sign-up", email="ada@example.test") for _ in range(4)]
    assert {answer.text for answer in answers} == {answers[0].text}
    assert len(await town.mails("ada@example.test")) == 2
    assert (await town.post("/auth/sign-up", email="bob@example.test")).status_code == 429


async def test_a_forwarded_header_changes_nothing(town: Town) -> None:
    for number in range(11):
        answer = await town.post(
            "/auth/sign-in",
            {"X-Forwarded-For": f"203.0.113.{number}"},
            email="ada@example.test",
            password="wrong",
        )
    assert answer.status_code == 429


async def test_a_weaker_hash_is_replaced_at_the_next_sign_in(town: Town) -> None:
    person = await town.sign_up("ada@example.test")
    weak = Passwords(memory_kib=1024, time_cost=1, parallelism=1, threads=1)
    await town.kit.sql("UPDATE auth_users SET password_hash = %s", await weak.hash(PASSWORD))
    weak.close()
    assert (await town.sign_in("ada@example.test")).json()["user_id"] == person["user_id"]
    (row,) = await town.kit.sql("SELECT password_hash FROM auth_users")
    assert row["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert (await town.sign_in("ada@example.test")).status_code == 200


async def test_long_and_composed_passwords_are_one_on_all_keyboards_and_nothing_is_cut_off() -> None:
    passwords = Passwords(memory_kib=1024, time_cost=1, parallelism=1, threads=1)
    stored = await passwords.hash("e\u0301" * 100)
    assert (await passwords.verify(stored, "\u00e9" * 100)).right
    assert not (await passwords.verify(stored, "\u00e9" * 99)).right
    assert not (await passwords.verify(None, "anything")).right
    passwords.close()


async def test_the_loop_goes_on_while_passwords_are_hashed_and_too_many_are_sent_away() -> None:
    passwords = Passwords(memory_kib=1024, time_cost=1, parallelism=1, threads=1)
    waiting = [asyncio.ensure_future(passwords.hash("x")) for _ in range(50)]
    await asyncio.sleep(0)
    assert not any(each.done() for each in waiting[1:])
    with pytest.raises(Unavailable):
        await passwords.hash("x")
    assert len(set(await asyncio.gather(*waiting))) == 50
    passwords.close()
