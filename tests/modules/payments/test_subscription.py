"""One subscription: created, active, past due, ended with its period."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID

import pytest
from modules.payments.conftest import Shop

from holdtrue.modules.payments.terms import PaymentsPorts
from holdtrue.modules.payments.webhooks import reading
from holdtrue.runtime import Work

MONTH = 31 * 24 * 3600


async def subscribed(shop: Shop) -> str:
    answer = await shop.call("POST", "/payments/subscription", {"plan": "pro"})
    assert answer.status_code == 201, answer.text
    await shop.happen(shop.stripe.customer.pay(shop.stripe.sessions[-1]["id"]))
    return str(shop.stripe.latest("subscription")["id"])


async def shown(shop: Shop) -> tuple[str, bool, bool]:
    told = (await shop.call("GET", "/payments/subscription")).json()
    return told["status"], told["entitled"], told["cancels"]


async def test_it_is_paid_declined_paid_again_and_ends_with_its_period(shop: Shop) -> None:
    await subscribed(shop)
    assert await shown(shop) == ("active", True, False)
    customer = shop.stripe.latest("customer")["id"]
    shop.stripe.bank.decline_customer(customer)
    await shop.happen(shop.stripe.advance(MONTH))
    assert await shown(shop) == ("past_due", True, False)
    shop.stripe.bank.decline_customer(customer, None)
    await shop.happen(shop.stripe.customer.pay_invoice(shop.stripe.latest("invoice")["id"]))
    assert await shown(shop) == ("active", True, False)
    assert (await shop.call("DELETE", "/payments/subscription")).status_code == 202
    await shop.kit.work()
    await shop.happen(shop.stripe.events[-1:])
    assert await shown(shop) == ("active", True, True)
    await shop.happen(shop.stripe.advance(MONTH))
    assert await shown(shop) == ("canceled", False, True)
    assert [row["amount"] for row in await shop.rows("payments")] == [2900, 2900]
    assert (await shop.audited())[-1] == "payments.subscription_ended"


async def test_its_end_stays_its_end_whatever_arrives_late(shop: Shop) -> None:
    await subscribed(shop)
    await shop.call("DELETE", "/payments/subscription")
    await shop.kit.work()
    events = [*shop.stripe.events, *shop.stripe.advance(MONTH)]
    random.Random(3).shuffle(events)  # noqa: S311
    for event in events:
        await shop.deliver(event)
    await shop.kit.work()
    assert await shown(shop) == ("canceled", False, True)


async def test_an_older_reading_is_not_written_over_a_newer_one(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first worker has read, and is slow to write; meanwhile it ends, and a second worker writes that."""
    identifier = await subscribed(shop)
    renewed = [each for each in shop.stripe.advance(MONTH) if each.type == "customer.subscription.updated"]
    assert (await shop.deliver(renewed[0])).status_code == 200
    read, go = asyncio.Event(), asyncio.Event()
    whose = reading._tenant_of

    async def slowly(work: Work, *names: str | None) -> UUID | None:
        if not read.is_set():
            read.set()
            await go.wait()
        return await whose(work, *names)

    monkeypatch.setattr(reading, "_tenant_of", slowly)
    first = asyncio.create_task(shop.kit.work())
    await read.wait()
    await shop.kit.port(PaymentsPorts).stripe._v1.subscriptions.cancel_async(identifier)
    assert (await shop.deliver(shop.stripe.events[-1])).status_code == 200
    await shop.kit.work()
    assert await shown(shop) == ("canceled", False, False)
    go.set()
    await first
    assert await shown(shop) == ("canceled", False, False)


async def test_many_clicks_make_one_customer_and_one_session(shop: Shop) -> None:
    clicks = [shop.call("POST", "/payments/subscription", {"plan": "pro"}) for _ in range(8)]
    answers = await asyncio.gather(*clicks)
    assert {answer.status_code for answer in answers} <= {201, 409, 503}
    assert (await shop.call("POST", "/payments/subscription", {"plan": "pro"})).status_code == 201
    assert (len(shop.stripe.all("customer")), len(shop.stripe.sessions)) == (1, 1)


async def test_there_is_no_second_one_while_the_first_lives_and_one_after_it(shop: Shop) -> None:
    await subscribed(shop)
    again = await shop.call("POST", "/payments/subscription", {"plan": "pro"})
    assert (again.status_code, again.json()["code"]) == (409, "payments.already_subscribed")
    await shop.call("DELETE", "/payments/subscription")
    await shop.kit.work()
    await shop.happen(shop.stripe.advance(MONTH))
    assert (await shop.call("POST", "/payments/subscription", {"plan": "pro"})).status_code == 201


async def test_its_payment_can_be_refunded(shop: Shop) -> None:
    await subscribed(shop)
    payment = (await shop.rows("payments"))[0]["id"]
    assert (await shop.call("POST", f"/payments/{payment}/refunds", {"amount": 900})).status_code == 202
    await shop.kit.work()
    await shop.happen(shop.stripe.events)
    assert shop.refunded() == 900
    assert len(await shop.rows("payment_refunds")) == 1


async def test_a_plan_that_nobody_knows_cannot_be_bought(shop: Shop) -> None:
    answer = await shop.call("POST", "/payments/subscription", {"plan": "platinum"})
    assert (answer.status_code, answer.json()["code"]) == (404, "payments.nothing_to_buy")
    assert shop.stripe.all("customer") == []
