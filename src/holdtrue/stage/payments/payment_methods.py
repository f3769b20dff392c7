"""Payment methods: Stripe's test cards (https://docs.stripe.com/testing), attached to customers or used once."""

from dataclasses import dataclass

from holdtrue.stage.payments import errors
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.store import Resource


@dataclass(frozen=True)
class Card:
    """A test card and what its bank answers: a decline code, `authenticate`, or None for success.

    `later` is what comes after a successful payment: `dispute`, `inquiry`, a refund that is `refund_pending` or
    `refund_failed`; or `decline`, for a card that can be kept but not charged.
    """

    brand: str
    last4: str
    answer: str | None = None
    later: str | None = None


CARDS = {
    "pm_card_visa": Card("visa", "4242"),
    "pm_card_mastercard": Card("mastercard", "4444"),
    "pm_card_amex": Card("amex", "8431"),
    "pm_card_chargeDeclined": Card("visa", "0002", "generic_decline"),
    "pm_card_visa_chargeDeclined": Card("visa", "0002", "generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": Card("visa", "9995", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": Card("visa", "9995", "insufficient_funds"),
    "pm_card_chargeDeclinedExpiredCard": Card("visa", "0069", "expired_card"),
    "pm_card_chargeCustomerFail": Card("visa", "0341", later="decline"),
    "pm_card_authenticationRequired": Card("visa", "3184", "authenticate"),
    "pm_card_createDispute": Card("visa", "0259", later="dispute"),
    "pm_card_createDisputeInquiry": Card("visa", "1976", later="inquiry"),
    "pm_card_pendingRefund": Card("visa", "7726", later="refund_pending"),
    "pm_card_refundFail": Card("visa", "5126", later="refund_failed"),
}
_TOKENS = {name.replace("pm_card_", "tok_"): card for name, card in CARDS.items()}
_BY_LAST4 = {card.last4: card for card in CARDS.values()}
_NUMBERS = {
    "4242424242424242": "4242",
    "5555555555554444": "4444",
    "4000000000000002": "0002",
    "4000000000009995": "9995",
    "4000000000000341": "0341",
    "4000002760003184": "3184",
    "4000000000000259": "0259",
    "4000000000001976": "1976",
    "4000000000007726": "7726",
    "4000000000005126": "5126",
}


def make(books: Books, card: Card) -> Resource:
    """A new, unattached card."""
    method: Resource = {
        "id": books.new_id("payment_method"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {"address": _no_address(), "email": None, "name": None, "phone": None, "tax_id": None},
        "card": {
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "display_brand": card.brand,
            "exp_month": 12,
            "exp_year": 2035,
            "fingerprint": f"Fp{card.brand}{card.last4}",
            "funding": "credit",
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": books.now(),
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
        "_answer": card.answer,
        "_later": card.later,
    }
    return books.save(method)


def named(books: Books, identifier: str, *, param: str | None = None) -> Resource:
    """A payment method by id, or a fresh one of a test card such as `pm_card_visa`."""
    if identifier in CARDS:
        return make(books, CARDS[identifier])
    return books.get("payment_method", identifier, param=param)


def attach(books: Books, method: Resource, customer: str) -> Resource:
    """Give a method to a customer, with its event."""
    if method["customer"] == customer:
        return method
    if method["customer"] is not None:
        raise errors.refused(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    books.change(method, None, customer=customer)
    books.emit("payment_method.attached", method)
    return method


def usable(books: Books, customer: str, preferred: str | None = None) -> Resource | None:
    """The method that pays for a customer: the preferred one, or the customer's default for invoices."""
    if preferred is not None:
        return books.get("payment_method", preferred)
    default = books.get("customer", customer)["invoice_settings"]["default_payment_method"]
    return None if default is None else books.get("payment_method", default)


def of_customer(books: Books, params: Params, customer: str | None, url: str) -> Resource:
    """The list of a customer's methods."""
    kind = params.text("type")
    found = [
        method
        for method in newest(books.all("payment_method"))
        if method["customer"] is not None and method["customer"] == customer and kind in (None, method["type"])
    ]
    return page(found, params, url, kind="PaymentMethod")


def _create(books: Books, params: Params) -> Resource:
    kind = params.text("type")
    if kind != "card":
        raise errors.invalid(f"The payment method type '{kind}' is not modelled: use card.", param="type")
    card = params.nested("card")
    params.echo("card")
    if card.has("token"):
        chosen = _TOKENS.get(card.need("token"))
    else:
        chosen = _BY_LAST4.get(_NUMBERS.get(card.need("number").replace(" ", ""), ""))
    if chosen is None:
        raise errors.StripeError(
            402,
            "Your card was declined. Your request was in test mode, but used a non test card. For a list of valid "
            "test cards, visit: https://stripe.com/docs/testing.",
            kind="card_error",
            code="card_declined",
            decline_code="test_mode_live_card",
        )
    method = make(books, chosen)
    details = params.nested("billing_details")
    for name in ("email", "name", "phone"):
        method["billing_details"][name] = details.text(name)
    if params.sent("billing_details"):
        method["billing_details"]["address"] |= details.echo("address") or {}
    return books.save({**method, "metadata": params.metadata()})


def _retrieve(books: Books, _: Params, identifier: str) -> Resource:
    return books.get("payment_method", identifier)


def _update(books: Books, params: Params, identifier: str) -> Resource:
    method = books.get("payment_method", identifier)
    if method["customer"] is None:
        raise errors.refused("You must save this PaymentMethod to a customer before you can update it.")
    changes: Resource = {"metadata": params.metadata(method["metadata"])}
    if params.has("card"):
        card = params.nested("card")
        dates = {name: card.integer(name) for name in ("exp_month", "exp_year") if card.has(name)}
        changes["card"] = {**method["card"], **dates}
    if params.has("billing_details"):
        details = params.nested("billing_details")
        told = {name: details.text(name) for name in ("email", "name", "phone") if details.sent(name)}
        changes["billing_details"] = {**method["billing_details"], **told}
    return books.change(method, "payment_method.updated", **changes)


def _attach(books: Books, params: Params, identifier: str) -> Resource:
    customer = books.get("customer", params.need("customer"), param="customer")
    return attach(books, named(books, identifier), customer["id"])


def _detach(books: Books, _: Params, identifier: str) -> Resource:
    method = books.get("payment_method", identifier)
    owner = method["customer"]
    if owner is None:
        raise errors.refused(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            param="payment_method",
        )
    customer = books.get("customer", owner)
    if customer["invoice_settings"]["default_payment_method"] == identifier:
        settings = {**customer["invoice_settings"], "default_payment_method": None}
        books.change(customer, "customer.updated", invoice_settings=settings)
    books.change(method, "payment_method.detached", customer=None)
    return method


def _list(books: Books, params: Params) -> Resource:
    customer = params.text("customer")
    if customer is not None:
        books.get("customer", customer, param="customer")
    return of_customer(books, params, customer, "/v1/payment_methods")


def _no_address() -> dict[str, None]:
    return dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


ROUTES = (
    Route("POST", "/v1/payment_methods", _create),
    Route("GET", "/v1/payment_methods", _list),
    Route("GET", "/v1/payment_methods/{id}", _retrieve),
    Route("POST", "/v1/payment_methods/{id}", _update),
    Route("POST", "/v1/payment_methods/{id}/attach", _attach),
    Route("POST", "/v1/payment_methods/{id}/detach", _detach),
)
