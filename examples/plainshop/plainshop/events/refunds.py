"""Refunds and disputes, ours and those made or opened elsewhere."""

from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from plainshop.balance import advance_refund
from plainshop.events.common import payment_of_intent
from plainshop.models import Dispute, Payment, Refund
from plainshop.models.base import now
from plainshop.unit import Unit

DISPUTE_PROGRESS = {"inquiry": 0, "open": 1, "closed": 2, "won": 2, "lost": 2}


class RefundObject(BaseModel):
    id: str
    payment_intent: str | None = None
    amount: int = Field(gt=0)
    status: str | None = None
    metadata: dict[str, str] | None = None


class ChargeObject(BaseModel):
    id: str
    payment_intent: str | None = None
    amount_refunded: int = Field(ge=0)


class DisputeObject(BaseModel):
    id: str
    payment_intent: str | None = None
    amount: int
    status: str


def refund_event(session: Session, event_type: str, request_id: str, body: dict[str, Any]) -> None:
    told = RefundObject.model_validate(body)
    unit, payment = payment_of_intent(session, told.payment_intent, request_id)
    refund = _refund(unit, payment, told)
    status = "failed" if event_type == "refund.failed" else told.status or "pending"
    advance_refund(unit, refund, told.id, status)


def charge_refunded(session: Session, event_type: str, request_id: str, body: dict[str, Any]) -> None:
    told = ChargeObject.model_validate(body)
    unit, payment = payment_of_intent(session, told.payment_intent, request_id)
    if told.amount_refunded > payment.charge_refunded_cents:
        payment.charge_refunded_cents = told.amount_refunded
        unit.record("payment.refund_seen", "order", payment.order_id, amount_cents=told.amount_refunded)


def dispute_event(session: Session, event_type: str, request_id: str, body: dict[str, Any]) -> None:
    told = DisputeObject.model_validate(body)
    unit, payment = payment_of_intent(session, told.payment_intent, request_id)
    status = _dispute_status(told.status)
    dispute = unit.session.scalar(
        select(Dispute).where(Dispute.shop_id == unit.shop_id, Dispute.stripe_dispute_id == told.id)
    )
    if dispute is None:
        dispute = Dispute(
            shop_id=unit.shop_id,
            id=uuid4(),
            payment_id=payment.id,
            stripe_dispute_id=told.id,
            amount_cents=told.amount,
            status=status,
        )
        unit.session.add(dispute)
    elif DISPUTE_PROGRESS[status] > DISPUTE_PROGRESS[dispute.status]:
        dispute.status = status
    else:
        return
    unit.record(f"dispute.{status}", "order", payment.order_id, amount_cents=told.amount)


def _dispute_status(told: str) -> str:
    if told in {"won", "lost"}:
        return told
    if told in {"warning_closed", "prevented"}:
        return "closed"
    return "inquiry" if told.startswith("warning_") else "open"


def _refund(unit: Unit, payment: Payment, told: RefundObject) -> Refund:
    """By Stripe's id; else our intent whose answer is still under way; else one made in the dashboard."""
    own = select(Refund).where(Refund.shop_id == unit.shop_id, Refund.payment_id == payment.id)
    known = unit.session.scalar(own.where(Refund.stripe_refund_id == told.id))
    if known is None and (intent := _intent_id(told)):
        known = unit.session.scalar(own.where(Refund.id == intent, Refund.stripe_refund_id.is_(None)))
    if known is not None:
        return known
    made_elsewhere = Refund(
        shop_id=unit.shop_id,
        id=uuid4(),
        order_id=payment.order_id,
        payment_id=payment.id,
        amount_cents=told.amount,
        status="pending",
        stripe_refund_id=told.id,
        attempts=0,
        due_at=now(),
    )
    unit.session.add(made_elsewhere)
    unit.record("refund.seen", "refund", made_elsewhere.id, order_id=str(payment.order_id), amount_cents=told.amount)
    return made_elsewhere


def _intent_id(told: RefundObject) -> UUID | None:
    try:
        return UUID((told.metadata or {}).get("refund_id", ""))
    except ValueError:
        return None
