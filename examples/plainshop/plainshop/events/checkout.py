"""Checkout sessions. An order becomes paid by money that arrived, in the amount and currency of our own order row."""

from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from plainshop.balance import intend_refund
from plainshop.events.common import UnknownObject, as_uuid, order_under_lock, unit_for
from plainshop.mail import enqueue
from plainshop.models import Checkout, Order, Payment
from plainshop.unit import Unit

# News may arrive in any order and only ever moves a checkout forward.
PROGRESS = {"creating": 0, "open": 1, "processing": 2, "expired": 3, "failed": 3, "complete": 4}


class SessionObject(BaseModel):
    id: str
    payment_status: str
    payment_intent: str | None = None
    amount_total: int
    currency: str
    client_reference_id: str | None = None


def checkout_event(session: Session, event_type: str, request_id: str, body: dict[str, Any]) -> None:
    told = SessionObject.model_validate(body)
    shop_id, checkout_id, order_id = _locate(session, told)
    unit = unit_for(session, shop_id, request_id)
    order = order_under_lock(unit, order_id)
    checkout = session.get(Checkout, (shop_id, checkout_id), populate_existing=True)
    if checkout is None or checkout.stripe_session_id not in {None, told.id}:
        raise UnknownObject("checkout session")
    checkout.stripe_session_id = told.id
    status = _status(event_type, told)
    if PROGRESS[status] > PROGRESS[checkout.status]:
        checkout.status = status
        unit.record(f"checkout.{status}", "order", order_id, checkout_id=str(checkout_id))
    if status == "complete":
        _money_arrived(unit, order, told)


def _locate(session: Session, told: SessionObject) -> tuple[UUID, UUID, UUID]:
    """Our row, by the session; or by our own reference while the answer that names the session is still under way."""
    rows = select(Checkout.shop_id, Checkout.id, Checkout.order_id)
    found = session.execute(rows.where(Checkout.stripe_session_id == told.id)).one_or_none()
    if found is None and (reference := as_uuid(told.client_reference_id)):
        unanswered = rows.where(Checkout.id == reference, Checkout.stripe_session_id.is_(None))
        found = session.execute(unanswered).one_or_none()
    if found is None:
        raise UnknownObject("checkout session")
    return found.shop_id, found.id, found.order_id


def _status(event_type: str, told: SessionObject) -> str:
    if event_type.endswith(".expired"):
        return "expired"
    if event_type.endswith(".async_payment_failed"):
        return "failed"
    return "complete" if told.payment_status == "paid" else "processing"


def _money_arrived(unit: Unit, order: Order, told: SessionObject) -> None:
    """Once per payment intent. What an order does not need (paid, cancelled, another amount) goes back."""
    if not told.payment_intent:
        raise UnknownObject("payment intent")
    known = unit.session.scalar(
        select(Payment.id).where(Payment.shop_id == unit.shop_id, Payment.stripe_payment_intent == told.payment_intent)
    )
    if known:
        return
    fits = (told.amount_total, told.currency) == (order.total_cents, order.currency)
    accepted = order.status == "pending" and fits
    payment = Payment(
        shop_id=unit.shop_id,
        id=uuid4(),
        order_id=order.id,
        stripe_payment_intent=told.payment_intent,
        amount_cents=told.amount_total,
        currency=told.currency,
        accepted=accepted,
        charge_refunded_cents=0,
    )
    unit.session.add(payment)
    unit.record("payment.received", "order", order.id, amount_cents=told.amount_total, accepted=accepted)
    unit.session.flush()
    if not accepted:
        intend_refund(unit, payment, told.amount_total)
        return
    order.status = "paid"
    enqueue(
        unit,
        "receipt",
        payment.id,
        order.customer_email,
        order_id=str(order.id),
        amount_cents=payment.amount_cents,
        currency=payment.currency,
    )
