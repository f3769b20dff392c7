"""Invoices, of subscriptions and made by hand, and their items (https://docs.stripe.com/api/invoices)."""

from holdtrue.stage.payments import catalog, errors, invoice_objects, invoices, paying, payment_methods
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.search import search
from holdtrue.stage.payments.store import Resource

_DAY = 24 * 3600
# A draft that advances by itself is open for changes for about an hour.
_FINALIZES_AFTER = 3600


def _list(books: Books, params: Params) -> Resource:
    wanted = {name: params.text(name) for name in ("customer", "status", "collection_method")}
    subscription = params.text("subscription")
    found = [
        invoice
        for invoice in newest(books.all("invoice"))
        if all(value in (None, invoice[name]) for name, value in wanted.items())
        and subscription in (None, invoice_objects.subscription_of(invoice))
    ]
    return page(found, params, "/v1/invoices", kind="invoice")


def _lines(books: Books, params: Params, identifier: str) -> Resource:
    invoice = books.get("invoice", identifier)
    return page(invoice["lines"]["data"], params, f"/v1/invoices/{identifier}/lines", kind="line_item")


def _create(books: Books, params: Params) -> Resource:
    customer = books.get("customer", params.need("customer"), param="customer")
    subscription = None
    if params.has("subscription"):
        subscription = books.get("subscription", params.need("subscription"), param="subscription")
    currency = params.currency() if params.has("currency") else None
    known = [one["currency"] for one in invoice_objects.pending(books, customer["id"])]
    currency = currency or (known[0] if known else "usd" if subscription is None else subscription["currency"])
    invoice = invoice_objects.draft(books, customer, currency, "manual", subscription)
    invoice |= _fields(params) | {"metadata": params.metadata()}
    if invoice["collection_method"] == "send_invoice":
        invoice["due_date"] = _due_date(books, params)
    behavior = params.choice("pending_invoice_items_behavior", ("exclude", "include"))
    if behavior == "include" or subscription is not None:
        invoice = invoices.include_pending(books, invoice)
    if invoice["auto_advance"]:
        invoice["automatically_finalizes_at"] = books.now() + _FINALIZES_AFTER
    books.save(invoice)
    books.emit("invoice.created", invoice)
    return invoice


def _fields(params: Params) -> Resource:
    fields: Resource = {name: params.text(name) for name in ("description", "footer") if params.sent(name)}
    if params.has("auto_advance"):
        fields["auto_advance"] = params.boolean("auto_advance")
    if params.has("collection_method"):
        fields["collection_method"] = params.choice("collection_method", ("charge_automatically", "send_invoice"))
    if params.has("default_payment_method"):
        fields["default_payment_method"] = params.text("default_payment_method")
    return fields


def _due_date(books: Books, params: Params) -> int:
    days = params.integer("days_until_due", minimum=0)
    if params.has("due_date"):
        return params.need_integer("due_date")
    if days is None:
        raise errors.refused(
            "You must pass `days_until_due` or `due_date` when `collection_method` is `send_invoice`.",
            param="days_until_due",
        )
    return books.now() + days * _DAY


def _finalize(books: Books, params: Params, identifier: str) -> Resource:
    invoice = _draft(books, identifier, "finalized", "invoice_not_editable")
    advance = params.boolean("auto_advance")
    if advance is not None:
        invoice["auto_advance"] = advance
    return invoices.finalize(books, invoice)


def _draft(books: Books, identifier: str, verb: str, code: str) -> Resource:
    invoice = books.live("invoice", identifier)
    if invoice["status"] != "draft":
        raise errors.refused(
            f"This invoice is already finalized: its status is {invoice['status']}, so it cannot be {verb}.", code=code
        )
    return invoice


def _send(books: Books, _: Params, identifier: str) -> Resource:
    invoice = books.live("invoice", identifier)
    if invoice["status"] == "draft":
        invoice = invoices.finalize(books, invoice)
    if invoice["collection_method"] != "send_invoice":
        raise errors.refused("You can only manually send an invoice if its collection method is 'send_invoice'.")
    books.emit("invoice.sent", invoice)
    return invoice


def _pay(books: Books, params: Params, identifier: str) -> Resource:
    invoice = books.live("invoice", identifier)
    if invoice["status"] == "draft":
        invoice = invoices.finalize(books, invoice)
    elif invoice["status"] == "paid":
        raise errors.refused("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] == "paid":
        return invoice
    if invoice["status"] not in ("open", "uncollectible"):
        raise errors.refused(f"This invoice cannot be paid: its status is {invoice['status']}.")
    if params.boolean("paid_out_of_band"):
        return invoices.paid(books, invoice, None)
    params.boolean("off_session")
    if params.has("payment_method"):
        method = payment_methods.named(books, params.need("payment_method"), param="payment_method")
    else:
        default = payment_methods.usable(books, invoice["customer"], invoice["default_payment_method"])
        if default is None:
            raise errors.refused(
                "There is no `default_payment_method` set on this Customer or Invoice. Please attach a payment method "
                "and set it as the default.",
                code="invoice_payment_intent_requires_action",
            )
        method = default
    answered = paying.pay_invoice(books, invoice, method)
    paying.answer(books.get("payment_intent", answered["_payment_intent"]))
    return answered


def _update(books: Books, params: Params, identifier: str) -> Resource:
    invoice = books.live("invoice", identifier)
    changes = _fields(params) | {"metadata": params.metadata(invoice["metadata"])}
    return books.change(invoice, "invoice.updated", **changes)


def _delete(books: Books, _: Params, identifier: str) -> Resource:
    invoice = _draft(books, identifier, "deleted", "invoice_not_editable")
    for line in invoice["lines"]["data"]:
        billed = (line["parent"]["invoice_item_details"] or {}).get("invoice_item")
        if billed is not None:
            books.change(books.get("invoiceitem", billed), None, invoice=None)
    books.emit("invoice.deleted", invoice)
    books.save({**invoice, "deleted": True})
    return {"id": identifier, "object": "invoice", "deleted": True}


def _void(books: Books, _: Params, identifier: str) -> Resource:
    invoice = books.live("invoice", identifier)
    if invoice["status"] not in ("open", "uncollectible"):
        raise errors.refused(f"You can only void open invoices; the status of this one is {invoice['status']}.")
    return invoices.void(books, invoice)


def _mark_uncollectible(books: Books, _: Params, identifier: str) -> Resource:
    invoice = books.live("invoice", identifier)
    if invoice["status"] != "open":
        raise errors.refused(f"Only open invoices can be marked uncollectible; this one is {invoice['status']}.")
    return invoices.mark_uncollectible(books, invoice)


def _search(books: Books, params: Params) -> Resource:
    fields = ("currency", "customer", "number", "status")
    return search(newest(books.all("invoice")), params, "/v1/invoices/search", fields=fields)


def _create_item(books: Books, params: Params) -> Resource:
    customer = books.get("customer", params.need("customer"), param="customer")["id"]
    quantity = params.integer("quantity", minimum=0)
    pricing = params.nested("pricing")
    price = books.get("price", pricing.need("price"), param="pricing[price]") if pricing.has("price") else None
    if price is None and params.has("price_data"):
        price = catalog.price_from(books, params.nested("price_data"), hidden=True)
    fields: Resource = {"metadata": params.metadata()}
    if params.sent("description"):
        fields["description"] = params.text("description")
    if price is None:
        amount = params.need_integer("amount")
        fields |= {"amount": amount, "currency": params.currency()}
    if params.has("subscription"):
        fields["_subscription"] = books.get("subscription", params.need("subscription"), param="subscription")["id"]
    made = invoice_objects.item(books, customer, price, 1 if quantity is None else quantity, **fields)
    if params.has("invoice"):
        invoice = books.get("invoice", params.need("invoice"), param="invoice")
        if invoice["status"] != "draft":
            raise errors.refused("This invoice is no longer editable.", param="invoice", code="invoice_not_editable")
        books.change(made, None, invoice=invoice["id"])
        lines = [*invoice["lines"]["data"], invoice_objects.item_line(books, invoice["id"], made)]
        books.change(invoice, "invoice.updated", **invoice_objects.with_lines(invoice, lines))
    return made


def _delete_item(books: Books, _: Params, identifier: str) -> Resource:
    made = books.live("invoiceitem", identifier)
    if made["invoice"] is not None:
        raise errors.refused("This invoice item is attached to an invoice: it can no longer be deleted.")
    books.emit("invoiceitem.deleted", made)
    books.save({**made, "deleted": True})
    return {"id": identifier, "object": "invoiceitem", "deleted": True}


def _list_items(books: Books, params: Params) -> Resource:
    wanted = {name: params.text(name) for name in ("customer", "invoice")}
    waiting = params.boolean("pending")
    found = [
        one
        for one in newest(books.all("invoiceitem"))
        if all(value in (None, one[name]) for name, value in wanted.items())
        and waiting in (None, one["invoice"] is None)
    ]
    return page(found, params, "/v1/invoiceitems", kind="invoiceitem")


def _payments(books: Books, params: Params) -> Resource:
    invoice = params.text("invoice")
    found = [payment for payment in newest(books.all("invoice_payment")) if invoice in (None, payment["invoice"])]
    return page(found, params, "/v1/invoice_payments", kind="invoice_payment")


ROUTES = (
    Route("POST", "/v1/invoices", _create),
    Route("GET", "/v1/invoices", _list),
    Route("GET", "/v1/invoices/search", _search),
    Route("GET", "/v1/invoices/{id}", lambda books, _, identifier: books.get("invoice", identifier)),
    Route("POST", "/v1/invoices/{id}", _update),
    Route("GET", "/v1/invoices/{id}/lines", _lines),
    Route("POST", "/v1/invoices/{id}/pay", _pay),
    Route("DELETE", "/v1/invoices/{id}", _delete),
    Route("POST", "/v1/invoices/{id}/finalize", _finalize),
    Route("POST", "/v1/invoices/{id}/mark_uncollectible", _mark_uncollectible),
    Route("POST", "/v1/invoices/{id}/send", _send),
    Route("POST", "/v1/invoices/{id}/void", _void),
    Route("POST", "/v1/invoiceitems", _create_item),
    Route("GET", "/v1/invoiceitems", _list_items),
    Route("GET", "/v1/invoiceitems/{id}", lambda books, _, one: books.get("invoiceitem", one)),
    Route("DELETE", "/v1/invoiceitems/{id}", _delete_item),
    Route("GET", "/v1/invoice_payments", _payments),
    Route("GET", "/v1/invoice_payments/{id}", lambda books, _, one: books.get("invoice_payment", one)),
)
