"""Idempotency keys: the first answer is repeated, other parameters are refused, two at once collide."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from holdtrue.stage.http import Authority
from holdtrue.stage.payments import StripeDouble

DAY = 24 * 3600


@pytest.fixture
async def raw(double: StripeDouble, authority: Authority) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {double.secret_key}"}
    async with httpx.AsyncClient(base_url=double.url, verify=authority.client_context(), headers=headers) as client:
        yield client


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


async def test_the_same_key_repeats_the_stored_answer_and_does_nothing(
    double: StripeDouble, raw: httpx.AsyncClient
) -> None:
    first = await raw.post("/v1/customers", data={"name": "A"}, headers=key("one"))
    again = await raw.post("/v1/customers", data={"name": "A"}, headers=key("one"))
    other = await raw.post("/v1/customers", data={"name": "A"}, headers=key("two"))

    assert again.content == first.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["original-request"] == first.headers["request-id"] != again.headers["request-id"]
    assert other.json()["id"] != first.json()["id"]
    assert len(double.all("customer")) == 2
    assert [call.replayed for call in double.calls] == [False, True, False]


async def test_a_key_with_other_parameters_or_another_address_is_an_idempotency_error(raw: httpx.AsyncClient) -> None:
    await raw.post("/v1/customers", data={"name": "A"}, headers=key("one"))
    changed = await raw.post("/v1/customers", data={"name": "B"}, headers=key("one"))
    elsewhere = await raw.post("/v1/products", data={"name": "A"}, headers=key("one"))

    for answer, words in ((changed, "same parameters"), (elsewhere, "('/v1/products' vs '/v1/customers')")):
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "idempotency_error"
        assert words in answer.json()["error"]["message"]


async def test_two_requests_at_once_with_one_key_collide(double: StripeDouble, raw: httpx.AsyncClient) -> None:
    with double.hold("POST /v1/customers") as hold:
        first = asyncio.create_task(raw.post("/v1/customers", data={"name": "A"}, headers=key("one")))
        await hold.arrived.wait()
        second = await raw.post("/v1/customers", data={"name": "A"}, headers=key("one"))
        hold.release()
        answered = await first

    assert (answered.status_code, second.status_code) == (200, 409)
    assert second.json()["error"]["code"] == "idempotency_key_in_use"
    assert len(double.all("customer")) == 1


async def test_a_stored_500_is_repeated_even_when_stripe_is_well_again(
    double: StripeDouble, raw: httpx.AsyncClient
) -> None:
    with double.outage("error500"):
        failed = await raw.post("/v1/customers", data={"name": "A"}, headers=key("one"))
    again = await raw.post("/v1/customers", data={"name": "A"}, headers=key("one"))

    assert (failed.status_code, again.status_code) == (500, 500)
    assert failed.json()["error"]["type"] == "api_error"
    assert again.headers["idempotent-replayed"] == "true"
    assert double.all("customer") == []


async def test_a_declined_card_is_stored_and_a_failed_validation_is_not(
    double: StripeDouble, raw: httpx.AsyncClient
) -> None:
    bad = {"amount": "x", "currency": "usd"}
    assert (await raw.post("/v1/payment_intents", data=bad, headers=key("one"))).status_code == 400
    good = {"amount": "500", "currency": "usd"}
    assert (await raw.post("/v1/payment_intents", data=good, headers=key("one"))).status_code == 200

    card = {**good, "confirm": "true", "payment_method": "pm_card_chargeDeclined"}
    declined = [await raw.post("/v1/payment_intents", data=card, headers=key("two")) for _ in range(2)]
    assert [answer.status_code for answer in declined] == [402, 402]
    assert declined[1].headers["idempotent-replayed"] == "true"
    assert len(double.all("charge")) == 1


async def test_a_key_is_forgotten_after_a_day_and_is_not_shared_between_accounts(
    double: StripeDouble, raw: httpx.AsyncClient
) -> None:
    account = double.connect()
    await raw.post("/v1/customers", data={"name": "A"}, headers=key("one"))
    foreign = await raw.post("/v1/customers", data={"name": "B"}, headers=key("one") | {"Stripe-Account": account})
    double.advance(DAY)
    later = await raw.post("/v1/customers", data={"name": "C"}, headers=key("one"))

    assert (foreign.status_code, later.status_code) == (200, 200)
    assert [customer["name"] for customer in double.all("customer")] == ["A", "C", "B"]


async def test_a_refund_repeated_with_its_key_refunds_once(double: StripeDouble, raw: httpx.AsyncClient) -> None:
    intent = {"amount": "5000", "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
    paid = (await raw.post("/v1/payment_intents", data=intent)).json()["id"]
    refund = {"payment_intent": paid, "amount": "1000"}
    with double.outage("lose_response", "POST /v1/refunds") as outage:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await raw.post("/v1/refunds", data=refund, headers=key("refund-1"))
        assert [call.status for call in outage.calls] == [200]
        assert not outage.calls[0].delivered
    again = await raw.post("/v1/refunds", data=refund, headers=key("refund-1"))

    assert again.status_code == 200
    assert [one["amount"] for one in double.all("refund")] == [1000]
