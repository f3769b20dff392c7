"""What of a payment is given back, spoken for or contested: sums over what is known, in any order."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from holdtrue.modules.payments.models import RESERVED, Dispute, Payment, Refund
from holdtrue.runtime import NotFound, UnitOfWork


@dataclass(frozen=True, kw_only=True)
class Balance:
    """In minor units."""

    paid: int
    refunded: int
    reserved: int
    """Asked for, and not yet given back."""
    unapproved: int
    """Reserved or given back without anybody's approval."""
    lost: int
    disputed: bool

    @property
    def left(self) -> int:
        """What may still be given back."""
        return max(0, self.paid - self.refunded - self.reserved - self.lost)


async def locked_payment(unit: UnitOfWork, payment_id: UUID) -> Payment:
    """The lock under which everything about a payment's money happens.

    The order of locks is everywhere: the app's rows (in hooks), checkout, payment, its refunds.

    Raises:
        NotFound: the tenant has no such payment.
    """
    statement = select(Payment).where(Payment.id == payment_id).with_for_update()
    found = await unit.session.scalar(statement.execution_options(populate_existing=True))
    if found is None:
        raise NotFound
    return found


async def balance_of(unit: UnitOfWork, payment: Payment) -> Balance:
    """Reliable only under the lock on the payment."""
    fresh = {"populate_existing": True}
    own = select(Refund).where(Refund.payment_id == payment.id)
    refunds = (await unit.session.scalars(own.execution_options(**fresh))).all()
    contested = select(Dispute).where(Dispute.payment_id == payment.id)
    disputes = (await unit.session.scalars(contested.execution_options(**fresh))).all()
    counted = [refund for refund in refunds if refund.status in RESERVED]
    return Balance(
        paid=payment.amount,
        refunded=sum(refund.amount for refund in counted if refund.status == "succeeded"),
        reserved=sum(refund.amount for refund in counted if refund.status != "succeeded"),
        unapproved=sum(refund.amount for refund in counted if refund.decided_by is None),
        lost=sum(dispute.amount for dispute in disputes if dispute.status == "lost"),
        disputed=any(dispute.status == "open" for dispute in disputes),
    )
