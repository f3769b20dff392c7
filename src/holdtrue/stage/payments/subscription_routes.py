"""Subscriptions: create, read, change, pause, cancel now or at the end of the period."""

from holdtrue.stage.payments import (
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
from holdtrue.stage.payments.store import Resource
from holdtrue.stage.payments.subscription_item_routes import with_items
from holdtrue.stage.payments.subscription_params import (
    PAYMENT_BEHAVIORS,
    at_period_end,
    cancellation_details,
    changed_items,
    common,
    new_trial,
    pause_collection,
    price_of,
    quantity,
    trial_end,
)


def _create(books: Books, params: Params) -> Resource:
    customer = books.get("customer", params.need("customer"), param="customer")["id"]
    entries = params.items("items")
    if not entries:
        raise errors.missing("items")
    lines = [(price_of(books, entry), quantity(entry)) for entry in entries]
    behavior = params.choice("payment_behavior", PAYMENT_BEHAVIORS) or "allow_incomplete"
    params.boolean("off_session")
    fields = common(books, params)
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
    invoice = invoices.first(books, subscription, tell=True)
    if invoice["status"] == "open" and (invoiced or behavior != "default_incomplete"):
        paying.collect(books, invoice)
        if behavior == "error_if_incomplete":
            paying.answer(books.get("payment_intent", invoice["_payment_intent"]), undo=True)
    return books.get("subscription", subscription["id"])


def _update(books: Books, params: Params, identifier: str) -> Resource:
    subscription = books.live("subscription", identifier)
    if subscription["status"] in subscriptions.ENDED:
        allowed = {"metadata", "cancellation_details", "expand"}
        if set(params.values) - allowed:
            raise errors.refused(
                "A canceled subscription can only update its cancellation_details and metadata.",
                code="resource_missing",
            )
    changes = common(books, params)
    if params.sent("metadata"):
        changes["metadata"] = params.metadata(subscription["metadata"])
    if params.sent("pause_collection"):
        changes["pause_collection"] = pause_collection(params)
    if params.has("trial_end"):
        changes |= new_trial(books, params, subscription)
    if params.sent("cancel_at"):
        changes["cancel_at"] = params.integer("cancel_at")
        changes["canceled_at"] = None if changes["cancel_at"] is None else books.now()
    if params.has("cancel_at_period_end"):
        changes |= at_period_end(books, subscription, bool(params.boolean("cancel_at_period_end")))
    if params.has("cancellation_details"):
        changes["cancellation_details"] = {
            **(changes.get("cancellation_details") or subscription["cancellation_details"]),
            **cancellation_details(params),
        }
    params.boolean("off_session")
    behavior = params.choice("payment_behavior", PAYMENT_BEHAVIORS) or "allow_incomplete"
    if not params.has("items"):
        for name in ("proration_behavior", "proration_date"):
            params.echo(name)
        books.change(subscription, "customer.subscription.updated", **changes)
        if changes.get("trial_end") == books.now():
            renewals.renew(books, subscription)
        return books.get("subscription", identifier)
    data = changes.pop("items", subscription["items"])["data"]
    data = changed_items(books, params, {**subscription, "items": {**subscription["items"], "data": data}})
    return with_items(books, params, subscription, data, behavior=behavior, **changes)


def _cancel(books: Books, params: Params, identifier: str) -> Resource:
    subscription = books.live("subscription", identifier)
    if subscription["status"] in subscriptions.ENDED:
        raise errors.no_such("subscription", identifier)
    subscription["cancellation_details"] |= cancellation_details(params)
    if params.boolean("prorate"):
        prorations.credit_all(books, subscription)
    if params.boolean("invoice_now") and invoice_objects.pending(books, subscription["customer"], identifier):
        invoice = invoices.draft(books, subscription, "subscription_update", period=False)
        paying.collect(books, invoices.finalize(books, invoice))
    return subscriptions.end(
        books, books.get("subscription", identifier) | {"cancellation_details": subscription["cancellation_details"]}
    )


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


ROUTES = (
    Route("POST", "/v1/subscriptions", _create),
    Route("GET", "/v1/subscriptions", _list),
    Route("GET", "/v1/subscriptions/search", _search),
    Route("GET", "/v1/subscriptions/{id}", lambda books, _, identifier: books.get("subscription", identifier)),
    Route("POST", "/v1/subscriptions/{id}", _update),
    Route("DELETE", "/v1/subscriptions/{id}", _cancel),
    Route("POST", "/v1/subscriptions/{id}/pause", _pause),
    Route("POST", "/v1/subscriptions/{id}/resume", _resume),
)
