"""Checkout sessions in their three modes (https://docs.stripe.com/api/checkout/sessions)."""

from typing import Any

from holdtrue.stage.payments import errors, intents, money, versions
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.store import Resource
from holdtrue.stage.payments.subscription_params import price_of, trial_end, trial_settings

_HOUR = 3600
_MODES = ("payment", "setup", "subscription")
_NEW_UI = {"hosted_page": "hosted_page", "embedded_page": "embedded_page", "elements": "elements", "form": "form"}
_OLD_UI = {"hosted": "hosted_page", "embedded": "embedded_page", "custom": "elements"}
_ECHOED = (
    "allow_promotion_codes",
    "billing_address_collection",
    "consent_collection",
    "custom_text",
    "locale",
    "payment_method_collection",
    "phone_number_collection",
    "saved_payment_method_options",
    "shipping_address_collection",
    "submit_type",
    "tax_id_collection",
)


def _create(books: Books, params: Params) -> Resource:
    mode = params.choice("mode", _MODES)
    if mode is None:
        raise errors.invalid("You must specify a mode of payment, setup or subscription.", param="mode")
    identifier = books.new_id("checkout.session")
    lines = _lines(books, params, identifier, mode)
    currency = lines[0]["currency"] if lines else (params.currency() if params.has("currency") else None)
    session = _session(books, identifier, mode) | _addresses(books, params, identifier) | _payer(books, params, mode)
    session |= {name: params.echo(name) for name in _ECHOED if params.has(name)}
    session |= {
        "client_reference_id": params.text("client_reference_id"),
        "currency": currency,
        "expires_at": _expiry(books, params),
        "metadata": params.metadata(),
        "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
        "_intent_data": _intent_data(params, mode),
        "_subscription_data": _subscription_data(books, params, mode),
    }
    if params.has("payment_method_types"):
        session["payment_method_types"] = params.texts("payment_method_types")
    if mode != "setup":
        trial = (session["_subscription_data"] or {}).get("trial_end")
        due = sum(line["amount_total"] for line in lines if not (trial and line["price"]["recurring"]))
        session |= {"amount_subtotal": due, "amount_total": due}
        session["total_details"] = {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}
        if mode == "payment":
            money.check_amount(due, str(currency), param=None, what="The Checkout Session's total amount due")
    for line in lines:
        books.save(line)
    return books.save(session)


def _session(books: Books, identifier: str, mode: str) -> Resource:
    return {
        "id": identifier,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": True} if mode == "payment" else None,
        "after_expiration": None,
        "allow_promotion_codes": None,
        "amount_subtotal": None,
        "amount_total": None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": books.now(),
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer_account": None,
        "discounts": [],
        "invoice": None,
        "invoice_creation": None,
        "livemode": False,
        "locale": None,
        "mode": mode,
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "always" if mode == "subscription" else "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": None,
        "subscription": None,
        "total_details": None,
        "wallet_options": None,
    }


def _addresses(books: Books, params: Params, identifier: str) -> dict[str, Any]:
    spoken = _NEW_UI if books.at_least(versions.DAHLIA) else _OLD_UI
    wanted = params.choice("ui_mode", tuple(spoken))
    ui_mode = "hosted_page" if wanted is None else spoken[wanted]
    fields: dict[str, Any] = {
        "ui_mode": ui_mode,
        "url": None,
        "return_url": None,
        "success_url": None,
        "cancel_url": None,
    }
    if ui_mode == "hosted_page":
        fields["success_url"] = _url(params, "success_url", params.need("success_url"))
        if params.has("cancel_url"):
            fields["cancel_url"] = _url(params, "cancel_url", params.need("cancel_url"))
        fields["url"] = f"https://checkout.stripe.com/c/pay/{identifier}"
    else:
        fields["redirect_on_completion"] = params.text("redirect_on_completion") or "always"
        if fields["redirect_on_completion"] != "never":
            fields["return_url"] = _url(params, "return_url", params.need("return_url"))
        fields["client_secret"] = f"{identifier}_{books.new_id('client_secret')}"
    return fields


def _url(params: Params, name: str, value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise errors.invalid("Not a valid URL", param=params.name(name), code="url_invalid")
    return value


def _payer(books: Books, params: Params, mode: str) -> dict[str, Any]:
    customer, email = params.text("customer"), params.email("customer_email")
    if customer is not None and email is not None:
        raise errors.invalid("You may only specify one of these parameters: customer, customer_email.")
    creation = params.choice("customer_creation", ("always", "if_required"))
    if creation is not None and mode == "subscription":
        raise errors.invalid(
            "`customer_creation` can only be used in `payment` and `setup` mode.", param="customer_creation"
        )
    details: Resource | None = None
    if customer is not None:
        known = books.get("customer", customer, param="customer")
        details = contact(known["email"], known["name"], known["phone"])
        creation = None
    elif mode == "subscription":
        creation = "always"
    elif creation is None and mode == "payment":
        creation = "if_required"
    if details is None and email is not None:
        details = contact(email, None, None)
    return {
        "customer": customer,
        "customer_creation": creation,
        "customer_details": details,
        "customer_email": email,
    }


def contact(email: str | None, name: str | None, phone: str | None) -> Resource:
    """The `customer_details` of a session."""
    return {
        "address": None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": name,
        "phone": phone,
        "tax_exempt": "none",
        "tax_ids": None,
    }


def _expiry(books: Books, params: Params) -> int:
    moment = params.integer("expires_at")
    if moment is None:
        return books.now() + 24 * _HOUR
    if not books.now() + _HOUR // 2 <= moment <= books.now() + 24 * _HOUR:
        raise errors.refused(
            "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours from Checkout Session "
            "creation.",
            param="expires_at",
        )
    return moment


def _intent_data(params: Params, mode: str) -> dict[str, Any] | None:
    name = {"payment": "payment_intent_data", "setup": "setup_intent_data"}.get(mode)
    for other in {"payment_intent_data", "setup_intent_data"} - {name}:
        if params.has(other):
            raise errors.invalid(f"You can not pass `{other}` in `{mode}` mode.", param=other)
    if name is None:
        return None
    data = params.nested(name)
    fields = intents.shared_fields(data) if mode == "payment" else {"description": data.text("description")}
    return {**fields, "metadata": data.metadata()}


def _subscription_data(books: Books, params: Params, mode: str) -> dict[str, Any] | None:
    if mode != "subscription":
        if params.has("subscription_data"):
            raise errors.invalid(f"You can not pass `subscription_data` in `{mode}` mode.", param="subscription_data")
        return None
    data = params.nested("subscription_data")
    return {
        "metadata": data.metadata(),
        "description": data.text("description"),
        "trial_end": trial_end(books, data),
        "trial_days": data.integer("trial_period_days"),
        "trial_settings": trial_settings(data),
    }


def _lines(books: Books, params: Params, session: str, mode: str) -> list[Resource]:
    entries = params.items("line_items")
    if mode == "setup":
        if entries:
            raise errors.invalid("You can not pass `line_items` in `setup` mode.", param="line_items")
        return []
    if not entries:
        raise errors.missing("line_items")
    lines = [_line(books, entry, session, mode) for entry in entries]
    if len({line["currency"] for line in lines}) > 1:
        raise errors.refused("All prices in a Checkout Session must use the same currency.", param="line_items")
    if mode == "subscription" and not any(line["price"]["recurring"] for line in lines):
        raise errors.refused(
            "You must provide at least one recurring price in `subscription` mode.", param="line_items"
        )
    return lines


def _line(books: Books, params: Params, session: str, mode: str) -> Resource:
    price = price_of(books, params)
    if mode == "payment" and price["recurring"]:
        raise errors.refused(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use "
            "only one-time prices.",
            param=params.name("price"),
        )
    quantity = params.integer("quantity", minimum=0)
    if quantity is None:
        raise errors.refused(
            "Quantity is required. Add `quantity` to each of your `line_items`.", param=params.name("quantity")
        )
    amount = (price["unit_amount"] or 0) * quantity
    product = books.get("product", price["product"])
    return {
        "id": books.new_id("item"),
        "object": "item",
        "adjustable_quantity": params.echo("adjustable_quantity"),
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": product["name"],
        "metadata": params.metadata(),
        "price": price,
        "quantity": quantity,
        "_session": session,
    }


def expire(books: Books, session: Resource) -> Resource:
    """Close an open session without payment; emits `checkout.session.expired`."""
    books.change(session, None, status="expired", expires_at=books.now(), url=None)
    books.emit("checkout.session.expired", session)
    return session


def _expire(books: Books, _: Params, identifier: str) -> Resource:
    session = books.live("checkout.session", identifier)
    if session["status"] != "open":
        raise errors.refused(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of '
            f"`{session['status']}`.",
            param="session",
        )
    return expire(books, session)


def _update(books: Books, params: Params, identifier: str) -> Resource:
    session = books.live("checkout.session", identifier)
    return books.change(session, None, metadata=params.metadata(session["metadata"]))


def _list(books: Books, params: Params) -> Resource:
    wanted = {name: params.text(name) for name in ("customer", "payment_intent", "subscription", "status")}
    found = [
        session
        for session in newest(books.all("checkout.session"))
        if all(value in (None, session[name]) for name, value in wanted.items())
    ]
    return page(found, params, "/v1/checkout/sessions", kind="checkout.session")


def _list_lines(books: Books, params: Params, identifier: str) -> Resource:
    books.get("checkout.session", identifier)
    lines = [line for line in books.all("item") if line["_session"] == identifier]
    return page(lines, params, f"/v1/checkout/sessions/{identifier}/line_items", kind="item")


ROUTES = (
    Route("POST", "/v1/checkout/sessions", _create),
    Route("GET", "/v1/checkout/sessions", _list),
    Route("GET", "/v1/checkout/sessions/{id}", lambda books, _, one: books.get("checkout.session", one)),
    Route("POST", "/v1/checkout/sessions/{id}", _update),
    Route("POST", "/v1/checkout/sessions/{id}/expire", _expire),
    Route("GET", "/v1/checkout/sessions/{id}/line_items", _list_lines),
)
