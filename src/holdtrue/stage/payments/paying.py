"""Paying: an intent meets a card, and everything that follows from it.

The lifecycle is https://docs.stripe.com/payments/paymentintents/lifecycle.
"""

from collections.abc import Mapping
from typing import Any

from holdtrue.stage.payments import charges, disputes, errors, invoices, payment_methods
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.store import Resource


def confirm(books: Books, intent: Resource, method: Resource) -> Resource:
    """Try to pay with a method, and tell the events of what came of it. The outcome is in the intent's status."""
    answer = method.get("_answer")
    if answer is None and method.get("_later") == "decline":
        answer = "generic_decline"
    if answer is None and intent["customer"] is not None:
        answer = books.world.script.declined_customers.get(intent["customer"])
    intent["payment_method"] = method["id"]
    if answer == "authenticate" and not intent.get("_authenticated"):
        action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
        books.change(intent, None, status="requires_action", next_action=action)
        books.emit("payment_intent.requires_action", intent)
        return intent
    declined = None if answer == "authenticate" else answer
    capture = intent["capture_method"] != "manual"
    charge = charges.make(books, intent, method, decline=declined, capture=capture)
    if declined is not None:
        return _declined(books, intent, charge, method, declined)
    if intent["setup_future_usage"] and intent["customer"]:
        payment_methods.attach(books, method, intent["customer"])
    settled = {"latest_charge": charge["id"], "next_action": None, "last_payment_error": None}
    if not capture:
        books.change(intent, None, status="requires_capture", amount_capturable=intent["amount"], **settled)
        books.emit("payment_intent.amount_capturable_updated", intent)
        return intent
    books.change(intent, None, status="succeeded", amount_received=intent["amount"], **settled)
    books.emit("payment_intent.succeeded", intent)
    if intent.get("_invoice"):
        invoices.paid(books, books.get("invoice", intent["_invoice"]), charge)
    if method.get("_later") in ("dispute", "inquiry"):
        inquiry = method["_later"] == "inquiry"
        disputes.make(books, charge, charge["amount_captured"], reason="fraudulent", inquiry=inquiry)
    return intent


def _declined(books: Books, intent: Resource, charge: Resource, method: Resource, decline: str) -> Resource:
    error = charges.card_error(intent, charge, method, decline)
    books.change(
        intent,
        None,
        status="requires_payment_method",
        latest_charge=charge["id"],
        last_payment_error=error,
        payment_method=None,
        next_action=None,
    )
    books.emit("payment_intent.payment_failed", intent)
    if intent.get("_invoice"):
        invoices.payment_failed(books, books.get("invoice", intent["_invoice"]))
    return intent


def answer(intent: Resource) -> Resource:
    """The intent, or the 402 that Stripe answers when its card was declined.

    Raises:
        StripeError: the last attempt was declined.
    """
    failure: Mapping[str, Any] | None = intent["last_payment_error"]
    if failure is None or intent["status"] != "requires_payment_method":
        return intent
    more = {name: failure[name] for name in ("charge", "decline_code", "payment_method")}
    raise errors.StripeError(
        402,
        failure["message"],
        kind="card_error",
        code=failure["code"],
        param=failure.get("param"),
        payment_intent=intent,
        **more,
    )


def pay_invoice(books: Books, invoice: Resource, method: Resource) -> Resource:
    """Try to pay an open invoice with a method; the invoice as it is afterwards."""
    confirm(books, books.get("payment_intent", invoice["_payment_intent"]), method)
    return books.get("invoice", invoice["id"])
