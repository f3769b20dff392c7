"""From a decoded request to an answer: route, handler, shape, expansion; and what is not modelled."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdtrue.stage.payments import (
    accounts,
    balance,
    catalog,
    charges,
    checkout,
    customers,
    disputes,
    errors,
    events,
    intent_routes,
    invoice_routes,
    payment_methods,
    portal,
    previews,
    refunds,
    setup_intents,
    shapes,
    subscription_item_routes,
    subscription_routes,
    versions,
)
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.parameters import KNOWN
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Router

_RESOURCES = (
    accounts,
    balance,
    catalog,
    charges,
    checkout,
    customers,
    disputes,
    events,
    intent_routes,
    invoice_routes,
    payment_methods,
    portal,
    previews,
    refunds,
    setup_intents,
    subscription_item_routes,
    subscription_routes,
)


ROUTES = tuple(route for resource in _RESOURCES for route in resource.ROUTES)
"""Everything that is modelled."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Status and JSON body; `stored` tells whether an idempotency key remembers it."""

    status: int
    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    stored: bool = True


class Service:
    """Executes requests. A request that is refused leaves no trace; a declined card leaves its failed charge."""

    def __init__(self) -> None:
        self._router = Router(ROUTES)
        self.unmodelled: dict[str, None] = {}

    def execute(self, books: Books, method: str, path: str, parameters: Mapping[str, Any]) -> Answer:
        """Run one operation.

        Raises:
            StripeError: Stripe refuses it.
        """
        found = self._router.find(method, path)
        if found is None:
            self.unmodelled[f"{method} {path}"] = None
            raise errors.unknown_url(method, path)
        route, identifiers = found
        values = {name: value for name, value in parameters.items() if name != "expand"}
        if books.at_least(versions.LATEST):
            _refuse_unknown(values, KNOWN.get((method, route.path), frozenset()))
        params = Params(values)
        before = books.world.snapshot()
        try:
            resource = route.handler(books, params, *identifiers)
            shown = shapes.shape(resource, books.version, books.store)
            for expansion in Params(parameters).texts("expand"):
                shapes.expand(shown, expansion, books.version, books.store)
        except errors.StripeError as error:
            if error.undo:
                books.world.restore(before)
            raise
        self.unmodelled.update(dict.fromkeys(f"{method} {route.path}: {name}" for name in params.unread()))
        return Answer(status=200, body=encode(shown))

    def refusal(self, books: Books | None, error: errors.StripeError) -> Answer:
        """The answer that tells of an error."""
        body = error.body() if books is None else shapes.shape(dict(error.body()), books.version, books.store)
        headers: tuple[tuple[str, str], ...] = ()
        if error.status == 401:
            headers = (("WWW-Authenticate", 'Basic realm="Stripe"'),)
        elif error.status == 409:
            headers = (("Stripe-Should-Retry", "true"),)
        elif error.status >= 500 or error.kind == "card_error":
            headers = (("Stripe-Should-Retry", "false"),)
        return Answer(status=error.status, body=encode(body), headers=headers, stored=error.stored)


def _refuse_unknown(values: Mapping[str, Any], known: frozenset[str]) -> None:
    """Older versions knew parameters that are gone since, so only today's version is held to today's."""
    unknown = [name for name in values if name not in known]
    if unknown:
        raise errors.invalid(
            f"Received unknown parameter{'s' if len(unknown) > 1 else ''}: {', '.join(unknown)}",
            param=unknown[0],
            code="parameter_unknown",
        )


def encode(value: Any) -> bytes:
    """JSON as Stripe writes it, indented by two."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode()
