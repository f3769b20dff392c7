"""Payment intents (https://docs.stripe.com/payments/paymentintents/lifecycle)."""

from collections.abc import Mapping
from typing import Any

from holdtrue.stage.payments import balance, errors, intents, money, paying, payment_methods
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.search import search
from holdtrue.stage.payments.store import Resource


def _fields(books: Books, params: Params, old: Mapping[str, Any]) -> dict[str, Any]:
    fields = intents.shared_fields(params)
    if params.has("customer"):
        fields["customer"] = books.get("customer", params.need("customer"), param="customer")["id"]
    if params.has("payment_method_types"):
        fields["payment_method_types"] = params.texts("payment_method_types")
    fields["metadata"] = params.metadata(old.get("metadata"))
    return fields


def _create(books: Books, params: Params) -> Resource:
    amount, currency = params.need_integer("amount", minimum=1), params.currency()
    money.check_amount(amount, currency)
    fields = _fields(books, params, {})
    automatic = params.nested("automatic_payment_methods")
    if automatic.boolean("enabled") or not params.has("payment_method_types"):
        redirects = automatic.choice("allow_redirects", ("always", "never")) or "always"
        fields["automatic_payment_methods"] = {"allow_redirects": redirects, "enabled": True}
    intent = intents.make(books, amount=amount, currency=currency, **fields)
    if params.has("payment_method"):
        method = _method(books, params, intent)
        books.change(intent, None, payment_method=method["id"], status="requires_confirmation")
    for name in ("return_url", "error_on_requires_action"):
        params.echo(name)
    if params.boolean("confirm"):
        return _confirm_with(books, params, intent)
    params.echo("off_session")
    return intent


def _method(books: Books, params: Params, intent: Resource) -> Resource:
    method = payment_methods.named(books, params.need("payment_method"), param="payment_method")
    owner = method["customer"]
    if owner is not None and owner != intent["customer"]:
        raise errors.refused(
            "The provided PaymentMethod was previously used or belongs to another Customer. Attach it to the Customer "
            "of this PaymentIntent, or provide that Customer.",
            param="payment_method",
        )
    return method


def _confirm_with(books: Books, params: Params, intent: Resource) -> Resource:
    if params.has("payment_method"):
        method = _method(books, params, intent) if intent["payment_method"] is None else _chosen(books, params, intent)
    elif intent["payment_method"] is not None:
        method = books.get("payment_method", intent["payment_method"])
    else:
        raise errors.refused(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a "
            "payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        )
    off_session = params.echo("off_session") not in (None, False)
    return paying.answer(paying.confirm(books, intent, method, off_session=off_session))


def _chosen(books: Books, params: Params, intent: Resource) -> Resource:
    wanted = params.need("payment_method")
    if wanted in payment_methods.CARDS:
        return books.get("payment_method", intent["payment_method"])
    return _method(books, params, intent)


def _confirm(books: Books, params: Params, identifier: str) -> Resource:
    intent = books.live("payment_intent", identifier)
    for name in ("return_url", "error_on_requires_action"):
        params.echo(name)
    if intent["status"] not in intents.OPEN:
        raise _unexpected(intent, "confirm", "requires_confirmation, requires_action")
    return _confirm_with(books, params, {**intent, **_confirm_fields(params)})


def _confirm_fields(params: Params) -> dict[str, Any]:
    fields = intents.shared_fields(params)
    return {
        name: value for name, value in fields.items() if name in ("setup_future_usage", "receipt_email", "shipping")
    }


def _capture(books: Books, params: Params, identifier: str) -> Resource:
    intent = books.live("payment_intent", identifier)
    if intent["status"] != "requires_capture":
        raise _unexpected(intent, "capture", "requires_capture")
    amount = params.integer("amount_to_capture", minimum=1) or intent["amount"]
    if amount > intent["amount_capturable"]:
        raise errors.refused(
            f"The remaining amount capturable for this PaymentIntent is "
            f"{money.written(intent['amount_capturable'], intent['currency'])}, but you tried to capture "
            f"{money.written(amount, intent['currency'])}.",
            param="amount_to_capture",
            code="amount_too_large",
        )
    charge = books.get("charge", intent["latest_charge"])
    transaction = balance.record(books, "charge", amount, charge, fee=money.fee(amount))
    books.change(charge, None, captured=True, amount_captured=amount, balance_transaction=transaction)
    books.emit("charge.captured", charge)
    books.change(intent, None, status="succeeded", amount_capturable=0, amount_received=amount)
    books.emit("payment_intent.succeeded", intent)
    return intent


def _cancel(books: Books, params: Params, identifier: str) -> Resource:
    intent = books.live("payment_intent", identifier)
    if intent["status"] not in (*intents.OPEN, "requires_capture", "processing"):
        raise _unexpected(intent, "cancel", "requires_payment_method, requires_capture, requires_confirmation")
    reasons = ("abandoned", "duplicate", "fraudulent", "requested_by_customer")
    reason = params.choice("cancellation_reason", reasons)
    if intent["status"] == "requires_capture":
        charge = books.get("charge", intent["latest_charge"])
        books.change(charge, None, refunded=True, amount_refunded=charge["amount"])
        books.emit("charge.refunded", charge)
    books.change(
        intent, None, status="canceled", canceled_at=books.now(), cancellation_reason=reason, amount_capturable=0
    )
    books.emit("payment_intent.canceled", intent)
    return intent


def _unexpected(intent: Resource, verb: str, allowed: str) -> errors.StripeError:
    return errors.refused(
        f"This PaymentIntent could not be {verb}{'d' if verb.endswith('e') else 'ed'} because it has a status of "
        f"{intent['status']}. Only a PaymentIntent with one of the following statuses may be "
        f"{verb}{'d' if verb.endswith('e') else 'ed'}: {allowed}.",
        code="payment_intent_unexpected_state",
        payment_intent=intent,
    )


def _update(books: Books, params: Params, identifier: str) -> Resource:
    intent = books.live("payment_intent", identifier)
    changes = _fields(books, params, intent)
    if params.has("amount"):
        if intent["status"] not in intents.OPEN:
            raise _unexpected(intent, "update", ", ".join(intents.OPEN))
        changes["amount"] = params.need_integer("amount", minimum=1)
        money.check_amount(changes["amount"], intent["currency"])
    if params.has("payment_method"):
        changes["payment_method"] = _method(books, params, intent)["id"]
        changes["status"] = "requires_confirmation"
    return books.change(intent, None, **changes)


def _list(books: Books, params: Params) -> Resource:
    customer = params.text("customer")
    found = [intent for intent in newest(books.all("payment_intent")) if customer in (None, intent["customer"])]
    return page(found, params, "/v1/payment_intents", kind="payment_intent")


def _search(books: Books, params: Params) -> Resource:
    fields = ("currency", "customer", "status")
    return search(newest(books.all("payment_intent")), params, "/v1/payment_intents/search", fields=fields)


ROUTES = (
    Route("POST", "/v1/payment_intents", _create),
    Route("GET", "/v1/payment_intents", _list),
    Route("GET", "/v1/payment_intents/search", _search),
    Route("GET", "/v1/payment_intents/{id}", lambda books, _, one: books.get("payment_intent", one)),
    Route("POST", "/v1/payment_intents/{id}", _update),
    Route("POST", "/v1/payment_intents/{id}/confirm", _confirm),
    Route("POST", "/v1/payment_intents/{id}/capture", _capture),
    Route("POST", "/v1/payment_intents/{id}/cancel", _cancel),
)
