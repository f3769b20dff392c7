"""The scripted customer and the passing of time: the events are those of Stripe, in its order."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import stripe

from holdtrue.stage.http import Authority
from holdtrue.stage.payments import Clock, Event, StripeDouble

Call = Callable[..., Awaitable[Any]]
DAY = 24 * 3600

URLS = {"success_url": "https://app.example.com/ok?session={CHECKOUT_SESSION_ID}"}
TEA = {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 900, "product_data": {"name": "Tea"}}}
PRO = {
    "quantity": 1,
    "price_data": {
        "currency": "usd",
        "unit_amount": 1500,
        "product_data": {"name": "Pro"},
        "recurring": {"interval": "month"},
    },
}


def types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


@pytest.fixture
def checkout(client: stripe.StripeClient, call: Call) -> Callable[..., Awaitable[str]]:
    async def open_session(**params: Any) -> str:
        return str((await call(client.v1.checkout.sessions.create, {**URLS, **params})).id)

    return open_session


async def test_a_payment(double: StripeDouble, checkout: Callable[..., Awaitable[str]]) -> None:
    session = await checkout(
        mode="payment", line_items=[TEA], client_reference_id="7", payment_intent_data={"metadata": {"order": "7"}}
    )
    events = double.customer.pay(session, email="c@example.com")

    assert types(events) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]
    assert {event.request_id for event in events} == {None}
    _, charge, intent, completed = (event.object for event in events)
    assert intent["metadata"] == charge["metadata"] == {"order": "7"}
    assert double.unmodelled == []
    assert (completed["payment_status"], completed["payment_intent"]) == ("paid", intent["id"])
    assert completed["customer_details"]["email"] == "c@example.com"
    assert double.customer.returns_to(session) == f"https://app.example.com/ok?session={session}"
    with pytest.raises(ValueError, match="is complete"):
        double.customer.pay(session)


async def test_a_declined_card_leaves_the_session_open_and_a_better_one_completes_it(
    double: StripeDouble, checkout: Callable[..., Awaitable[str]]
) -> None:
    session = await checkout(mode="payment", line_items=[TEA])
    declined = double.customer.decline(session)
    assert types(declined) == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]
    assert double.latest("checkout.session")["status"] == "open"
    assert types(double.customer.pay(session))[-1] == "checkout.session.completed"


async def test_a_slow_payment_is_complete_but_unpaid_until_the_bank_has_spoken(
    double: StripeDouble, checkout: Callable[..., Awaitable[str]]
) -> None:
    slow, failing = [await checkout(mode="payment", line_items=[TEA]) for _ in range(2)]
    completed = double.customer.pay_later(slow)
    assert types(completed) == ["payment_intent.created", "payment_intent.processing", "checkout.session.completed"]
    assert completed[-1].object["payment_status"] == "unpaid"
    settled = double.customer.settle(slow, succeeds=True)
    assert types(settled) == [
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.async_payment_succeeded",
    ]
    assert settled[-1].object["payment_status"] == "paid"

    double.customer.pay_later(failing)
    failed = double.customer.settle(failing, succeeds=False)
    assert types(failed) == [
        "charge.failed",
        "payment_intent.payment_failed",
        "checkout.session.async_payment_failed",
    ]
    assert double.ledger()["platform"]["captured"] == {"usd": 900}


async def test_a_subscription(double: StripeDouble, checkout: Callable[..., Awaitable[str]]) -> None:
    session = await checkout(
        mode="subscription", line_items=[PRO], subscription_data={"metadata": {"tenant": "7"}}, customer_email="d@x.io"
    )
    events = double.customer.pay(session)

    assert types(events) == [
        "customer.created",
        "payment_method.attached",
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.updated",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.created",
        "checkout.session.completed",
    ]
    subscription, completed = events[-2].object, events[-1].object
    assert (subscription["status"], subscription["metadata"]) == ("active", {"tenant": "7"})
    assert completed["subscription"] == subscription["id"]
    assert completed["invoice"] == subscription["latest_invoice"]
    facts = double.ledger()["platform"]
    assert facts["captured"] == {"usd": 1500}
    assert list(facts["live_subscriptions_per_customer"].values()) == [1]


async def test_before_basil_a_subscription_is_told_of_before_it_is_paid(
    authority: Authority, http: stripe.HTTPClient, call: Call
) -> None:
    double = StripeDouble(authority=authority, seed="old", clock=Clock(lambda: 1_700_000_000), api_version="2024-06-20")
    await double.start()
    client = stripe.StripeClient(
        double.secret_key, base_addresses={"api": double.url}, http_client=http, stripe_version="2024-06-20"
    )
    params = {**URLS, "mode": "subscription", "line_items": [PRO], "ui_mode": "hosted"}
    session = await call(client.v1.checkout.sessions.create, params)
    events = double.customer.pay(session.id)
    await double.close()

    told = {event.type: event.object["status"] for event in events if event.type.startswith("customer.subscription")}
    assert told == {"customer.subscription.created": "incomplete", "customer.subscription.updated": "active"}
    body = double.webhooks.body(events[-1]).decode()
    assert '"api_version": "2024-06-20"' in body
    assert '"ui_mode": "hosted"' in body


async def test_a_trial_costs_nothing_until_it_ends(
    double: StripeDouble, checkout: Callable[..., Awaitable[str]]
) -> None:
    session = await checkout(mode="subscription", line_items=[PRO], subscription_data={"trial_period_days": 14})
    completed = double.customer.pay(session)[-1].object
    assert (completed["amount_total"], completed["payment_status"]) == (0, "no_payment_required")
    assert double.latest("subscription")["status"] == "trialing"
    assert double.ledger()["platform"]["captured"] == {}

    events = double.advance(14 * DAY)
    assert types(events)[0] == "customer.subscription.trial_will_end"
    assert "invoice.paid" in types(events)
    assert double.latest("subscription")["status"] == "active"
    assert double.ledger()["platform"]["captured"] == {"usd": 1500}


async def test_setup_keeps_a_card_and_charges_nothing(
    double: StripeDouble, client: stripe.StripeClient, call: Call, checkout: Callable[..., Awaitable[str]]
) -> None:
    customer = await call(client.v1.customers.create, {"email": "e@x.io"})
    session = await checkout(mode="setup", currency="usd", customer=customer.id)
    events = double.customer.pay(session)
    assert types(events) == [
        "setup_intent.created",
        "payment_method.attached",
        "setup_intent.succeeded",
        "checkout.session.completed",
    ]
    cards = await call(client.v1.customers.payment_methods.list, customer.id)
    assert [card.id for card in cards.data] == [events[2].object["payment_method"]]


async def test_a_declined_card_is_not_kept_and_an_authenticated_one_pays(
    double: StripeDouble, checkout: Callable[..., Awaitable[str]]
) -> None:
    setup = await checkout(mode="setup", currency="usd")
    assert types(double.customer.decline(setup)) == ["setup_intent.created", "setup_intent.setup_failed"]
    assert double.latest("checkout.session")["status"] == "open"
    session = await checkout(mode="payment", line_items=[TEA])
    assert (
        types(double.customer.pay(session, card="pm_card_authenticationRequired"))[-1] == "checkout.session.completed"
    )


async def test_a_subscription_with_a_joining_fee_bills_both_at_once(
    double: StripeDouble, checkout: Callable[..., Awaitable[str]]
) -> None:
    double.customer.pay(await checkout(mode="subscription", line_items=[PRO, TEA]))
    assert double.ledger()["platform"]["captured"] == {"usd": 2400}
    assert [line["amount"] for line in double.latest("invoice")["lines"]["data"]] == [1500, 900]
    double.advance(31 * DAY)
    assert double.ledger()["platform"]["captured"] == {"usd": 3900}


async def test_an_abandoned_or_forgotten_session_expires(
    double: StripeDouble, client: stripe.StripeClient, call: Call, checkout: Callable[..., Awaitable[str]]
) -> None:
    left, forgotten = [await checkout(mode="payment", line_items=[TEA]) for _ in range(2)]
    assert types(double.customer.abandon(left)) == ["checkout.session.expired"]
    assert double.advance(DAY - 1) == []
    assert [event.object_id for event in double.advance(1)] == [forgotten]
    with pytest.raises(stripe.InvalidRequestError, match="status of `expired`"):
        await call(client.v1.checkout.sessions.expire, forgotten)


async def test_a_subscription_renews_and_falls_past_due_when_the_card_fails(
    double: StripeDouble, checkout: Callable[..., Awaitable[str]]
) -> None:
    double.customer.pay(await checkout(mode="subscription", line_items=[PRO]))
    renewed = double.advance(31 * DAY)
    assert types(renewed)[0] == "customer.subscription.updated"
    assert "items" in dict(renewed[0].previous or {})
    assert double.ledger()["platform"]["captured"] == {"usd": 3000}

    subscription = double.latest("subscription")
    double.bank.decline_customer(subscription["customer"])
    failed = double.advance(31 * DAY)
    assert "invoice.payment_failed" in types(failed)
    assert failed[-1].type == "customer.subscription.updated"
    assert dict(failed[-1].previous or {}) == {"status": "active"}
    assert double.latest("subscription")["status"] == "past_due"

    double.bank.decline_customer(subscription["customer"], None)
    rescued = double.customer.pay_invoice(double.latest("invoice")["id"])
    assert rescued[-1].object["status"] == "active"


async def test_a_cancellation_at_period_end_ends_it_then_and_not_before(
    double: StripeDouble, client: stripe.StripeClient, call: Call, checkout: Callable[..., Awaitable[str]]
) -> None:
    double.customer.pay(await checkout(mode="subscription", line_items=[PRO]))
    subscription = double.latest("subscription")
    await call(client.v1.subscriptions.update, subscription["id"], {"cancel_at_period_end": True})
    told = double.events[-1]
    assert told.type == "customer.subscription.updated"
    assert dict(told.previous or {})["cancel_at_period_end"] is False

    ends = subscription["items"]["data"][0]["current_period_end"]
    left = ends - subscription["created"]
    assert double.advance(left - 1) == []
    assert types(double.advance(1)) == ["customer.subscription.deleted"]
    assert double.ledger()["platform"]["captured"] == {"usd": 1500}


async def test_a_card_that_asks_for_authentication_waits_for_the_customer(
    double: StripeDouble, client: stripe.StripeClient, call: Call
) -> None:
    params = {"amount": 900, "currency": "usd", "payment_method": "pm_card_authenticationRequired", "confirm": True}
    intent = await call(client.v1.payment_intents.create, params)
    assert intent.status == "requires_action"
    assert types(double.customer.confirm(intent.id)) == ["charge.succeeded", "payment_intent.succeeded"]


async def test_an_incomplete_subscription_becomes_active_when_its_invoice_is_paid(
    double: StripeDouble, client: stripe.StripeClient, call: Call
) -> None:
    customer = await call(client.v1.customers.create, {"email": "f@x.io"})
    product = await call(client.v1.products.create, {"name": "Pro"})
    price = {"currency": "usd", "unit_amount": 700, "product": product.id, "recurring": {"interval": "year"}}
    params = {
        "customer": customer.id,
        "items": [{"price_data": price}],
        "payment_behavior": "default_incomplete",
        "expand": ["latest_invoice.confirmation_secret"],
    }
    subscription = await call(client.v1.subscriptions.create, params)
    assert subscription.status == "incomplete"
    secret = subscription.latest_invoice.confirmation_secret.client_secret
    events = double.customer.confirm(secret.partition("_secret_")[0])
    assert types(events)[-1] == "customer.subscription.updated"
    assert double.latest("subscription")["status"] == "active"


async def test_without_a_card_a_subscription_is_refused_and_leaves_no_trace(
    double: StripeDouble, client: stripe.StripeClient, call: Call
) -> None:
    customer = await call(client.v1.customers.create, {"email": "g@x.io"})
    product = await call(client.v1.products.create, {"name": "Pro"})
    price = {"currency": "usd", "unit_amount": 700, "product": product.id, "recurring": {"interval": "month"}}
    told = len(double.events)
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        await call(client.v1.subscriptions.create, {"customer": customer.id, "items": [{"price_data": price}]})
    assert double.all("subscription") == []
    assert double.all("price") == []
    assert len(double.events) == told
