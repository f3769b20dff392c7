"""Trouble between the app and Stripe: what happened, and what the app gets to know of it."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from holdtrue.stage.http import Authority
from holdtrue.stage.payments import StripeDouble

GONE = (httpx.RemoteProtocolError, httpx.ReadError)


@pytest.fixture
async def raw(double: StripeDouble, authority: Authority) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {double.secret_key}"}
    async with httpx.AsyncClient(base_url=double.url, verify=authority.client_context(), headers=headers) as client:
        yield client


async def create(raw: httpx.AsyncClient) -> httpx.Response:
    return await raw.post("/v1/customers", data={"name": "A"})


async def test_refused_means_no_answer_and_nothing_happened(double: StripeDouble, raw: httpx.AsyncClient) -> None:
    with double.outage("refuse"), pytest.raises(GONE):
        await create(raw)
    assert double.all("customer") == []
    assert double.calls[0].status is None
    assert (await create(raw)).status_code == 200


async def test_a_lost_response_means_it_happened(double: StripeDouble, raw: httpx.AsyncClient) -> None:
    with double.outage("lose_response"), pytest.raises(GONE):
        await create(raw)
    assert len(double.all("customer")) == 1
    assert (double.calls[0].status, double.calls[0].delivered) == (200, False)


async def test_hanging_ends_with_the_outage_and_nothing_happened(double: StripeDouble, raw: httpx.AsyncClient) -> None:
    with double.outage("hang", "POST /v1/customers") as outage:
        waiting = asyncio.create_task(create(raw))
        await outage.struck.wait()
        assert (await raw.get("/v1/customers")).json()["data"] == []
        assert not waiting.done()
    with pytest.raises(GONE):
        await waiting
    assert double.all("customer") == []


async def test_an_outage_strikes_what_it_matches_and_as_often_as_it_is_told(
    double: StripeDouble, raw: httpx.AsyncClient
) -> None:
    with double.outage("rate_limit", lambda call: call.parameters.get("name") == "A", times=2) as outage:
        statuses = [(await create(raw)).status_code for _ in range(3)]
        other = await raw.post("/v1/customers", data={"name": "B"})
    assert statuses == [429, 429, 200]
    assert other.status_code == 200
    assert len(outage.calls) == 2


async def test_a_held_call_goes_on_when_it_is_released(double: StripeDouble, raw: httpx.AsyncClient) -> None:
    with double.hold("POST /v1/*") as hold:
        waiting = asyncio.create_task(create(raw))
        await hold.arrived.wait()
        assert double.all("customer") == []
    assert (await waiting).status_code == 200


async def test_closing_the_double_ends_what_hangs(authority: Authority, double: StripeDouble) -> None:
    headers = {"Authorization": f"Bearer {double.secret_key}"}
    async with httpx.AsyncClient(base_url=double.url, verify=authority.client_context(), headers=headers) as raw:
        with double.outage("hang") as outage:
            waiting = asyncio.create_task(create(raw))
            await outage.struck.wait()
            await double.close()
            with pytest.raises(GONE):
                await waiting


async def test_what_was_held_is_not_lost_when_another_call_is_refused_meanwhile(
    double: StripeDouble, raw: httpx.AsyncClient
) -> None:
    with double.hold("POST /v1/customers") as hold:
        asked = asyncio.create_task(create(raw))
        await hold.arrived.wait()
        assert (await raw.get("/v1/customers/cus_nobody")).status_code == 404
        hold.release()
        made = (await asked).json()
    assert [one["id"] for one in double.all("customer")] == [made["id"]]
