"""Subscriptions: create, read, change, cancel now or at the end of the period."""

from typing import Any

from holdtrue.stage.payments import catalog, errors, invoices, paying, payment_methods, subscriptions
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.store import Resource

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
    fields: dict[str, Any] = {"metadata": params.metadata(), "description": params.text("description")}
    preferred = params.text("default_payment_method")
    if preferred is not None:
        books.get("payment_method", preferred, param="default_payment_method")
        fields["default_payment_method"] = preferred
    if params.boolean("cancel_at_period_end"):
        fields["cancel_at_period_end"] = True
    trial = trial_end(books, params)
    method = payment_methods.usable(books, customer, preferred)
    subscription = subscriptions.make(books, customer, lines, trial_end=trial, **fields)
    if method is None and behavior != "default_incomplete" and trial is None and subscriptions.total(subscription):
        raise errors.refused(
            "This customer has no attached payment source or default payment method. Please consider adding a default "
            "payment method. For more information, visit "
            "https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority.",
            code="resource_missing",
        )
    books.emit("customer.subscription.created", subscription)
    invoice = invoices.issue(books, subscription, "subscription_create")
    if invoice["status"] == "open" and behavior != "default_incomplete" and method is not None:
        paying.pay_invoice(books, invoice, method)
        if behavior == "error_if_incomplete":
            paying.answer(books.get("payment_intent", invoice["_payment_intent"]))
    return books.get("subscription", subscription["id"])


def _quantity(params: Params) -> int:
    quantity = params.integer("quantity", minimum=0)
    return 1 if quantity is None else quantity


def _update(books: Books, params: Params, identifier: str) -> Resource:
    subscription = books.live("subscription", identifier)
    changes: dict[str, Any] = {}
    if subscription["status"] in subscriptions.ENDED:
        allowed = {"metadata", "cancellation_details", "expand"}
        if set(params.values) - allowed:
            raise errors.refused(
                "A canceled subscription can only update its cancellation_details and metadata.",
                code="resource_missing",
            )
    if params.sent("metadata"):
        changes["metadata"] = params.metadata(subscription["metadata"])
    if params.has("items"):
        changes["items"] = _items(books, params, subscription)
    if params.has("default_payment_method"):
        method = books.get("payment_method", params.need("default_payment_method"), param="default_payment_method")
        changes["default_payment_method"] = method["id"]
    if params.sent("description"):
        changes["description"] = params.text("description")
    if params.sent("pause_collection"):
        changes["pause_collection"] = params.echo("pause_collection")
    if params.has("trial_end"):
        changes |= _trial(books, params, subscription)
    if params.sent("cancel_at"):
        changes["cancel_at"] = params.integer("cancel_at")
        changes["canceled_at"] = None if changes["cancel_at"] is None else books.now()
    if params.has("cancel_at_period_end"):
        changes |= _at_period_end(books, subscription, bool(params.boolean("cancel_at_period_end")))
    if params.has("cancellation_details"):
        changes["cancellation_details"] = {
            **(changes.get("cancellation_details") or subscription["cancellation_details"]),
            **_details(params),
        }
    return books.change(subscription, "customer.subscription.updated", **changes)


def _at_period_end(books: Books, subscription: Resource, wanted: bool) -> dict[str, Any]:
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


def _items(books: Books, params: Params, subscription: Resource) -> Resource:
    entries = {entry["id"]: entry for entry in subscription["items"]["data"]}
    start, finish = subscriptions.period(subscription)
    for change in params.items("items"):
        if not change.has("id"):
            price = price_of(books, change)
            added = subscriptions.item(books, subscription["id"], price, _quantity(change), (start, finish))
            entries[added["id"]] = added
            continue
        item = entries.get(change.need("id"))
        if item is None:
            raise errors.no_such("subscription_item", change.need("id"), param=change.name("id"))
        if change.boolean("deleted"):
            del entries[item["id"]]
            continue
        if change.has("price") or change.has("price_data"):
            item["price"] = price_of(books, change)
            item["plan"] = catalog.plan_of(item["price"])
        if change.has("quantity"):
            item["quantity"] = _quantity(change)
    if not entries:
        raise errors.refused("A subscription must have at least one active plan.", param="items")
    return {**subscription["items"], "data": list(entries.values())}


def _cancel(books: Books, params: Params, identifier: str) -> Resource:
    subscription = books.live("subscription", identifier)
    if subscription["status"] in subscriptions.ENDED:
        raise errors.no_such("subscription", identifier)
    subscription["cancellation_details"] |= _details(params)
    return subscriptions.end(books, subscription)


def _details(params: Params) -> dict[str, Any]:
    details = params.nested("cancellation_details")
    return {name: details.text(name) for name in ("comment", "feedback") if details.sent(name)}


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


def _list_items(books: Books, params: Params) -> Resource:
    subscription = books.get("subscription", params.need("subscription"), param="subscription")
    return page(subscription["items"]["data"], params, "/v1/subscription_items", kind="subscription_item")


ROUTES = (
    Route("POST", "/v1/subscriptions", _create),
    Route("GET", "/v1/subscriptions", _list),
    Route("GET", "/v1/subscriptions/{id}", lambda books, _, identifier: books.get("subscription", identifier)),
    Route("POST", "/v1/subscriptions/{id}", _update),
    Route("DELETE", "/v1/subscriptions/{id}", _cancel),
    Route("GET", "/v1/subscription_items", _list_items),
)
