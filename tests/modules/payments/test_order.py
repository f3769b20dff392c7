"""Events in any order, twice, or never: the same rows in the end."""

from __future__ import annotations

import random
from typing import Any

import pytest
from modules.payments.conftest import Shop

from holdtrue.modules.payments.adapters import stripe as adapter
from holdtrue.modules.payments.contract import RECONCILE
from holdtrue.modules.payments.payloads import Sweep
from holdtrue.modules.payments.webhooks.handlers import HANDLERS
from holdtrue.stage.payments import Event


async def story(shop: Shop) -> list[Event]:
    """A sale, a refund in the dashboard, a dispute won; and a subscription that ends."""
    order = await shop.order()
    events = shop.stripe.customer.pay(await shop.session(order))
    charge = shop.stripe.latest("charge")["id"]
    events += shop.stripe.bank.refund(charge, 700)
    events += shop.stripe.bank.dispute(charge, amount=300)
    events += shop.stripe.bank.close_dispute(shop.stripe.latest("dispute")["id"], "won")
    answer = await shop.call("POST", "/payments/subscription", {"plan": "pro"})
    assert answer.status_code == 201
    events += shop.stripe.customer.pay(shop.stripe.sessions[-1]["id"])
    return events


async def outcome(shop: Shop) -> dict[str, Any]:
    return {
        "orders": await shop.rows("orders", "status, granted"),
        "payments": await shop.rows("payments", "amount, accepted"),
        "refunds": await shop.rows("payment_refunds", "amount, status"),
        "disputes": await shop.rows("payment_disputes", "amount, status"),
        "subscription": await shop.rows("payment_subscriptions", "plan, status, cancels"),
        "checkouts": await shop.rows("payment_checkouts", "status"),
    }


EXPECTED = {
    "orders": [{"status": "paid", "granted": 1}],
    "payments": [{"amount": 2900, "accepted": True}, {"amount": 4000, "accepted": True}],
    "refunds": [{"amount": 700, "status": "succeeded"}],
    "disputes": [{"amount": 300, "status": "won"}],
    "subscription": [{"plan": "pro", "status": "active", "cancels": False}],
    "checkouts": [{"status": "complete"}, {"status": "complete"}],
}


def same(found: dict[str, Any]) -> dict[str, Any]:
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.full)])
async def test_shuffled_and_doubled_events_end_alike(shop: Shop, seed: int) -> None:
    events = [event for event in await story(shop) if event.type in HANDLERS] * 2
    random.Random(seed).shuffle(events)  # noqa: S311
    for at, event in enumerate(events):
        assert (await shop.deliver(event)).status_code == 200
        if at % 3 == seed:
            await shop.kit.work()
    await shop.kit.work()
    assert same(await outcome(shop)) == same(EXPECTED)
    told = await shop.audited()
    assert len(told) == len(set(told)) + 3  # two checkouts, two payments: each told once


async def test_dropped_events_are_found_and_a_second_run_changes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "PAGE", 4)  # several pages
    events = await story(shop)
    await shop.happen([event for event in events if event.type in ("refund.created", "customer.subscription.created")])
    await reconcile(shop)
    assert same(await outcome(shop)) == same(EXPECTED)
    before, told = await outcome(shop), await shop.audited()
    await reconcile(shop)
    await shop.happen(events)
    assert (await outcome(shop), await shop.audited()) == (before, told)


async def test_a_poisonous_event_stops_no_other_and_is_seen(shop: Shop) -> None:
    shop.stripe.emit("refund.created", {"id": "re_unknown", "object": "refund"})
    events = await story(shop)
    assert events
    await reconcile(shop)
    for _ in range(20):
        await shop.kit.work(hurry=True)
    assert same(await outcome(shop)) == same(EXPECTED)
    letters = await shop.kit.worker.letters()
    assert [(letter.job, letter.state) for letter in letters] == [("payments.notice", "dead")]


async def test_a_run_that_dies_on_the_way_moves_the_mark_not_at_all(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "PAGE", 4)
    await story(shop)
    with shop.stripe.outage("refuse", lambda call: "starting_after" in call.parameters, times=1):
        await reconcile(shop)
    assert await shop.rows("payment_reconciliations") == []
    await shop.kit.work(hurry=True)
    assert same(await outcome(shop)) == same(EXPECTED)
    assert len(await shop.rows("payment_reconciliations")) == 1


async def test_what_is_silent_for_too_long_is_asked_for_when_its_events_are_gone(shop: Shop) -> None:
    order = await shop.order()
    shop.stripe.customer.pay(await shop.session(order))
    shop.stripe.world.events.clear()
    await shop.kit.sql("UPDATE payment_checkouts SET expires_at = now() - interval '31 days'")
    await reconcile(shop)
    assert await shop.status(order) == ("paid", 1)


async def reconcile(shop: Shop) -> None:
    shop.stripe.advance(301)  # what is younger is left to its webhook
    async with shop.kit.unit() as unit:
        await unit.enqueue(RECONCILE, Sweep())
    await shop.kit.work()
