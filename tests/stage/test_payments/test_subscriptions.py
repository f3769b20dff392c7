"""The life of a subscription: renewals that fail, changes in the middle of a period, pauses, and its end."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import stripe

from holdtrue.stage.payments import Dunning, Event, StripeDouble

Call = Callable[..., Awaitable[Any]]
Subscribe = Callable[..., Awaitable[Any]]
DAY = 24 * 3600


def types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def statuses(events: list[Event]) -> list[str]:
    return [event.object["status"] for event in events if event.type.startswith("customer.subscription")]


@pytest.fixture
def subscribe(client: stripe.StripeClient, call: Call) -> Subscribe:
    async def make(card: str | None = "pm_card_visa", amount: int = 3000, **params: Any) -> Any:
        customer = await call(client.v1.customers.create, {"email": "a@example.com"})
        if card is not None:
            method = await call(client.v1.payment_methods.attach, card, {"customer": customer.id})
            settings = {"default_payment_method": method.id}
            await call(client.v1.customers.update, customer.id, {"invoice_settings": settings})
        product = await call(client.v1.products.create, {"name": "Pro"})
        price = {"currency": "usd", "product": product.id, "unit_amount": amount, "recurring": {"interval": "month"}}
        items = [{"price": (await call(client.v1.prices.create, price)).id}]
        return await call(client.v1.subscriptions.create, {"customer": customer.id, "items": items, **params})

    return make


def past(double: StripeDouble, subscription: Any) -> list[Event]:
    """To the first renewal, which fails."""
    double.bank.decline_customer(subscription.customer)
    end = subscription["items"].data[0].current_period_end
    return double.advance(end - double.world.clock.now())


@pytest.mark.parametrize("then", ["unpaid", "cancel", "past_due"])
async def test_a_renewal_that_fails_is_retried_and_then_given_up_as_the_account_says(
    double: StripeDouble, subscribe: Subscribe, then: Any
) -> None:
    double.dunning = Dunning(retry_after_days=(3, 5), then=then)
    made = await subscribe()
    failed = past(double, made)
    assert statuses(failed) == ["active", "past_due"]
    invoice = double.latest("invoice")
    assert (invoice["attempt_count"], invoice["next_payment_attempt"]) == (1, double.world.clock.now() + 3 * DAY)

    assert double.advance(3 * DAY - 1) == []
    assert types(double.advance(1)) == [
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.updated",
        "invoice.payment_failed",
    ]
    last = double.advance(5 * DAY)
    invoice = double.latest("invoice")
    assert (invoice["attempt_count"], invoice["next_payment_attempt"]) == (3, None)
    assert double.latest("customer")["delinquent"] is True
    ended = {"unpaid": "unpaid", "cancel": "canceled", "past_due": "past_due"}[then]
    assert double.latest("subscription")["status"] == ended
    if then == "cancel":
        assert last[-1].type == "customer.subscription.deleted"
        assert last[-1].object["cancellation_details"]["reason"] == "payment_failed"
        assert double.advance(90 * DAY) == []


async def test_an_unpaid_subscription_renews_with_drafts_only_and_lives_again_when_the_newest_invoice_is_paid(
    double: StripeDouble, client: stripe.StripeClient, call: Call, subscribe: Subscribe
) -> None:
    double.dunning = Dunning(retry_after_days=(), then="unpaid")
    made = await subscribe()
    assert statuses(past(double, made)) == ["active", "past_due", "unpaid"]
    older = double.latest("invoice")["id"]
    renewed = double.advance(31 * DAY)
    assert types(renewed) == ["customer.subscription.updated", "invoice.created"]
    assert renewed[0].object["latest_invoice"] == renewed[1].object_id
    assert dict(renewed[0].previous or {})["latest_invoice"] == older
    double.bank.decline_customer(made.customer, None)
    paid = await call(client.v1.invoices.pay, renewed[1].object_id)
    assert paid.status == "paid"
    assert double.latest("subscription")["status"] == "active"
    assert double.latest("customer")["delinquent"] is False


async def test_a_retry_that_succeeds_brings_it_back(double: StripeDouble, subscribe: Subscribe) -> None:
    made = await subscribe()
    past(double, made)
    double.bank.decline_customer(made.customer, None)
    retried = double.advance(3 * DAY)
    assert types(retried)[:3] == ["charge.succeeded", "payment_intent.succeeded", "invoice.updated"]
    assert statuses(retried) == ["active"]
    assert double.latest("invoice")["attempt_count"] == 2


async def test_a_bank_that_asks_for_the_customer_at_a_renewal_leaves_the_invoice_waiting(
    double: StripeDouble, client: stripe.StripeClient, call: Call, subscribe: Subscribe
) -> None:
    made = await subscribe()
    await call(client.v1.subscriptions.update, made.id, {"description": "x"})
    method = double.customer.replace_card(made.customer, card="pm_card_authenticationRequired")
    assert types(method) == ["payment_method.attached", "customer.updated", "customer.subscription.updated"]
    end = made["items"].data[0].current_period_end
    events = double.advance(end - double.world.clock.now())
    assert "invoice.payment_action_required" in types(events)
    assert statuses(events) == ["active", "past_due"]
    confirmed = double.customer.confirm(double.latest("payment_intent")["id"])
    assert statuses(confirmed) == ["active"]


async def test_what_is_not_paid_within_23_hours_expires(double: StripeDouble, subscribe: Subscribe) -> None:
    made = await subscribe(payment_behavior="default_incomplete")
    assert made.status == "incomplete"
    assert double.advance(23 * 3600 - 1) == []
    expired = double.advance(1)
    assert types(expired) == [
        "customer.subscription.updated",
        "payment_intent.canceled",
        "invoice.updated",
        "invoice.voided",
    ]
    assert statuses(expired) == ["incomplete_expired"]


async def test_a_first_payment_that_must_succeed_and_does_not_leaves_nothing(
    double: StripeDouble, subscribe: Subscribe
) -> None:
    with pytest.raises(stripe.CardError):
        await subscribe("pm_card_chargeCustomerFail", payment_behavior="error_if_incomplete")
    assert double.all("subscription") == []
    assert double.all("charge") == []
    incomplete = await subscribe("pm_card_chargeCustomerFail")
    assert incomplete.status == "incomplete"


async def test_a_change_in_the_middle_is_prorated_on_the_next_invoice_or_at_once(
    double: StripeDouble, client: stripe.StripeClient, call: Call, subscribe: Subscribe
) -> None:
    made = await subscribe()
    item = made["items"].data[0]
    half = (item.current_period_end - item.current_period_start) // 2
    double.advance(half)
    await call(client.v1.subscriptions.update, made.id, {"items": [{"id": item.id, "quantity": 3}]})
    waiting = await call(client.v1.invoice_items.list, {"customer": made.customer, "pending": True})
    assert [one.amount for one in waiting.data] == [4500, -1500]
    assert all(one.proration for one in waiting.data)
    assert double.ledger()["platform"]["captured"] == {"usd": 3000}

    start = len(double.events)
    params = {"items": [{"id": item.id, "quantity": 5}], "proration_behavior": "always_invoice"}
    await call(client.v1.subscriptions.update, made.id, params)
    told = next(event for event in double.events[start:] if event.type == "customer.subscription.updated")
    assert sorted(dict(told.previous or {})) == ["items", "latest_invoice"]
    assert dict(told.previous or {})["items"]["data"][0]["quantity"] == 3
    invoice = double.latest("invoice")
    assert told.object["latest_invoice"] == invoice["id"]
    assert (invoice["billing_reason"], invoice["total"], invoice["status"]) == ("subscription_update", 6000, "paid")
    double.advance(half)
    assert double.latest("invoice")["total"] == 15000


async def test_less_is_credited_to_the_balance_and_used_up_by_the_next_invoice(
    double: StripeDouble, client: stripe.StripeClient, call: Call, subscribe: Subscribe
) -> None:
    made = await subscribe()
    item = made["items"].data[0]
    double.advance((item.current_period_end - item.current_period_start) // 2)
    product = await call(client.v1.products.create, {"name": "Basic"})
    recurring = {"interval": "month"}
    cheap = {"currency": "usd", "product": product.id, "unit_amount": 1000, "recurring": recurring}
    price = await call(client.v1.prices.create, cheap)
    events = double.customer.change_subscription(made.id, price=price.id)
    assert types(events)[:3] == ["invoiceitem.created", "invoiceitem.created", "customer.subscription.updated"]
    invoice = double.latest("invoice")
    assert (invoice["total"], invoice["amount_due"], invoice["ending_balance"]) == (-1000, 0, -1000)
    assert double.latest("customer")["balance"] == -1000
    double.advance(31 * DAY)
    assert double.latest("invoice")["amount_due"] == 0
    assert double.latest("customer")["balance"] == 0


async def test_another_interval_begins_a_new_period_and_is_billed_at_once(
    double: StripeDouble, client: stripe.StripeClient, call: Call, subscribe: Subscribe
) -> None:
    made = await subscribe()
    item = made["items"].data[0]
    double.advance((item.current_period_end - item.current_period_start) // 2)
    yearly = {"currency": "usd", "unit_amount": 30000, "product": item.price.product, "recurring": {"interval": "year"}}
    changed = await call(client.v1.subscriptions.update, made.id, {"items": [{"id": item.id, "price_data": yearly}]})
    assert changed["items"].data[0].current_period_start == double.world.clock.now()
    assert double.latest("invoice")["total"] == 30000 - 1500


async def test_in_the_portal_it_is_cancelled_kept_and_cancelled_at_once(
    double: StripeDouble, subscribe: Subscribe
) -> None:
    made = await subscribe()
    (told,) = double.customer.cancel(made.id)
    assert (told.type, told.object["cancel_at_period_end"]) == ("customer.subscription.updated", True)
    assert told.request_id is None
    (kept,) = double.customer.keep(made.id)
    assert dict(kept.previous or {})["cancel_at_period_end"] is True
    assert types(double.customer.cancel(made.id, at_period_end=False)) == ["customer.subscription.deleted"]
    with pytest.raises(ValueError, match="shows it no more"):
        double.customer.keep(made.id)


async def test_two_updates_of_one_second_have_the_same_time_and_different_ids(
    double: StripeDouble, subscribe: Subscribe
) -> None:
    made = await subscribe()
    with double.world.clock.still():
        events = double.customer.change_subscription(made.id, quantity=2)
        events += double.customer.change_subscription(made.id, quantity=4)
    updates = [event for event in events if event.type == "customer.subscription.updated"]
    assert [event.object["items"]["data"][0]["quantity"] for event in updates] == [2, 4]
    assert len({event.created for event in updates}) == 1
    assert len({event.id for event in updates}) == 2


@pytest.mark.parametrize(
    ("without", "status"), [("pause", "paused"), ("cancel", "canceled"), ("create_invoice", "past_due")]
)
async def test_a_trial_that_ends_without_a_card(
    double: StripeDouble, client: stripe.StripeClient, call: Call, subscribe: Subscribe, without: str, status: str
) -> None:
    settings = {"end_behavior": {"missing_payment_method": without}}
    made = await subscribe(None, trial_period_days=7, trial_settings=settings)
    assert made.status == "trialing"
    events = double.advance(7 * DAY)
    assert double.latest("subscription")["status"] == status
    if status == "paused":
        assert types(events)[-1] == "customer.subscription.paused"
        assert double.advance(90 * DAY) == []
        double.customer.replace_card(made.customer)
        resumed = await call(client.v1.subscriptions.resume, made.id)
        assert resumed.status == "active"
        assert double.events[-1].type == "customer.subscription.resumed"
        assert double.ledger()["platform"]["captured"] == {"usd": 3000}


async def test_a_trial_is_ended_now_and_billed_now(
    double: StripeDouble, client: stripe.StripeClient, call: Call, subscribe: Subscribe
) -> None:
    made = await subscribe(trial_period_days=7)
    ended = await call(client.v1.subscriptions.update, made.id, {"trial_end": "now"})
    assert ended.status == "active"
    assert double.ledger()["platform"]["captured"] == {"usd": 3000}


@pytest.mark.parametrize(
    ("behavior", "status"), [("void", "void"), ("keep_as_draft", "draft"), ("mark_uncollectible", "uncollectible")]
)
async def test_paused_collection_goes_on_without_taking_money(
    double: StripeDouble, client: stripe.StripeClient, call: Call, subscribe: Subscribe, behavior: str, status: str
) -> None:
    made = await subscribe()
    end = made["items"].data[0].current_period_end
    pause = {"behavior": behavior, "resumes_at": end + DAY}
    paused = await call(client.v1.subscriptions.update, made.id, {"pause_collection": pause})
    assert (paused.status, paused.pause_collection.behavior) == ("active", behavior)
    double.advance(end - double.world.clock.now())
    assert double.latest("invoice")["status"] == status
    assert double.ledger()["platform"]["captured"] == {"usd": 3000}
    (resumed,) = double.advance(DAY)
    assert dict(resumed.previous or {}) == {"pause_collection": pause}


async def test_an_invoice_that_is_sent_waits_for_its_date(double: StripeDouble, subscribe: Subscribe) -> None:
    made = await subscribe(None, collection_method="send_invoice", days_until_due=10)
    assert made.status == "active"
    assert "invoice.sent" in types(list(double.events))
    overdue = double.advance(10 * DAY)
    assert types(overdue) == ["invoice.overdue", "customer.subscription.updated"]
    assert statuses(double.customer.pay_invoice(double.latest("invoice")["id"])) == ["active"]


async def test_an_invoice_made_by_hand_is_drafted_finalised_and_paid(
    double: StripeDouble, client: stripe.StripeClient, call: Call
) -> None:
    customer = await call(client.v1.customers.create, {"name": "A"})
    await call(client.v1.invoice_items.create, {"customer": customer.id, "amount": 700, "currency": "usd"})
    wanted = {"customer": customer.id, "auto_advance": False, "pending_invoice_items_behavior": "include"}
    draft = await call(client.v1.invoices.create, wanted)
    await call(
        client.v1.invoice_items.create,
        {"customer": customer.id, "invoice": draft.id, "amount": 300, "currency": "usd", "description": "Post"},
    )
    final = await call(client.v1.invoices.finalize_invoice, draft.id)
    assert (final.status, final.amount_due, [line.amount for line in final.lines.data]) == ("open", 1000, [700, 300])
    paid = await call(client.v1.invoices.pay, draft.id, {"payment_method": "pm_card_visa"})
    assert (paid.status, paid.parent) == ("paid", None)

    again = await call(client.v1.invoices.create, {"customer": customer.id, "auto_advance": False})
    assert (await call(client.v1.invoices.delete, again.id)).deleted is True
    waiting = await call(client.v1.invoices.create, {"customer": customer.id})
    assert types(double.advance(3600))[0] == "invoice.finalized"
    assert (await call(client.v1.invoices.retrieve, waiting.id)).status == "paid"
