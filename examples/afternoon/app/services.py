"""Mail, Stripe and the activity log."""
import logging
import smtplib
from email.message import EmailMessage

import stripe
from sqlalchemy.orm import Session

from . import config
from .models import Activity, Order, Shop

log = logging.getLogger("afternoon")

stripe.api_key = config.STRIPE_API_KEY


# --- activity -------------------------------------------------------------------------------------
def log_activity(db: Session, shop_id: int, member_id: int | None, action: str, detail: str = "") -> None:
    """Write an entry to the shop's audit trail."""
    db.add(Activity(shop_id=shop_id, member_id=member_id, action=action, detail=detail))
    db.commit()


# --- mail -----------------------------------------------------------------------------------------
def send_mail(to: str, subject: str, body: str) -> None:
    """Send a plain text mail. Runs as a background task, so mail problems never break a request."""
    try:
        msg = EmailMessage()
        msg["From"] = config.MAIL_FROM
        msg["To"] = to
        msg["Subject"] = subject
        msg.set_content(body)
        with smtplib.SMTP(config.SMTP_HOST, config.SMTP_PORT, timeout=10) as smtp:
            smtp.send_message(msg)
    except Exception:
        log.exception("Could not send mail to %s", to)


def send_welcome(to: str, name: str, shop: Shop) -> None:
    send_mail(
        to,
        f"Welcome to {shop.name}",
        f"Hi {name},\n\nyour shop {shop.name} is ready. Log in at {config.BASE_URL}/login with shop name {shop.slug}.\n",
    )


def send_invitation(to: str, shop: Shop, role: str, token: str) -> None:
    send_mail(
        to,
        f"You are invited to {shop.name}",
        f"Hi,\n\nyou have been invited to join {shop.name} as {role}.\n"
        f"Accept the invitation here: {config.BASE_URL}/accept?token={token}\n",
    )


def send_reset(to: str, name: str, token: str) -> None:
    send_mail(
        to,
        "Reset your password",
        f"Hi {name},\n\nset a new password here (valid for one hour):\n{config.BASE_URL}/reset?token={token}\n",
    )


def send_receipt(order: Order, shop: Shop) -> None:
    amount = f"{order.total_cents / 100:.2f} {order.currency.upper()}"
    send_mail(
        order.customer_email,
        f"Your receipt from {shop.name}",
        f"Hi,\n\nthank you for your order #{order.id}. We received your payment of {amount}.\n\n{shop.name}\n",
    )


# --- stripe ---------------------------------------------------------------------------------------
def create_checkout(order: Order) -> stripe.checkout.Session:
    return stripe.checkout.Session.create(
        mode="payment",
        customer_email=order.customer_email,
        client_reference_id=str(order.id),
        metadata={"order_id": str(order.id), "shop_id": str(order.shop_id)},
        line_items=[
            {
                "quantity": item.quantity,
                "price_data": {
                    "currency": order.currency,
                    "unit_amount": item.price_cents,
                    "product_data": {"name": item.product.name},
                },
            }
            for item in order.items
        ],
        success_url=f"{config.BASE_URL}/orders/{order.id}?paid=1",
        cancel_url=f"{config.BASE_URL}/orders/{order.id}?cancelled=1",
    )


def create_refund(order: Order, amount_cents: int) -> stripe.Refund:
    return stripe.Refund.create(payment_intent=order.stripe_payment_intent, amount=amount_cents)
