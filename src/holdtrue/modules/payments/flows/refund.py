"""Giving money back: who may ask for it, and who must agree. Stripe is asked afterwards, by ``send_refund``."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Select, select

from holdtrue.modules.payments.contract import (
    REFUND_ALLOWED,
    REFUND_APPROVED,
    REFUND_DECLINED,
    REFUND_REQUESTED,
    SEND_REFUND,
)
from holdtrue.modules.payments.errors import AlreadyDecided, Disputed, KeyReused, OwnRequest, TooMuch
from holdtrue.modules.payments.flows.asking import actor
from holdtrue.modules.payments.flows.balance import balance_of, locked_payment
from holdtrue.modules.payments.models import Payment, Refund
from holdtrue.modules.payments.payloads import RefundAsked, RefundDue, RefundTold
from holdtrue.modules.payments.terms import PaymentsPorts
from holdtrue.runtime import NotFound, UnitOfWork, flow, uuid7


async def request_refund(
    unit: UnitOfWork, payment_id: UUID, amount: int | None = None, *, reason: str = "", key: str | None = None
) -> Refund:
    """Intend to give back ``amount`` minor units, or all that is left; above the threshold it waits for approval.

    The threshold is on the sum of what nobody approved of this payment, so that small pieces do not get around it.
    ``key`` makes a repetition of the same request harmless.

    Raises:
        NotFound: the tenant has no such payment.
        KeyReused: the key came with another refund.
        Disputed: the bank decides about the money.
        TooMuch: more than is left.
        Refused: by a binding of REFUND_ALLOWED.
    """
    payment = await unit.session.scalar(select(Payment).where(Payment.id == payment_id))
    if payment is None:
        raise NotFound
    if known := await _known(unit, payment_id, amount, key):
        return known
    # The app's lock comes before ours, here as everywhere; so the sum that it is told of is checked again below.
    wanted = (await balance_of(unit, payment)).left if amount is None else amount
    asked = RefundAsked(
        payment_id=payment_id, reference=payment.reference, amount=wanted, currency=payment.currency, reason=reason
    )
    await unit.guard(REFUND_ALLOWED, asked)
    payment = await locked_payment(unit, payment_id)
    if known := await _known(unit, payment_id, amount, key):
        return known
    balance = await balance_of(unit, payment)
    if balance.disputed:
        raise Disputed("This payment is disputed: the bank decides about it now.")
    if not 0 < wanted <= balance.left:
        raise TooMuch(f"Of this payment {balance.left} can still be given back.")
    waits = balance.unapproved + wanted > unit.port(PaymentsPorts).terms.threshold(payment.currency)
    return await _intend(unit, payment, wanted, "waiting" if waits else "queued", reason=reason, key=key)


async def return_payment(unit: UnitOfWork, payment: Payment) -> Refund:
    """Send back all of a payment that was not accepted; the binding that decided it is approved with the plan."""
    return await _intend(unit, payment, payment.amount, "queued", reason="not accepted", key=None)


async def decide_refund(unit: UnitOfWork, refund_id: UUID, *, approve: bool) -> Refund:
    """Approve or decline a refund that waits. Who asked for it may take it back, and not approve it.

    Raises:
        NotFound: the tenant has no such refund.
        AlreadyDecided: it does not wait.
        OwnRequest: the requester, or no person.
        Disputed: the bank decides about the money by now.
    """
    found = await unit.session.scalar(select(Refund).where(Refund.id == refund_id))
    if found is None:
        raise NotFound
    payment = await locked_payment(unit, found.payment_id)
    refund = (await unit.session.scalars(fresh_refund(refund_id))).one()
    if refund.status != "waiting":
        raise AlreadyDecided(f"The refund is {refund.status}.")
    if not approve:
        return await _decline(unit, payment, refund)
    # A key could be the requester's own, under another name.
    if unit.context.principal.kind != "user" or refund.requested_by == actor(unit):
        raise OwnRequest("Somebody else has to approve it: a person, and not the one who asked.")
    if (await balance_of(unit, payment)).disputed:
        raise Disputed("This payment is disputed: the bank decides about it now.")
    return await _approve(unit, payment, refund)


async def _known(unit: UnitOfWork, payment_id: UUID, amount: int | None, key: str | None) -> Refund | None:
    if key is None:
        return None
    known = await unit.session.scalar(select(Refund).where(Refund.request_key == key))
    if known is not None and (known.payment_id != payment_id or amount not in (None, known.amount)):
        raise KeyReused("This idempotency key came with another refund before.")
    return known


@flow(emits=(REFUND_REQUESTED,))
async def _intend(
    unit: UnitOfWork, payment: Payment, amount: int, status: str, *, reason: str, key: str | None
) -> Refund:
    refund = Refund(
        id=uuid7(),
        payment_id=payment.id,
        amount=amount,
        status=status,
        reason=reason,
        request_key=key,
        requested_by=actor(unit),
    )
    unit.session.add(refund)
    await unit.session.flush()
    await unit.emit(REFUND_REQUESTED, told(payment, refund, actor(unit)))
    if status == "queued":
        await unit.enqueue(SEND_REFUND, RefundDue(refund_id=refund.id), key=str(refund.id))
    return refund


@flow(emits=(REFUND_APPROVED,))
async def _approve(unit: UnitOfWork, payment: Payment, refund: Refund) -> Refund:
    refund.status, refund.decided_by = "queued", actor(unit)
    await unit.emit(REFUND_APPROVED, told(payment, refund, actor(unit)))
    await unit.enqueue(SEND_REFUND, RefundDue(refund_id=refund.id), key=str(refund.id))
    return refund


@flow(emits=(REFUND_DECLINED,))
async def _decline(unit: UnitOfWork, payment: Payment, refund: Refund) -> Refund:
    refund.status, refund.decided_by = "declined", actor(unit)
    await unit.emit(REFUND_DECLINED, told(payment, refund, actor(unit)))
    return refund


def told(payment: Payment, refund: Refund, by: str) -> RefundTold:
    """As events tell of it."""
    return RefundTold(
        refund_id=refund.id,
        payment_id=payment.id,
        reference=payment.reference,
        amount=refund.amount,
        currency=payment.currency,
        status=refund.status,
        by=by,
    )


def fresh_refund(refund_id: UUID) -> Select[Refund]:
    """As it is in the database now; reliable under the lock on its payment."""
    return select(Refund).where(Refund.id == refund_id).execution_options(populate_existing=True)
