"""Subscriptions and their items: create, read, change, pause, cancel now or at the end of the period."""

from typing import Any

from holdtrue.stage.payments import (
    catalog,
    errors,
    invoice_objects,
    invoices,
    paying,
    payment_methods,
    prorations,
    renewals,
    subscriptions,
)
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.search import search
from holdtrue.stage.payments.store import Resource, clone

_DAY = 24 * 3600
_MAX_TRIAL_DAYS = 730
_BEHAVIORS = ("allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete")


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


def _create(books: Books, params: Params) -> Resource:
    customer = books.get("customer", params.need("customer"), param="customer")["id"]
    entries = params.items("items")
    if not entries:
        raise errors.missing("items")
    lines = [(price_of(books, entry), _quantity(entry)) for entry in entries]
    behavior = params.choice("payment_behavior", _BEHAVIORS) or "allow_incomplete"
    params.boolean("off_session")
    fields = _fields(books, params)
    trial = trial_end(books, params)
    subscription = subscriptions.make(books, customer, lines, trial_end=trial, **fields)
    invoiced = subscription["collection_method"] == "send_invoice"
    method = payment_methods.usable(books, customer, subscription["default_payment_method"])
    due = 0 if trial is not None or invoiced else subscriptions.total(subscription)
    if method is None and behavior != "default_incomplete" and due:
        raise errors.refused(
            "This customer has no attached payment source or default payment method. Please consider adding a default "
            "payment method. For more information, visit "
            "https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority.",
            code="resource_missing",
        )
    if invoiced and trial is None:
        books.change(subscription, None, status="active")
    books.emit("customer.subscription.created", subscription)
    invoice = invoices.issue(books, subscription, "subscription_create")
    if invoice["status"] == "open" and (invoiced or behavior != "default_incomplete"):
        paying.collect(books, invoice)
        if behavior == "error_if_incomplete":
            paying.answer(books.get("payment_intent", invoice["_payment_intent"]), undo=True)
    return books.get("subscription", subscription["id"])


def _fields(books: Books, params: Params) -> dict[str, Any]:
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


def _quantity(params: Params) -> int:
    quantity = params.integer("quantity", minimum=0)
    return 1 if quantity is None else quantity


def _update(books: Books, params: Params, identifier: str) -> Resource:
    subscription = books.live("subscription", identifier)
    if subscription["status"] in subscriptions.ENDED:
        allowed = {"metadata", "cancellation_details", "expand"}
        if set(params.values) - allowed:
            raise errors.refused(
                "A canceled subscription can only update its cancellation_details and metadata.",
                code="resource_missing",
            )
    changes = _fields(books, params)
    if params.sent("metadata"):
        changes["metadata"] = params.metadata(subscription["metadata"])
    if params.sent("pause_collection"):
        changes["pause_collection"] = _pause_collection(params)
    if params.has("trial_end"):
        changes |= _trial(books, params, subscription)
    if params.sent("cancel_at"):
        changes["cancel_at"] = params.integer("cancel_at")
        changes["canceled_at"] = None if changes["cancel_at"] is None else books.now()
    if params.has("cancel_at_period_end"):
        changes |= at_period_end(books, subscription, bool(params.boolean("cancel_at_period_end")))
    if params.has("cancellation_details"):
        changes["cancellation_details"] = {
            **(changes.get("cancellation_details") or subscription["cancellation_details"]),
            **_details(params),
        }
    params.boolean("off_session")
    behavior = params.choice("payment_behavior", _BEHAVIORS) or "allow_incomplete"
    if not params.has("items"):
        for name in ("proration_behavior", "proration_date"):
            params.echo(name)
        books.change(subscription, "customer.subscription.updated", **changes)
        if changes.get("trial_end") == books.now():
            renewals.renew(books, subscription)
        return books.get("subscription", identifier)
    data = changes.pop("items", subscription["items"])["data"]
    data = _items(books, params, {**subscription, "items": {**subscription["items"], "data": data}})
    return _with_items(books, params, subscription, data, behavior=behavior, **changes)


def _with_items(
    books: Books, params: Params, subscription: Resource, data: list[Resource], *, behavior: str, **changes: Any
) -> Resource:
    invoice = prorations.change_items(
        books,
        subscription,
        data,
        behavior=params.choice("proration_behavior", prorations.BEHAVIORS) or "create_prorations",
        at=params.integer("proration_date") or books.now(),
        **changes,
    )
    if invoice is not None and invoice["_payment_intent"] is not None and behavior == "error_if_incomplete":
        paying.answer(books.get("payment_intent", invoice["_payment_intent"]), undo=True)
    return books.get("subscription", subscription["id"])


def _pause_collection(params: Params) -> Resource | None:
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


def _trial(books: Books, params: Params, subscription: Resource) -> dict[str, Any]:
    end = trial_end(books, params)
    if end is None:
        if subscription["status"] != "trialing":
            return {}
        end = books.now()
    items = subscriptions.with_period(subscription, subscriptions.period(subscription)[0], end)
    return {"trial_end": end, "items": items, "billing_cycle_anchor": end, "status": "trialing"}


def _items(books: Books, params: Params, subscription: Resource) -> list[Resource]:
    entries = {entry["id"]: entry for entry in clone(subscription["items"]["data"])}
    for change in params.items("items"):
        if not change.has("id"):
            added = _entry(books, change, subscription)
            entries[added["id"]] = added
            continue
        item = entries.get(change.need("id"))
        if item is None:
            raise errors.no_such("subscription_item", change.need("id"), param=change.name("id"))
        if change.boolean("deleted"):
            del entries[item["id"]]
            continue
        _change_entry(books, change, item)
    if not entries:
        raise errors.refused("A subscription must have at least one active plan.", param="items")
    return list(entries.values())


def _entry(books: Books, params: Params, subscription: Resource) -> Resource:
    price = price_of(books, params)
    return subscriptions.item(
        books, subscription["id"], price, _quantity(params), subscriptions.period(subscription), params.metadata()
    )


def _change_entry(books: Books, params: Params, item: Resource) -> None:
    if params.has("price") or params.has("price_data"):
        item["price"] = price_of(books, params)
        item["plan"] = catalog.plan_of(item["price"])
    if params.has("quantity"):
        item["quantity"] = _quantity(params)
    if params.sent("metadata"):
        item["metadata"] = params.metadata(item["metadata"])


def _cancel(books: Books, params: Params, identifier: str) -> Resource:
    subscription = books.live("subscription", identifier)
    if subscription["status"] in subscriptions.ENDED:
        raise errors.no_such("subscription", identifier)
    subscription["cancellation_details"] |= _details(params)
    if params.boolean("prorate"):
        prorations.credit_all(books, subscription)
    if params.boolean("invoice_now") and invoice_objects.pending(books, subscription["customer"], identifier):
        invoice = invoices.draft(books, subscription, "subscription_update", period=False)
        paying.collect(books, invoices.finalize(books, invoice))
    return subscriptions.end(
        books, books.get("subscription", identifier) | {"cancellation_details": subscription["cancellation_details"]}
    )


def _details(params: Params) -> dict[str, Any]:
    details = params.nested("cancellation_details")
    return {name: details.text(name) for name in ("comment", "feedback") if details.sent(name)}


def _pause(books: Books, params: Params, identifier: str) -> Resource:
    subscription = books.live("subscription", identifier)
    if subscription["status"] not in ("active", "trialing", "past_due"):
        raise errors.refused(f"This subscription cannot be paused: its status is {subscription['status']}.")
    params.choice("type", ("subscription",))
    return subscriptions.pause(books, subscription, "pause_requested")


def _resume(books: Books, params: Params, identifier: str) -> Resource:
    subscription = books.live("subscription", identifier)
    if subscription["status"] != "paused":
        raise errors.refused(f"This subscription is not paused: its status is {subscription['status']}.")
    params.echo("proration_behavior")
    books.change(subscription, None, billing_cycle_anchor=books.now(), status="active", status_details=None)
    renewals.begin(books, subscription, books.now())
    subscription = books.get("subscription", identifier)
    books.emit("customer.subscription.resumed", subscription)
    return subscription


def _list(books: Books, params: Params) -> Resource:
    customer, price, status = params.text("customer"), params.text("price"), params.text("status")
    found = [
        subscription
        for subscription in newest(books.all("subscription"))
        if customer in (None, subscription["customer"])
        and (price is None or any(item["price"]["id"] == price for item in subscription["items"]["data"]))
        and _has_status(subscription, status)
    ]
    return page(found, params, "/v1/subscriptions", kind="subscription")


def _has_status(subscription: Resource, status: str | None) -> bool:
    own = str(subscription["status"])
    if status is None:
        return own != "canceled"
    if status == "ended":
        return own in subscriptions.ENDED
    return status in ("all", own)


def _search(books: Books, params: Params) -> Resource:
    return search(newest(books.all("subscription")), params, "/v1/subscriptions/search", fields=("status",))


def _list_items(books: Books, params: Params) -> Resource:
    subscription = books.get("subscription", params.need("subscription"), param="subscription")
    return page(subscription["items"]["data"], params, "/v1/subscription_items", kind="subscription_item")


def _find_item(books: Books, identifier: str) -> tuple[Resource, Resource]:
    for subscription in books.all("subscription"):
        for entry in subscription["items"]["data"]:
            if entry["id"] == identifier:
                return subscription, entry
    raise errors.no_such("subscription_item", identifier)


def _create_item(books: Books, params: Params) -> Resource:
    subscription = books.get("subscription", params.need("subscription"), param="subscription")
    added = _entry(books, params, subscription)
    _with_items(books, params, subscription, [*subscription["items"]["data"], added], behavior=_behavior(params))
    return _find_item(books, added["id"])[1]


def _update_item(books: Books, params: Params, identifier: str) -> Resource:
    subscription, _ = _find_item(books, identifier)
    data = clone(subscription["items"]["data"])
    _change_entry(books, params, next(entry for entry in data if entry["id"] == identifier))
    _with_items(books, params, subscription, data, behavior=_behavior(params))
    return _find_item(books, identifier)[1]


def _delete_item(books: Books, params: Params, identifier: str) -> Resource:
    subscription, _ = _find_item(books, identifier)
    data = [entry for entry in subscription["items"]["data"] if entry["id"] != identifier]
    if not data:
        raise errors.refused("A subscription must have at least one active plan.", param="items")
    _with_items(books, params, subscription, data, behavior=_behavior(params))
    return {"id": identifier, "object": "subscription_item", "deleted": True}


def _behavior(params: Params) -> str:
    params.boolean("off_session")
    return params.choice("payment_behavior", _BEHAVIORS) or "allow_incomplete"


ROUTES = (
    Route("POST", "/v1/subscriptions", _create),
    Route("GET", "/v1/subscriptions", _list),
    Route("GET", "/v1/subscriptions/search", _search),
    Route("GET", "/v1/subscriptions/{id}", lambda books, _, identifier: books.get("subscription", identifier)),
    Route("POST", "/v1/subscriptions/{id}", _update),
    Route("DELETE", "/v1/subscriptions/{id}", _cancel),
    Route("POST", "/v1/subscriptions/{id}/pause", _pause),
    Route("POST", "/v1/subscriptions/{id}/resume", _resume),
    Route("GET", "/v1/subscription_items", _list_items),
    Route("POST", "/v1/subscription_items", _create_item),
    Route("GET", "/v1/subscription_items/{id}", lambda books, _, identifier: _find_item(books, identifier)[1]),
    Route("POST", "/v1/subscription_items/{id}", _update_item),
    Route("DELETE", "/v1/subscription_items/{id}", _delete_item),
)
