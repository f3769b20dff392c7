"""Customers (https://docs.stripe.com/api/customers)."""

from typing import Any

from holdtrue.stage.payments import errors, payment_methods, subscriptions
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.search import search
from holdtrue.stage.payments.store import Resource

_ECHOED = ("address", "preferred_locales", "shipping", "tax_exempt")


def make(books: Books, **fields: Any) -> Resource:
    """A new customer, with its event."""
    identifier = books.new_id("customer")
    customer: Resource = {
        "id": identifier,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": books.now(),
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": identifier[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
        **fields,
    }
    books.save(customer)
    books.emit("customer.created", customer)
    return customer


def _fields(books: Books, params: Params, old: Resource) -> Resource:
    fields: Resource = {name: params.text(name) for name in ("name", "phone", "description") if params.sent(name)}
    if params.sent("email"):
        fields["email"] = params.email("email")
    if params.sent("balance"):
        fields["balance"] = params.integer("balance")
    fields |= {name: params.echo(name) for name in _ECHOED if params.sent(name)}
    if params.sent("metadata"):
        fields["metadata"] = params.metadata(old.get("metadata"))
    settings = params.nested("invoice_settings")
    if settings.sent("default_payment_method"):
        method = settings.text("default_payment_method")
        if method is not None:
            books.get("payment_method", method, param=settings.name("default_payment_method"))
        fields["invoice_settings"] = {**old["invoice_settings"], "default_payment_method": method}
    return fields


def _create(books: Books, params: Params) -> Resource:
    blank = {"metadata": {}, "invoice_settings": {"custom_fields": None, "footer": None, "rendering_options": None}}
    fields = _fields(books, params, blank)
    method = params.text("payment_method")
    if method is not None:
        payment_methods.named(books, method, param="payment_method")
    customer = make(books, **fields)
    if method is not None:
        payment_methods.attach(books, payment_methods.named(books, method, param="payment_method"), customer["id"])
    return customer


def _retrieve(books: Books, _: Params, identifier: str) -> Resource:
    return books.get("customer", identifier)


def _update(books: Books, params: Params, identifier: str) -> Resource:
    customer = books.live("customer", identifier)
    return books.change(customer, "customer.updated", **_fields(books, params, customer))


def _delete(books: Books, _: Params, identifier: str) -> Resource:
    customer = books.live("customer", identifier)
    for subscription in books.all("subscription"):
        if subscription["customer"] == identifier and subscription["status"] not in subscriptions.ENDED:
            subscriptions.end(books, subscription)
    books.emit("customer.deleted", customer)
    books.save({**customer, "deleted": True})
    return {"id": identifier, "object": "customer", "deleted": True}


def _list(books: Books, params: Params) -> Resource:
    email = params.text("email")
    found = [customer for customer in newest(books.all("customer")) if email is None or customer["email"] == email]
    return page(found, params, "/v1/customers", kind="customer")


def _methods(books: Books, params: Params, identifier: str) -> Resource:
    books.get("customer", identifier, param="customer")
    return payment_methods.of_customer(books, params, identifier, f"/v1/customers/{identifier}/payment_methods")


def _method(books: Books, _: Params, identifier: str, method: str) -> Resource:
    found = books.get("payment_method", method)
    if found["customer"] != identifier:
        raise errors.no_such("PaymentMethod", method)
    return found


def _search(books: Books, params: Params) -> Resource:
    return search(newest(books.all("customer")), params, "/v1/customers/search", fields=("email", "name", "phone"))


ROUTES = (
    Route("POST", "/v1/customers", _create),
    Route("GET", "/v1/customers", _list),
    Route("GET", "/v1/customers/search", _search),
    Route("GET", "/v1/customers/{id}", _retrieve),
    Route("POST", "/v1/customers/{id}", _update),
    Route("DELETE", "/v1/customers/{id}", _delete),
    Route("GET", "/v1/customers/{id}/payment_methods", _methods),
    Route("GET", "/v1/customers/{id}/payment_methods/{method}", _method),
)
