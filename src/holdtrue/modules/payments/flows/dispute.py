"""Disputes, recorded: while one is open nothing is refunded; one that is lost has taken its money."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from holdtrue.modules.payments import ports
from holdtrue.modules.payments.contract import DISPUTE_CLOSED, DISPUTE_OPENED
from holdtrue.modules.payments.models import Dispute, Payment
from holdtrue.modules.payments.payloads import DisputeTold
from holdtrue.runtime import UnitOfWork, flow, uuid7

_PROGRESS = {"inquiry": 0, "open": 1, "closed": 2, "won": 2, "lost": 2}


async def apply_disputes(unit: UnitOfWork, payment: Payment, told_of: Sequence[ports.Dispute]) -> None:
    """Write what Stripe lists for a payment; under the lock on the payment."""
    statement = select(Dispute).where(Dispute.payment_id == payment.id).execution_options(populate_existing=True)
    known = {dispute.stripe_id: dispute for dispute in await unit.session.scalars(statement)}
    for fact in told_of:
        dispute = known.get(fact.id)
        if dispute is None:
            dispute = Dispute(
                id=uuid7(), payment_id=payment.id, stripe_id=fact.id, amount=fact.amount, status="inquiry"
            )
            unit.session.add(dispute)
            await _open(unit, payment, dispute, "open" if fact.standing != "inquiry" else "inquiry")
        if _PROGRESS[fact.standing] <= _PROGRESS[dispute.status]:
            continue
        step = _open if fact.standing == "open" else _close
        await step(unit, payment, dispute, fact.standing)


@flow(emits=(DISPUTE_OPENED,))
async def _open(unit: UnitOfWork, payment: Payment, dispute: Dispute, status: str) -> None:
    dispute.status = status
    await unit.emit(DISPUTE_OPENED, _told(payment, dispute))


@flow(emits=(DISPUTE_CLOSED,))
async def _close(unit: UnitOfWork, payment: Payment, dispute: Dispute, status: str) -> None:
    dispute.status = status
    await unit.emit(DISPUTE_CLOSED, _told(payment, dispute))


def _told(payment: Payment, dispute: Dispute) -> DisputeTold:
    return DisputeTold(
        dispute_id=dispute.id,
        payment_id=payment.id,
        reference=payment.reference,
        amount=dispute.amount,
        currency=payment.currency,
        status=dispute.status,
    )
