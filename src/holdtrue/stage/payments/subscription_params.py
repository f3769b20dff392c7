"""What requests say of subscriptions and their items, read and checked."""

from typing import Any

from holdtrue.stage.payments import catalog, errors, subscriptions
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.store import Resource, clone

_DAY = 24 * 3600
_MAX_TRIAL_DAYS = 730
PAYMENT_BEHAVIORS = ("allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete")


def price_of(books: Books, params: Params) -> Resource:
    """The price of an item: named, or described on the spot."""
    if params.has("price"):
        price = books.get("price", params.need("price"), param=params.name("price"))
        if not price["active"]:
            raise errors.refused(
                f"The price specified is inactive. This field only accepts active prices: {price['id']}.",
                param=params.name("price"),
            )
        return price
    if params.has("price_data"):
        return catalog.price_from(books, params.nested("price_data"), hidden=True)
    raise errors.missing(params.name("price"))


def trial_end(books: Books, params: Params) -> int | None:
    """When a trial ends, from `trial_period_days` or `trial_end`; None without one."""
    days = params.integer("trial_period_days", minimum=0)
    if days is not None and days > _MAX_TRIAL_DAYS:
        raise errors.invalid(
            f"The maximum number of trial period days is {_MAX_TRIAL_DAYS}.", param="trial_period_days"
        )
    if days:
        return books.now() + days * _DAY
    if not params.has("trial_end") or params.text("trial_end") == "now":
        return None
    moment = params.need_integer("trial_end")
    if moment <= books.now():
        raise errors.refused(
            f"Invalid timestamp: must be an integer Unix timestamp in the future: {moment}", param="trial_end"
        )
    return moment


def common(books: Books, params: Params) -> dict[str, Any]:
    """What both creation and update take as it is."""
    fields: dict[str, Any] = {}
    if params.sent("description"):
        fields["description"] = params.text("description")
    if params.sent("metadata"):
        fields["metadata"] = params.metadata()
    if params.has("default_payment_method"):
        method = books.get("payment_method", params.need("default_payment_method"), param="default_payment_method")
        fields["default_payment_method"] = method["id"]
    if params.has("collection_method"):
        fields["collection_method"] = params.choice("collection_method", ("charge_automatically", "send_invoice"))
    if params.has("days_until_due"):
        fields["days_until_due"] = params.integer("days_until_due", minimum=0)
    elif fields.get("collection_method") == "send_invoice":
        raise errors.refused(
            "You must pass `days_until_due` when `collection_method` is `send_invoice`.", param="days_until_due"
        )
    if params.has("trial_settings"):
        fields["trial_settings"] = trial_settings(params)
    if params.boolean("cancel_at_period_end"):
        fields["cancel_at_period_end"] = True
    if params.has("cancel_at"):
        fields["cancel_at"] = params.integer("cancel_at")
    return fields


def trial_settings(params: Params) -> Resource:
    """What happens at the end of a trial without a card."""
    end = params.nested("trial_settings").nested("end_behavior")
    wanted = end.choice("missing_payment_method", ("cancel", "create_invoice", "pause"))
    return {"end_behavior": {"missing_payment_method": wanted or "create_invoice"}}


def quantity(params: Params) -> int:
    """The quantity of an item; one unless it is said."""
    quantity = params.integer("quantity", minimum=0)
    return 1 if quantity is None else quantity


def pause_collection(params: Params) -> Resource | None:
    """What happens to invoices while collection is paused; None resumes it."""
    if not params.has("pause_collection"):
        return None
    told = params.nested("pause_collection")
    told.need("behavior")
    behavior = told.choice("behavior", ("keep_as_draft", "mark_uncollectible", "void"))
    return {"behavior": behavior, "resumes_at": told.integer("resumes_at")}


def at_period_end(books: Books, subscription: Resource, wanted: bool) -> dict[str, Any]:
    """The fields of a subscription that ends with its period, or no longer does."""
    reason = "cancellation_requested" if wanted else None
    return {
        "cancel_at_period_end": wanted,
        "cancel_at": subscriptions.period(subscription)[1] if wanted else None,
        "canceled_at": books.now() if wanted else None,
        "cancellation_details": {**subscription["cancellation_details"], "reason": reason},
    }


def new_trial(books: Books, params: Params, subscription: Resource) -> dict[str, Any]:
    """The fields of a subscription whose trial ends at another moment, or now."""
    end = trial_end(books, params)
    if end is None:
        if subscription["status"] != "trialing":
            return {}
        end = books.now()
    items = subscriptions.with_period(subscription, subscriptions.period(subscription)[0], end)
    return {"trial_end": end, "items": items, "billing_cycle_anchor": end, "status": "trialing"}


def changed_items(books: Books, params: Params, subscription: Resource) -> list[Resource]:
    """The items as they are after the changes that `items` tells: added, changed by id, deleted."""
    entries = {entry["id"]: entry for entry in clone(subscription["items"]["data"])}
    for change in params.items("items"):
        if not change.has("id"):
            added = new_item(books, change, subscription)
            entries[added["id"]] = added
            continue
        item = entries.get(change.need("id"))
        if item is None:
            raise errors.no_such("subscription_item", change.need("id"), param=change.name("id"))
        if change.boolean("deleted"):
            del entries[item["id"]]
            continue
        change_item(books, change, item)
    if not entries:
        raise errors.refused("A subscription must have at least one active plan.", param="items")
    return list(entries.values())


def new_item(books: Books, params: Params, subscription: Resource) -> Resource:
    """An item that joins a subscription."""
    price = price_of(books, params)
    return subscriptions.item(
        books, subscription["id"], price, quantity(params), subscriptions.period(subscription), params.metadata()
    )


def change_item(books: Books, params: Params, item: Resource) -> None:
    """Another price, quantity or metadata for an item, in place."""
    if params.has("price") or params.has("price_data"):
        item["price"] = price_of(books, params)
        item["plan"] = catalog.plan_of(item["price"])
    if params.has("quantity"):
        item["quantity"] = quantity(params)
    if params.sent("metadata"):
        item["metadata"] = params.metadata(item["metadata"])


def cancellation_details(params: Params) -> dict[str, Any]:
    """What a customer said about leaving."""
    details = params.nested("cancellation_details")
    return {name: details.text(name) for name in ("comment", "feedback") if details.sent(name)}
