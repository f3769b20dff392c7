"""Paying: an intent meets a card, and everything that follows from it.

The lifecycle is https://docs.stripe.com/payments/paymentintents/lifecycle.
"""

from collections.abc import Mapping
from typing import Any

from holdtrue.stage.payments import charges, disputes, errors, invoice_objects, invoices, payment_methods
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.store import Resource


def confirm(books: Books, intent: Resource, method: Resource, *, off_session: bool = False) -> Resource:
    """Try to pay with a method, and tell the events of what came of it. The outcome is in the intent's status.

    Off session there is nobody whom the bank could ask: an app's own payment is declined for it, an invoice waits.
    """
    answer = method.get("_answer")
    if answer is None and method.get("_later") == "decline":
        answer = "generic_decline"
    if answer is None and intent["customer"] is not None:
        answer = books.world.script.declined_customers.get(intent["customer"])
    intent["payment_method"] = method["id"]
    if answer == "authenticate" and off_session and not intent.get("_invoice"):
        answer = "authentication_required"
    if answer == "authenticate" and not intent.get("_authenticated"):
        action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
        books.change(intent, None, status="requires_action", next_action=action)
        books.emit("payment_intent.requires_action", intent)
        if off_session:
            invoices.payment_failed(books, books.get("invoice", intent["_invoice"]), action=True)
        return intent
    declined = None if answer == "authenticate" else answer
    capture = intent["capture_method"] != "manual"
    charge = charges.make(books, intent, method, decline=declined, capture=capture)
    if declined is not None:
        return _declined(books, intent, charge, method, declined, automatic=off_session)
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
        invoices.paid(books, books.get("invoice", intent["_invoice"]), charge, automatic=off_session)
    if method.get("_later") in ("dispute", "inquiry"):
        inquiry = method["_later"] == "inquiry"
        disputes.make(books, charge, charge["amount_captured"], reason="fraudulent", inquiry=inquiry)
    return intent


def _declined(
    books: Books, intent: Resource, charge: Resource, method: Resource, decline: str, *, automatic: bool
) -> Resource:
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
        invoices.payment_failed(books, books.get("invoice", intent["_invoice"]), automatic=automatic)
    return intent


def answer(intent: Resource, *, undo: bool = False) -> Resource:
    """The intent, or the 402 that Stripe answers when its card was declined; with `undo` it leaves no trace.

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
        undo=undo,
        payment_intent=intent,
        **more,
    )


def pay_invoice(books: Books, invoice: Resource, method: Resource, *, automatic: bool = False) -> Resource:
    """Try to pay an open invoice with a method, at the customer's wish or by itself; the invoice as it is then."""
    confirm(books, books.get("payment_intent", invoice["_payment_intent"]), method, off_session=automatic)
    return books.get("invoice", invoice["id"])


def collect(books: Books, invoice: Resource) -> Resource:
    """What Stripe does by itself with an open invoice: charge the default card, or send it; the outcome."""
    if invoice["status"] != "open":
        return invoice
    if invoice["collection_method"] == "send_invoice":
        books.emit("invoice.sent", invoice)
        return invoice
    subscription = invoice_objects.subscription_of(invoice)
    preferred = invoice["default_payment_method"]
    if preferred is None and subscription is not None:
        preferred = books.get("subscription", subscription)["default_payment_method"]
    method = payment_methods.usable(books, invoice["customer"], preferred)
    if method is None:
        return invoices.payment_failed(books, invoice)
    return pay_invoice(books, invoice, method, automatic=True)
