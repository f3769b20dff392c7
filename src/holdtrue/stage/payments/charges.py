"""Charges: the money that moves when a payment intent succeeds (https://docs.stripe.com/api/charges)."""

from typing import Any

from holdtrue.stage.payments import balance, money
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.search import search
from holdtrue.stage.payments.store import Resource

_MESSAGES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}


def make(books: Books, intent: Resource, method: Resource, *, decline: str | None, capture: bool) -> Resource:
    """Charge a method for an intent; emits `charge.succeeded` or `charge.failed`."""
    paid = decline is None
    charge: Resource = {
        "id": books.new_id("charge"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if paid and capture else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": intent["application_fee_amount"],
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "STAGE" if paid else None,
        "captured": paid and capture,
        "created": books.now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None if paid else _code(decline),
        "failure_message": None if paid else message(decline),
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": intent["on_behalf_of"],
        "outcome": _outcome(decline),
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _details(method, intent["amount"]),
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "succeeded" if paid else "failed",
        "transfer_data": intent["transfer_data"],
        "transfer_group": intent["transfer_group"],
        "_invoice": intent.get("_invoice"),
        "_later": method.get("_later"),
    }
    if paid:
        charge["receipt_url"] = f"https://pay.stripe.com/receipts/payment/{charge['id']}"
    if charge["captured"]:
        charge["balance_transaction"] = balance.record(
            books, "charge", charge["amount"], charge, fee=money.fee(charge["amount"])
        )
    books.save(charge)
    books.emit("charge.succeeded" if paid else "charge.failed", charge)
    return charge


def message(decline: str | None) -> str:
    """What the card holder is told."""
    return _MESSAGES.get(decline or "", "Your card was declined.")


def _code(decline: str | None) -> str:
    return str(decline) if decline in ("expired_card", "authentication_required") else "card_declined"


def card_error(intent: Resource, charge: Resource, method: Resource, decline: str) -> Resource:
    """The body of a declined card's error, which is also the intent's `last_payment_error`."""
    error: dict[str, Any] = {
        "charge": charge["id"],
        "code": _code(decline),
        "decline_code": decline,
        "doc_url": f"https://stripe.com/docs/error-codes/{_code(decline).replace('_', '-')}",
        "message": message(decline),
        "payment_method": method,
        "type": "card_error",
    }
    if decline == "expired_card":
        error["param"] = "exp_month"
    return error


def _outcome(decline: str | None) -> Resource:
    paid = decline is None
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network" if paid else "declined_by_network",
        "reason": decline,
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": "Payment complete." if paid else "The bank did not return any further details.",
        "type": "authorized" if paid else "issuer_declined",
    }


def _details(method: Resource, amount: int) -> Resource:
    card = method["card"]
    return {
        "card": {
            "amount_authorized": amount,
            "authorization_code": None,
            "brand": card["brand"],
            "checks": card["checks"],
            "country": card["country"],
            "exp_month": card["exp_month"],
            "exp_year": card["exp_year"],
            "extended_authorization": {"status": "disabled"},
            "fingerprint": card["fingerprint"],
            "funding": card["funding"],
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "last4": card["last4"],
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": card["brand"],
            "network_token": {"used": False},
            "network_transaction_id": None,
            "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
            "regulated_status": "unregulated",
            "three_d_secure": None,
            "wallet": None,
        },
        "type": "card",
    }


def _update(books: Books, params: Params, identifier: str) -> Resource:
    charge = books.live("charge", identifier)
    changes: dict[str, Any] = {
        name: params.text(name) for name in ("description", "receipt_email") if params.sent(name)
    }
    changes["metadata"] = params.metadata(charge["metadata"])
    return books.change(charge, "charge.updated", **changes)


def _list(books: Books, params: Params) -> Resource:
    wanted = {name: params.text(name) for name in ("customer", "payment_intent", "transfer_group")}
    found = [
        charge
        for charge in newest(books.all("charge"))
        if all(value in (None, charge[name]) for name, value in wanted.items())
    ]
    return page(found, params, "/v1/charges", kind="charge")


def _search(books: Books, params: Params) -> Resource:
    fields = ("currency", "customer", "status")
    return search(newest(books.all("charge")), params, "/v1/charges/search", fields=fields)


ROUTES = (
    Route("GET", "/v1/charges", _list),
    Route("GET", "/v1/charges/search", _search),
    Route("GET", "/v1/charges/{id}", lambda books, _, identifier: books.get("charge", identifier)),
    Route("POST", "/v1/charges/{id}", _update),
)
