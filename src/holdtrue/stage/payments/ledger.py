"""The facts about money, in a form that two runs can be compared by."""

import json
from typing import Any

from holdtrue.stage.payments.store import AccountStore, Resource
from holdtrue.stage.payments.world import World

_LIVE = ("active", "past_due", "paused", "trialing", "unpaid")


def ledger(world: World) -> dict[str, Any]:
    """Per account: sums per currency, and charges, refunds, disputes, subscriptions and customers as plain facts.

    Times, and ids of intents, sessions and prices are left out; ids of accounts, customers and charges stay, for the
    caller to rename. Lists are sorted by what they say apart from ids, so the order of creation does not show.
    """
    return {
        "platform" if account == world.platform else account: _account(store)
        for account, store in world.accounts.items()
        if store.kinds or account == world.platform
    }


def _account(store: AccountStore) -> dict[str, Any]:
    charges = [charge for charge in store.all("charge") if charge["status"] == "succeeded"]
    refunds = list(store.all("refund"))
    return {
        "captured": _sums(charges, "amount_captured"),
        "refunded": _sums(charges, "amount_refunded"),
        "charges": _sorted([_charge(charge) for charge in charges]),
        "refunds": _sorted(
            [
                {name: refund[name] for name in ("charge", "amount", "currency", "status", "metadata")}
                for refund in refunds
            ]
        ),
        "disputes": _sorted(
            [
                {name: dispute[name] for name in ("charge", "amount", "currency", "status")}
                for dispute in store.all("dispute")
            ]
        ),
        "subscriptions": _sorted([_subscription(one) for one in store.all("subscription")]),
        "customers": sum(1 for customer in store.all("customer") if not customer.get("deleted")),
        "live_subscriptions_per_customer": _live(store),
        "saved_cards": sum(1 for method in store.all("payment_method") if method["customer"] is not None),
    }


def _charge(charge: Resource) -> dict[str, Any]:
    names = ("customer", "currency", "amount_captured", "amount_refunded", "captured", "disputed", "metadata")
    return {"charge": charge["id"], **{name: charge[name] for name in names}}


def _subscription(subscription: Resource) -> dict[str, Any]:
    items = [
        {
            "amount": item["price"]["unit_amount"],
            "currency": item["price"]["currency"],
            "interval": item["price"]["recurring"]["interval"],
            "quantity": item["quantity"],
        }
        for item in subscription["items"]["data"]
    ]
    names = ("customer", "status", "cancel_at_period_end", "metadata")
    return {**{name: subscription[name] for name in names}, "items": _sorted(items)}


def _live(store: AccountStore) -> dict[str, int]:
    counts: dict[str, int] = {}
    for subscription in store.all("subscription"):
        if subscription["status"] in _LIVE:
            counts[subscription["customer"]] = counts.get(subscription["customer"], 0) + 1
    return counts


def _sums(resources: list[Resource], field: str) -> dict[str, int]:
    totals: dict[str, int] = {}
    for resource in resources:
        totals[resource["currency"]] = totals.get(resource["currency"], 0) + resource[field]
    return dict(sorted(totals.items()))


def _sorted(facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ids = ("charge", "customer")
    return sorted(
        facts, key=lambda fact: json.dumps({name: fact[name] for name in fact if name not in ids}, sort_keys=True)
    )
