"""Events: what Stripe tells about its objects, and the list an app can read them from."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from holdtrue.stage.payments import errors, shapes
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.differences import previous_attributes
from holdtrue.stage.payments.listing import page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.store import Resource
from holdtrue.stage.payments.world import Event


def body(books: Books, event: Event, version: str) -> Resource:
    """The event as JSON, its object in the shape of an API version."""
    data: dict[str, Any] = {"object": shapes.shape(dict(event.object), version, books.store)}
    if event.before is not None:
        before = shapes.shape(dict(event.before), version, books.store)
        data["previous_attributes"] = previous_attributes(before, data["object"])
    envelope: Resource = {"id": event.id, "object": "event"}
    if event.account is not None:
        envelope["account"] = event.account
    envelope |= {
        "api_version": version,
        "created": event.created,
        "data": data,
        "livemode": event.livemode,
        "pending_webhooks": 0 if event.id in books.world.delivered else 1,
        "request": {"id": event.request_id, "idempotency_key": event.idempotency_key},
        "type": event.type,
    }
    return envelope


def _retrieve(books: Books, _: Params, identifier: str) -> Resource:
    for event in books.events():
        if event.id == identifier:
            return body(books, event, books.world.api_version)
    raise errors.no_such("event", identifier)


def _list(books: Books, params: Params) -> Resource:
    wanted = params.texts("types")
    if len(wanted) > 20:
        raise errors.invalid("You may only specify up to 20 types.", param="types")
    single = params.text("type")
    if single is not None and wanted:
        raise errors.invalid("You may only specify one of these parameters: type, types.", param="types")
    patterns = wanted or ([single] if single else ["*"])
    success = params.boolean("delivery_success")
    found: list[Mapping[str, Any]] = [
        body(books, event, books.world.api_version)
        for event in books.events()
        if any(fnmatchcase(event.type, pattern) for pattern in patterns)
        and (success is None or success == (event.id in books.world.delivered))
        and event.created > books.now() - _KEPT_SECONDS
    ]
    return page(found, params, "/v1/events", kind="event", order=[event.id for event in books.events()])


# Stripe lists events of the last 30 days only.
_KEPT_SECONDS = 30 * 24 * 3600

ROUTES = (
    Route("GET", "/v1/events", _list),
    Route("GET", "/v1/events/{id}", _retrieve),
)
