"""The invoice, its lines and its pending items as objects (https://docs.stripe.com/api/invoices/object)."""

from collections.abc import Iterable
from typing import Any

from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import listed
from holdtrue.stage.payments.store import Resource


def subscription_of(invoice: Resource) -> str | None:
    """The id of the subscription an invoice bills; None for one that was made by hand."""
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    identifier: str | None = details.get("subscription")
    return identifier


def item(books: Books, customer: str, price: Resource | None, quantity: int, **fields: Any) -> Resource:
    """An invoice item, saved and told of; it is billed with the next invoice, or with the one in `invoice`.

    `amount` and `currency` among the fields take the place of a price.
    """
    now = books.now()
    subscription = fields.pop("_subscription", None)
    product = None if price is None else books.get("product", price["product"])["name"]
    amount = (price["unit_amount"] or 0) * quantity if price is not None else 0
    made: Resource = {
        "id": books.new_id("invoice_item"),
        "object": "invoiceitem",
        "amount": amount,
        "currency": None if price is None else price["currency"],
        "customer": customer,
        "customer_account": None,
        "date": now,
        "description": product,
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "net_amount": amount,
        "parent": None
        if subscription is None
        else {
            "subscription_details": {"subscription": subscription, "subscription_item": fields.pop("_entry", None)},
            "type": "subscription_details",
        },
        "period": {"end": now, "start": now},
        "pricing": None if price is None else _pricing(price),
        "proration": False,
        "proration_details": None,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "tax_rates": [],
        "test_clock": None,
        **fields,
    }
    made["net_amount"] = made["amount"]
    books.save(made)
    books.emit("invoiceitem.created", made)
    return made


def pending(books: Books, customer: str, subscription: str | None = None) -> list[Resource]:
    """Items that wait for an invoice: of a customer, or those that belong to one subscription."""
    return [
        one
        for one in books.all("invoiceitem")
        if one["customer"] == customer and one["invoice"] is None and subscription in (None, _belongs(one))
    ]


def entry_line(books: Books, invoice: str, subscription: Resource, entry: Resource) -> Resource:
    """The line of a subscription's item for its current period."""
    free = subscription["status"] == "trialing"
    price, quantity = entry["price"], entry["quantity"]
    product = books.get("product", price["product"])["name"]
    details = {
        "invoice_item": None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription["id"],
        "subscription_item": entry["id"],
    }
    pricing = {**_pricing(price), "unit_amount_decimal": "0"} if free else _pricing(price)
    return _line(
        books,
        invoice,
        amount=0 if free else (price["unit_amount"] or 0) * quantity,
        currency=price["currency"],
        description=f"Trial period for {product}" if free else f"{quantity} × {product}",
        pricing=pricing,
        quantity=quantity,
        metadata=subscription["metadata"],
        period={"end": entry["current_period_end"], "start": entry["current_period_start"]},
        parent={
            "invoice_item_details": None,
            "subscription_item_details": details,
            "type": "subscription_item_details",
        },
    )


def item_line(books: Books, invoice: str, billed: Resource) -> Resource:
    """The line of an invoice item."""
    credited = {"credited_items": None}
    details = {
        "invoice_item": billed["id"],
        "proration": billed["proration"],
        "proration_details": credited,
        "subscription": _belongs(billed),
    }
    return _line(
        books,
        invoice,
        amount=billed["amount"],
        currency=billed["currency"],
        description=billed["description"],
        pricing=billed["pricing"],
        quantity=billed["quantity"],
        metadata=billed["metadata"],
        period=billed["period"],
        parent={"invoice_item_details": details, "subscription_item_details": None, "type": "invoice_item_details"},
    )


def totals(lines: Iterable[Resource]) -> dict[str, int]:
    """The sums of an invoice that has these lines, before a customer's balance."""
    total = sum(line["amount"] for line in lines)
    due = max(0, total)
    sums = dict.fromkeys(("subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"), total)
    return {"amount_due": due, "amount_remaining": due, **sums}


def draft(books: Books, customer: Resource, currency: str, reason: str, subscription: Resource | None) -> Resource:
    """A draft without lines, not saved."""
    identifier, now = books.new_id("invoice"), books.now()
    start = now if subscription is None else subscription["items"]["data"][0]["current_period_start"]
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
        "collection_method": "charge_automatically" if subscription is None else subscription["collection_method"],
        "created": now,
        "currency": currency,
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
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": listed([], f"/v1/invoices/{identifier}/lines"),
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": None if subscription is None else _parent(subscription),
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
        **totals([]),
    }


def with_lines(invoice: Resource, lines: list[Resource]) -> Resource:
    """The invoice with these lines, and sums to match."""
    return {**invoice, "lines": {**invoice["lines"], "data": lines}, **totals(lines)}


def _belongs(billed: Resource) -> str | None:
    details = (billed["parent"] or {}).get("subscription_details") or {}
    identifier: str | None = details.get("subscription")
    return identifier


def _parent(subscription: Resource) -> Resource:
    return {
        "quote_details": None,
        "subscription_details": {"metadata": subscription["metadata"], "subscription": subscription["id"]},
        "type": "subscription_details",
    }


def _pricing(price: Resource) -> Resource:
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


def _line(books: Books, invoice: str, **fields: Any) -> Resource:
    return {
        "id": books.new_id("line_item"),
        "object": "line_item",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice,
        "livemode": False,
        "pretax_credit_amounts": [],
        "quantity_decimal": str(fields["quantity"]),
        "subtotal": fields["amount"],
        "taxes": [],
        **fields,
    }
