"""Setup intents: a card is kept for later (https://docs.stripe.com/api/setup_intents)."""

from typing import Any

from holdtrue.stage.payments import errors, payment_methods
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.store import Resource


def make(books: Books, **fields: Any) -> Resource:
    """A new setup intent, with its event."""
    identifier = books.new_id("setup_intent")
    intent: Resource = {
        "id": identifier,
        "object": "setup_intent",
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": f"{identifier}_{books.new_id('client_secret')}",
        "created": books.now(),
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": "off_session",
        **fields,
    }
    books.save(intent)
    books.emit("setup_intent.created", intent)
    return intent


def succeed(books: Books, intent: Resource, method: Resource) -> Resource:
    """Keep the card, for the intent's customer where it has one."""
    if intent["customer"] is not None:
        payment_methods.attach(books, method, intent["customer"])
    books.change(intent, None, status="succeeded", payment_method=method["id"])
    books.emit("setup_intent.succeeded", intent)
    return intent


def fail(books: Books, intent: Resource) -> Resource:
    """The bank does not let the card be kept."""
    error = {
        "code": "card_declined",
        "decline_code": "generic_decline",
        "message": "Your card was declined.",
        "type": "card_error",
    }
    books.change(intent, None, last_setup_error=error)
    books.emit("setup_intent.setup_failed", intent)
    return intent


def _create(books: Books, params: Params) -> Resource:
    fields: dict[str, Any] = {"metadata": params.metadata(), "description": params.text("description")}
    if params.has("customer"):
        fields["customer"] = books.get("customer", params.need("customer"), param="customer")["id"]
    fields["usage"] = params.choice("usage", ("off_session", "on_session")) or "off_session"
    params.echo("automatic_payment_methods")
    if params.has("payment_method_types"):
        fields["payment_method_types"] = params.texts("payment_method_types")
    intent = make(books, **fields)
    return _confirm_with(books, params, intent) if params.boolean("confirm") else intent


def _confirm(books: Books, params: Params, identifier: str) -> Resource:
    return _confirm_with(books, params, books.live("setup_intent", identifier))


def _confirm_with(books: Books, params: Params, intent: Resource) -> Resource:
    params.echo("return_url")
    if intent["status"] in ("succeeded", "canceled"):
        raise errors.refused(
            f"You cannot confirm this SetupIntent because it has a status of {intent['status']}.",
            code="setup_intent_unexpected_state",
        )
    method = payment_methods.named(books, params.need("payment_method"), param="payment_method")
    if method["_answer"] not in (None, "authenticate"):
        failed = fail(books, intent)
        error = failed["last_setup_error"]
        raise errors.StripeError(
            402,
            error["message"],
            kind="card_error",
            code=error["code"],
            decline_code=error["decline_code"],
            setup_intent=failed,
        )
    return succeed(books, intent, method)


def _update(books: Books, params: Params, identifier: str) -> Resource:
    intent = books.live("setup_intent", identifier)
    changes: dict[str, Any] = {"metadata": params.metadata(intent["metadata"])}
    if params.sent("description"):
        changes["description"] = params.text("description")
    if params.has("customer"):
        changes["customer"] = books.get("customer", params.need("customer"), param="customer")["id"]
    return books.change(intent, None, **changes)


def _list(books: Books, params: Params) -> Resource:
    wanted = {name: params.text(name) for name in ("customer", "payment_method")}
    found = [
        intent
        for intent in newest(books.all("setup_intent"))
        if all(value in (None, intent[name]) for name, value in wanted.items())
    ]
    return page(found, params, "/v1/setup_intents", kind="setup_intent")


def _cancel(books: Books, _: Params, identifier: str) -> Resource:
    intent = books.live("setup_intent", identifier)
    books.change(intent, None, status="canceled")
    books.emit("setup_intent.canceled", intent)
    return intent


ROUTES = (
    Route("POST", "/v1/setup_intents", _create),
    Route("GET", "/v1/setup_intents", _list),
    Route("POST", "/v1/setup_intents/{id}", _update),
    Route("GET", "/v1/setup_intents/{id}", lambda books, _, identifier: books.get("setup_intent", identifier)),
    Route("POST", "/v1/setup_intents/{id}/confirm", _confirm),
    Route("POST", "/v1/setup_intents/{id}/cancel", _cancel),
)
