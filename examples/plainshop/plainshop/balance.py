"""What of a payment is refunded, reserved or contested. Everything here is a sum over what is known, in any order."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from plainshop.models import Dispute, Order, Payment, Refund
from plainshop.models.base import now
from plainshop.unit import Unit


@dataclass(frozen=True, kw_only=True)
class Balance:
    paid_cents: int
    refunded_cents: int
    reserved_cents: int
    lost_cents: int
    disputed: bool

    @property
    def refundable_cents(self) -> int:
        return max(0, self.paid_cents - self.refunded_cents - self.reserved_cents - self.lost_cents)


def locked_order(unit: Unit, order_id: UUID) -> Order | None:
    """The lock under which everything about an order's money happens; always taken before any other."""
    return unit.session.scalar(
        select(Order)
        .where(Order.shop_id == unit.shop_id, Order.id == order_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def accepted_payment(session: Session, shop_id: UUID, order_id: UUID) -> Payment | None:
    return session.scalar(
        select(Payment).where(Payment.shop_id == shop_id, Payment.order_id == order_id, Payment.accepted)
    )


def balance_of(session: Session, payment: Payment) -> Balance:
    refunds = session.scalars(
        select(Refund).where(Refund.shop_id == payment.shop_id, Refund.payment_id == payment.id)
    ).all()
    disputes = session.scalars(
        select(Dispute).where(Dispute.shop_id == payment.shop_id, Dispute.payment_id == payment.id)
    ).all()
    at_stripe = [refund for refund in refunds if refund.stripe_refund_id]
    standing = sum(refund.amount_cents for refund in at_stripe if refund.status != "failed")
    failed = sum(refund.amount_cents for refund in at_stripe if refund.status == "failed")
    # A snapshot of the charge may know of refunds whose own events have not come; it also counts those failed since.
    refunded = max(standing, payment.charge_refunded_cents - failed)
    reserved = sum(r.amount_cents for r in refunds if not r.stripe_refund_id and r.status in {"queued", "dead"})
    lost = sum(dispute.amount_cents for dispute in disputes if dispute.status == "lost")
    return Balance(
        paid_cents=payment.amount_cents,
        refunded_cents=refunded,
        reserved_cents=reserved,
        lost_cents=lost,
        disputed=any(dispute.status == "open" for dispute in disputes),
    )


def intend_refund(unit: Unit, payment: Payment, amount_cents: int) -> Refund:
    """The worker sends it after commit. Needs the lock on the order."""
    refund = Refund(
        shop_id=unit.shop_id,
        id=uuid4(),
        order_id=payment.order_id,
        payment_id=payment.id,
        amount_cents=amount_cents,
        status="queued",
        attempts=0,
        due_at=now(),
    )
    unit.session.add(refund)
    unit.record("refund.requested", "refund", refund.id, order_id=str(payment.order_id), amount_cents=amount_cents)
    return refund


# How far along a refund is; news from Stripe may arrive in any order and only ever moves it forward.
_PROGRESS = {"queued": 0, "dead": 0, "pending": 1, "succeeded": 2, "failed": 3}
_STATUS = {"pending": "pending", "succeeded": "succeeded", "failed": "failed", "canceled": "failed"}


def advance_refund(unit: Unit, refund: Refund, stripe_refund_id: str, stripe_status: str) -> None:
    status = _STATUS.get(stripe_status, "pending")
    if refund.stripe_refund_id is None:
        refund.stripe_refund_id = stripe_refund_id
    if _PROGRESS[status] > _PROGRESS[refund.status]:
        refund.status = status
        unit.record(f"refund.{status}", "refund", refund.id, order_id=str(refund.order_id))
