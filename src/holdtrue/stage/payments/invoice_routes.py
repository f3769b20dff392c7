"""Invoices of subscriptions (https://docs.stripe.com/api/invoices)."""

from holdtrue.stage.payments import errors, paying, payment_methods
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.store import Resource


def _list(books: Books, params: Params) -> Resource:
    wanted = {name: params.text(name) for name in ("customer", "status", "collection_method")}
    subscription = params.text("subscription")
    found = [
        invoice
        for invoice in newest(books.all("invoice"))
        if all(value in (None, invoice[name]) for name, value in wanted.items())
        and subscription in (None, invoice["parent"]["subscription_details"]["subscription"])
    ]
    return page(found, params, "/v1/invoices", kind="invoice")


def _lines(books: Books, params: Params, identifier: str) -> Resource:
    invoice = books.get("invoice", identifier)
    return page(invoice["lines"]["data"], params, f"/v1/invoices/{identifier}/lines", kind="line_item")


def _pay(books: Books, params: Params, identifier: str) -> Resource:
    invoice = books.live("invoice", identifier)
    if invoice["status"] == "paid":
        raise errors.refused("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] != "open":
        raise errors.refused(f"This invoice cannot be paid: its status is {invoice['status']}.")
    if params.has("payment_method"):
        method = payment_methods.named(books, params.need("payment_method"), param="payment_method")
    else:
        default = payment_methods.usable(books, invoice["customer"])
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
    changes: Resource = {name: params.text(name) for name in ("description", "footer") if params.sent(name)}
    return books.change(invoice, "invoice.updated", metadata=params.metadata(invoice["metadata"]), **changes)


def _void(books: Books, _: Params, identifier: str) -> Resource:
    invoice = books.live("invoice", identifier)
    if invoice["status"] not in ("open", "uncollectible"):
        raise errors.refused(f"You can only void open invoices; the status of this one is {invoice['status']}.")
    moments = {**invoice["status_transitions"], "voided_at": books.now()}
    books.change(invoice, "invoice.updated", status="void", status_transitions=moments)
    books.emit("invoice.voided", invoice)
    return invoice


def _payments(books: Books, params: Params) -> Resource:
    invoice = params.text("invoice")
    found = [payment for payment in newest(books.all("invoice_payment")) if invoice in (None, payment["invoice"])]
    return page(found, params, "/v1/invoice_payments", kind="invoice_payment")


ROUTES = (
    Route("GET", "/v1/invoices", _list),
    Route("GET", "/v1/invoices/{id}", lambda books, _, identifier: books.get("invoice", identifier)),
    Route("POST", "/v1/invoices/{id}", _update),
    Route("GET", "/v1/invoices/{id}/lines", _lines),
    Route("POST", "/v1/invoices/{id}/pay", _pay),
    Route("POST", "/v1/invoices/{id}/void", _void),
    Route("GET", "/v1/invoice_payments", _payments),
    Route("GET", "/v1/invoice_payments/{id}", lambda books, _, one: books.get("invoice_payment", one)),
)
