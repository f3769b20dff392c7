"""The invoice of a subscription: issued, paid or failed, and what that does to the subscription."""

from collections.abc import Sequence
from typing import Any

from holdtrue.stage.payments import intents, subscriptions
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import listed
from holdtrue.stage.payments.store import Resource

# Stripe's default retry schedule begins three days after a failed renewal.
_RETRY_AFTER = 3 * 24 * 3600


def issue(books: Books, subscription: Resource, reason: str, *, extra: Sequence[subscriptions.Line] = ()) -> Resource:
    """A finalised invoice for the subscription's current period; it has an intent where there is something to pay.

    `reason` is `subscription_create` or `subscription_cycle`; `extra` are one-time prices. An invoice over nothing is
    paid at once.
    """
    invoice = _draft(books, subscription, reason, extra)
    books.save(invoice)
    books.emit("invoice.created", invoice)
    books.change(subscription, None, latest_invoice=invoice["id"])
    moments = {**invoice["status_transitions"], "finalized_at": books.now()}
    books.change(
        invoice,
        None,
        status="open",
        number=f"{_prefix(books, invoice)}-{_count(books, invoice):04d}",
        hosted_invoice_url=f"https://invoice.stripe.com/i/{invoice['id']}",
        invoice_pdf=f"https://pay.stripe.com/invoice/{invoice['id']}/pdf",
        effective_at=books.now(),
        status_transitions=moments,
    )
    books.emit("invoice.finalized", invoice)
    if invoice["amount_due"] == 0:
        return paid(books, invoice, None)
    intent = intents.make(
        books,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        description="Subscription creation" if reason == "subscription_create" else "Subscription update",
        setup_future_usage="off_session" if reason == "subscription_create" else None,
        _invoice=invoice["id"],
    )
    _link(books, invoice, intent)
    return books.change(invoice, None, _payment_intent=intent["id"])


def paid(books: Books, invoice: Resource, charge: Resource | None) -> Resource:
    """The invoice is paid (by a charge, or because nothing was due); its subscription comes alive."""
    moments = {**invoice["status_transitions"], "paid_at": books.now()}
    books.change(
        invoice,
        "invoice.updated",
        status="paid",
        amount_paid=invoice["amount_due"],
        amount_remaining=0,
        attempted=True,
        attempt_count=invoice["attempt_count"] + (charge is not None),
        auto_advance=False,
        next_payment_attempt=None,
        status_transitions=moments,
        _charge=None if charge is None else charge["id"],
    )
    for payment in books.all("invoice_payment"):
        if payment["invoice"] == invoice["id"]:
            done = {"canceled_at": None, "paid_at": books.now()}
            books.change(payment, None, status="paid", amount_paid=invoice["amount_due"], status_transitions=done)
            books.emit("invoice_payment.paid", payment)
    books.emit("invoice.paid", invoice)
    books.emit("invoice.payment_succeeded", invoice)
    subscription = _subscription(books, invoice)
    if subscription["status"] in ("incomplete", "past_due", "unpaid"):
        told = None if subscription.get("_untold") else "customer.subscription.updated"
        books.change(subscription, told, status="active")
    return invoice


def payment_failed(books: Books, invoice: Resource) -> Resource:
    """The card was declined: the invoice stays open, a running subscription becomes past due."""
    cycle = invoice["billing_reason"] == "subscription_cycle"
    books.change(
        invoice,
        "invoice.updated",
        attempted=True,
        attempt_count=invoice["attempt_count"] + 1,
        next_payment_attempt=books.now() + _RETRY_AFTER if cycle else None,
    )
    books.emit("invoice.payment_failed", invoice)
    subscription = _subscription(books, invoice)
    if subscription["status"] in ("active", "trialing"):
        books.change(subscription, "customer.subscription.updated", status="past_due")
    return invoice


def _subscription(books: Books, invoice: Resource) -> Resource:
    return books.get("subscription", invoice["parent"]["subscription_details"]["subscription"])


def _link(books: Books, invoice: Resource, intent: Resource) -> None:
    books.save(
        {
            "id": books.new_id("invoice_payment"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": invoice["amount_due"],
            "created": books.now(),
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def _prefix(books: Books, invoice: Resource) -> str:
    return str(books.get("customer", invoice["customer"])["invoice_prefix"])


def _count(books: Books, invoice: Resource) -> int:
    return sum(1 for other in books.all("invoice") if other["customer"] == invoice["customer"])


def _line(books: Books, invoice: str, line: subscriptions.Line, *, free: bool, **fields: Any) -> Resource:
    price, quantity = line
    amount = 0 if free else (price["unit_amount"] or 0) * quantity
    product = books.get("product", price["product"])["name"]
    return {
        "id": books.new_id("line_item"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": f"Trial period for {product}" if free else f"{quantity} × {product}",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice,
        "livemode": False,
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": "0" if free else price["unit_amount_decimal"],
        },
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subtotal": amount,
        "taxes": [],
        **fields,
    }


def _item_line(books: Books, invoice: str, subscription: Resource, entry: Resource) -> Resource:
    details = {
        "invoice_item": None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription["id"],
        "subscription_item": entry["id"],
    }
    return _line(
        books,
        invoice,
        (entry["price"], entry["quantity"]),
        free=subscription["status"] == "trialing",
        metadata=subscription["metadata"],
        period={"end": entry["current_period_end"], "start": entry["current_period_start"]},
        parent={
            "invoice_item_details": None,
            "subscription_item_details": details,
            "type": "subscription_item_details",
        },
    )


def _extra_line(books: Books, invoice: str, subscription: Resource, line: subscriptions.Line) -> Resource:
    details = {
        "invoice_item": books.new_id("invoice_item"),
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription["id"],
    }
    return _line(
        books,
        invoice,
        line,
        free=False,
        metadata={},
        period={"end": books.now(), "start": books.now()},
        parent={"invoice_item_details": details, "subscription_item_details": None, "type": "invoice_item_details"},
    )


def _draft(books: Books, subscription: Resource, reason: str, extra: Sequence[subscriptions.Line]) -> Resource:
    identifier, now = books.new_id("invoice"), books.now()
    lines = [_item_line(books, identifier, subscription, entry) for entry in subscription["items"]["data"]]
    lines += [_extra_line(books, identifier, subscription, line) for line in extra]
    total = sum(line["amount"] for line in lines)
    customer = books.get("customer", subscription["customer"])
    start, _ = subscriptions.period(subscription)
    money: dict[str, Any] = dict.fromkeys(
        ("amount_due", "amount_remaining", "subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"), total
    )
    return {
        "id": identifier,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Stage",
        "account_tax_ids": None,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": now,
        "currency": subscription["currency"],
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": 0,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": listed(lines, f"/v1/invoices/{identifier}/lines"),
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": subscription["metadata"], "subscription": subscription["id"]},
            "type": "subscription_details",
        },
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "period_end": now,
        "period_start": start,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "test_clock": None,
        "total_discount_amounts": [],
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": now,
        "_payment_intent": None,
        "_charge": None,
        **money,
    }
