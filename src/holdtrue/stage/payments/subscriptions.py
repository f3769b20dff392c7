"""The subscription as an object, and how it starts, changes and ends (https://docs.stripe.com/billing/subscriptions)."""

from typing import Any

from holdtrue.stage.payments import errors, periods, versions
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.catalog import plan_of
from holdtrue.stage.payments.listing import listed
from holdtrue.stage.payments.store import Resource

ENDED = ("canceled", "incomplete_expired")
Line = tuple[Resource, int]
"""A recurring price and its quantity."""


def make(books: Books, customer: str, lines: list[Line], *, trial_end: int | None = None, **fields: Any) -> Resource:
    """A new subscription, saved but not yet told of: `status` is trialing with a trial, else incomplete.

    Raises:
        StripeError: a price is not recurring, or the prices differ in currency or interval.
    """
    identifier, now = books.new_id("subscription"), books.now()
    _check(lines)
    anchor = trial_end or now
    subscription: Resource = {
        "id": identifier,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": anchor,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": None, "type": "flexible" if books.at_least(versions.CLOVER) else "classic"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": now,
        "currency": lines[0][0]["currency"],
        "customer": customer,
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "items": listed([], f"/v1/subscription_items?subscription={identifier}"),
        "latest_invoice": None,
        "livemode": False,
        "metadata": {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": now,
        "status": "incomplete" if trial_end is None else "trialing",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": trial_end,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": None if trial_end is None else now,
        **fields,
    }
    ends = trial_end or periods.end(anchor, now, lines[0][0]["recurring"])
    subscription["items"]["data"] = [item(books, identifier, price, count, (now, ends)) for price, count in lines]
    return books.save(subscription)


def item(
    books: Books,
    subscription: str,
    price: Resource,
    quantity: int,
    period: tuple[int, int],
    metadata: dict[str, str] | None = None,
) -> Resource:
    """One item of a subscription."""
    return {
        "id": books.new_id("subscription_item"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": books.now(),
        "current_period_end": period[1],
        "current_period_start": period[0],
        "discounts": [],
        "metadata": metadata or {},
        "plan": plan_of(price),
        "price": price,
        "quantity": quantity,
        "subscription": subscription,
        "tax_rates": [],
    }


def period(subscription: Resource) -> tuple[int, int]:
    """Start and end of the current period."""
    first = subscription["items"]["data"][0]
    return first["current_period_start"], first["current_period_end"]


def with_period(subscription: Resource, start: int, finish: int) -> Resource:
    """The items, moved to a period."""
    moved = [
        {**entry, "current_period_start": start, "current_period_end": finish}
        for entry in subscription["items"]["data"]
    ]
    return {**subscription["items"], "data": moved}


def total(subscription: Resource) -> int:
    """What one period costs, in minor units."""
    return sum((entry["price"]["unit_amount"] or 0) * entry["quantity"] for entry in subscription["items"]["data"])


def end(books: Books, subscription: Resource, *, reason: str = "cancellation_requested") -> Resource:
    """End it now; emits `customer.subscription.deleted`."""
    details = {**subscription["cancellation_details"]}
    details["reason"] = reason if reason == "payment_failed" else details["reason"] or reason
    books.change(
        subscription,
        None,
        status="canceled",
        ended_at=books.now(),
        canceled_at=subscription["canceled_at"] or books.now(),
        cancellation_details=details,
    )
    books.emit("customer.subscription.deleted", subscription)
    return subscription


def pause(books: Books, subscription: Resource, why: str) -> Resource:
    """No period and no invoice until it is resumed; emits `customer.subscription.paused` after the update."""
    told = {"subscription": {"type": why}, "transitioned_at": books.now(), "type": "subscription"}
    books.change(subscription, "customer.subscription.updated", status="paused", status_details={"paused": told})
    books.emit("customer.subscription.paused", subscription)
    return subscription


def _check(lines: list[Line]) -> None:
    first = lines[0][0]
    for price, _ in lines:
        if price["recurring"] is None:
            raise errors.refused(
                f"The price specified is set to `type=one_time` but this field only accepts prices with "
                f"`type=recurring`: {price['id']}.",
                param="items[0][price]",
            )
        if price["currency"] != first["currency"]:
            raise errors.refused("All prices on a subscription must have the same currency.", param="items")
        if price["recurring"] != first["recurring"]:
            raise errors.refused(
                "Currently, all plans on a subscription must have the same `interval`. If you meant to update an "
                "existing subscription instead of creating a new one, make sure to include the subscription item ID.",
                param="items",
            )
