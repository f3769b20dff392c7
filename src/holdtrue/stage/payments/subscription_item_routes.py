"""The items of subscriptions, one by one (https://docs.stripe.com/api/subscription_items)."""

from typing import Any

from holdtrue.stage.payments import errors, paying, prorations
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.store import Resource, clone
from holdtrue.stage.payments.subscription_params import PAYMENT_BEHAVIORS, change_item, new_item


def with_items(
    books: Books, params: Params, subscription: Resource, data: list[Resource], *, behavior: str, **changes: Any
) -> Resource:
    """Other items, billed as `proration_behavior` says; the subscription as it is then."""
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
    added = new_item(books, params, subscription)
    with_items(books, params, subscription, [*subscription["items"]["data"], added], behavior=_behavior(params))
    return _find_item(books, added["id"])[1]


def _update_item(books: Books, params: Params, identifier: str) -> Resource:
    subscription, _ = _find_item(books, identifier)
    data = clone(subscription["items"]["data"])
    change_item(books, params, next(entry for entry in data if entry["id"] == identifier))
    with_items(books, params, subscription, data, behavior=_behavior(params))
    return _find_item(books, identifier)[1]


def _delete_item(books: Books, params: Params, identifier: str) -> Resource:
    subscription, _ = _find_item(books, identifier)
    data = [entry for entry in subscription["items"]["data"] if entry["id"] != identifier]
    if not data:
        raise errors.refused("A subscription must have at least one active plan.", param="items")
    with_items(books, params, subscription, data, behavior=_behavior(params))
    return {"id": identifier, "object": "subscription_item", "deleted": True}


def _behavior(params: Params) -> str:
    params.boolean("off_session")
    return params.choice("payment_behavior", PAYMENT_BEHAVIORS) or "allow_incomplete"


ROUTES = (
    Route("GET", "/v1/subscription_items", _list_items),
    Route("POST", "/v1/subscription_items", _create_item),
    Route("GET", "/v1/subscription_items/{id}", lambda books, _, identifier: _find_item(books, identifier)[1]),
    Route("POST", "/v1/subscription_items/{id}", _update_item),
    Route("DELETE", "/v1/subscription_items/{id}", _delete_item),
)
