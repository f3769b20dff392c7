"""The payment intent as an object (https://docs.stripe.com/api/payment_intents)."""

from typing import Any

from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.store import Resource

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
_TEXTS = (
    "description",
    "on_behalf_of",
    "setup_future_usage",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)


def make(books: Books, *, amount: int, currency: str, **fields: Any) -> Resource:
    """A new intent, with its event."""
    identifier = books.new_id("payment_intent")
    intent: Resource = {
        "id": identifier,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{identifier}_{books.new_id('client_secret')}",
        "confirmation_method": "automatic",
        "created": books.now(),
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"installments": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        **fields,
    }
    books.save(intent)
    books.emit("payment_intent.created", intent)
    return intent


def shared_fields(params: Params) -> dict[str, Any]:
    """Fields that an intent takes both from its own parameters and from `payment_intent_data` of Checkout."""
    fields: dict[str, Any] = {name: params.text(name) for name in _TEXTS if params.sent(name)}
    if params.has("application_fee_amount"):
        fields["application_fee_amount"] = params.integer("application_fee_amount", minimum=0)
    if params.has("capture_method"):
        fields["capture_method"] = params.choice("capture_method", ("automatic", "automatic_async", "manual"))
    if params.has("receipt_email"):
        fields["receipt_email"] = params.email("receipt_email")
    if params.has("shipping"):
        fields["shipping"] = params.echo("shipping")
    if params.has("transfer_data"):
        data = params.nested("transfer_data")
        fields["transfer_data"] = {"destination": data.need("destination")}
        if data.has("amount"):
            fields["transfer_data"]["amount"] = data.integer("amount", minimum=1)
    return fields
