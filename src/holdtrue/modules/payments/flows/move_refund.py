"""What becomes of refunds at Stripe, ours and those of its dashboard. News in any order only moves them forward."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from holdtrue.modules.payments import ports
from holdtrue.modules.payments.contract import REFUND_FAILED, REFUND_REQUESTED, REFUND_SUCCEEDED
from holdtrue.modules.payments.flows.refund import told
from holdtrue.modules.payments.models import Payment, Refund
from holdtrue.runtime import UnitOfWork, flow, uuid7

_PROGRESS = {
    **{"waiting": 0, "queued": 0, "sending": 0, "unknown": 0, "declined": 0},
    **{"pending": 1, "succeeded": 2, "failed": 3},
}
_STANDING = {"succeeded": "succeeded", "failed": "failed", "canceled": "failed"}
BY_PROVIDER = "provider:stripe"


async def apply_refunds(unit: UnitOfWork, payment: Payment, told_of: Sequence[ports.Refund]) -> None:
    """Write what Stripe lists for a payment; under the lock on the payment."""
    statement = select(Refund).where(Refund.payment_id == payment.id).execution_options(populate_existing=True)
    known = (await unit.session.scalars(statement)).all()
    by_stripe = {refund.stripe_id: refund for refund in known if refund.stripe_id}
    unanswered = {refund.id: refund for refund in known if refund.stripe_id is None and refund.sent_at is not None}
    for fact in told_of:
        refund = by_stripe.get(fact.id) or unanswered.get(_intended(fact) or payment.id)
        if refund is None:
            refund = await _seen(unit, payment, fact)
        await advance_refund(unit, payment, refund, fact)


async def advance_refund(unit: UnitOfWork, payment: Payment, refund: Refund, fact: ports.Refund) -> None:
    """Move one forward."""
    refund.stripe_id = refund.stripe_id or fact.id
    status = _STANDING.get(fact.status or "", "pending")
    if _PROGRESS[status] <= _PROGRESS[refund.status]:
        return
    if status == "succeeded":
        await _succeed(unit, payment, refund)
    elif status == "failed":
        await fail_refund(unit, payment, refund, "the bank sent it back")
    else:
        refund.status = status


@flow(emits=(REFUND_FAILED,))
async def fail_refund(unit: UnitOfWork, payment: Payment, refund: Refund, error: str) -> None:
    """The money stays here, or has come back: it can be given back anew."""
    refund.status, refund.error = "failed", error[:200]
    await unit.emit(REFUND_FAILED, told(payment, refund, refund.requested_by))


@flow(emits=(REFUND_SUCCEEDED,))
async def _succeed(unit: UnitOfWork, payment: Payment, refund: Refund) -> None:
    refund.status, refund.error = "succeeded", None
    await unit.emit(REFUND_SUCCEEDED, told(payment, refund, refund.requested_by))


@flow(emits=(REFUND_REQUESTED,))
async def _seen(unit: UnitOfWork, payment: Payment, fact: ports.Refund) -> Refund:
    """One that was made in Stripe's dashboard: whoever may sign in there decided it."""
    refund = Refund(
        id=uuid7(),
        payment_id=payment.id,
        amount=fact.amount,
        status="queued",
        reason="made at the provider",
        requested_by=BY_PROVIDER,
        decided_by=BY_PROVIDER,
        stripe_id=fact.id,
        sent_at=unit.now(),
    )
    unit.session.add(refund)
    await unit.emit(REFUND_REQUESTED, told(payment, refund, BY_PROVIDER))
    return refund


def _intended(fact: ports.Refund) -> UUID | None:
    try:
        return UUID((fact.metadata or {}).get("refund_id", ""))
    except ValueError:
        return None
