"""What Stripe is asked for a checkout: made from the row alone, so that a repetition says exactly the same."""

from __future__ import annotations

from stripe.params.checkout import SessionCreateParams, SessionCreateParamsLineItem

from holdtrue.modules.payments.models import Checkout
from holdtrue.modules.payments.payloads import Line, Purchase


def session_params(checkout: Checkout, customer: str | None) -> SessionCreateParams:
    """https://docs.stripe.com/api/checkout/sessions/create"""
    purchase = Purchase.model_validate(checkout.purchase)
    params: SessionCreateParams = {
        "mode": purchase.kind,
        "client_reference_id": str(checkout.id),
        "line_items": [_item(line, purchase) for line in purchase.lines],
        "success_url": f"{checkout.return_url}?checkout={checkout.id}&outcome=paid",
        "cancel_url": f"{checkout.return_url}?checkout={checkout.id}&outcome=left",
        "expires_at": int(checkout.expires_at.timestamp()),
    }
    if purchase.kind == "subscription":
        params["subscription_data"] = {"metadata": {"checkout_id": str(checkout.id)}}
    if customer is not None:
        params["customer"] = customer
    elif purchase.email is not None:
        params["customer_email"] = purchase.email
    return params


def _item(line: Line, purchase: Purchase) -> SessionCreateParamsLineItem:
    item: SessionCreateParamsLineItem = {
        "quantity": line.quantity,
        "price_data": {
            "currency": purchase.currency,
            "unit_amount": line.unit_amount,
            "product_data": {"name": line.name},
        },
    }
    if purchase.kind == "subscription":
        item["price_data"]["recurring"] = {"interval": purchase.interval}
    return item
