"""Asking Stripe for a refund that is intended and allowed: once, whatever is lost or dies on the way.

That it is sent is committed before it is sent. From then on its outcome is known from Stripe or not at all: it is asked
again under the same key, or looked for; a second, different call is never made, and its money stays reserved.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from holdtrue.modules.payments import ports
from holdtrue.modules.payments.errors import ProviderRefused, ProviderSilent
from holdtrue.modules.payments.flows.balance import balance_of, locked_payment
from holdtrue.modules.payments.flows.move_refund import advance_refund, fail_refund
from holdtrue.modules.payments.flows.refund import fresh_refund
from holdtrue.modules.payments.models import Payment, Refund
from holdtrue.modules.payments.payloads import RefundDue
from holdtrue.modules.payments.terms import PaymentsPorts
from holdtrue.runtime import UnitOfWork, Unknown, Work

TO_SEND = ("queued", "sending", "unknown")


@dataclass(frozen=True, kw_only=True)
class Order:
    """What Stripe is asked."""

    refund_id: UUID
    payment_id: UUID
    intent: str
    amount: int
    again: bool
    """It may have been asked before."""


async def send_refund(work: Work, due: RefundDue) -> None:
    """The job."""
    async with work.unit() as unit:
        order = await _order(unit, due.refund_id)
    if order is None:
        return
    try:
        made = await _made(work, order)
    except ProviderRefused as error:
        async with work.finish() as unit:
            payment, refund = await _locked(unit, order)
            if refund.status in TO_SEND:
                await fail_refund(unit, payment, refund, str(error))
    except ProviderSilent as error:
        async with work.unit() as unit:
            _, refund = await _locked(unit, order)
            if refund.status == "sending":
                refund.status = "unknown"
        raise Unknown(f"Stripe did not say whether it made the refund: {error}") from error
    else:
        async with work.finish() as unit:
            payment, refund = await _locked(unit, order)
            await advance_refund(unit, payment, refund, made)


async def _order(unit: UnitOfWork, refund_id: UUID) -> Order | None:
    """What to send, noted as sent; None when there is nothing to send."""
    known = (await unit.session.scalars(select(Refund).where(Refund.id == refund_id))).one()
    payment = await locked_payment(unit, known.payment_id)
    balance = await balance_of(unit, payment)
    refund = (await unit.session.scalars(fresh_refund(refund_id))).one()
    if refund.status not in TO_SEND:
        return None
    if refund.sent_at is None and balance.disputed:
        await fail_refund(unit, payment, refund, "disputed")
        return None
    again = refund.sent_at is not None
    refund.sent_at = refund.sent_at or unit.now()
    refund.status = "sending"
    return Order(refund_id=refund.id, payment_id=payment.id, intent=payment.intent, amount=refund.amount, again=again)


async def _made(work: Work, order: Order) -> ports.Refund:
    """Look first where it may have been made: Stripe forgets keys after a day, and repeats a failure until then."""
    stripe = work.port(PaymentsPorts).stripe
    if order.again:
        for refund in await stripe.refunds_of(order.intent):
            if (refund.metadata or {}).get("refund_id") == str(order.refund_id):
                return refund
    return await stripe.create_refund(order.refund_id, order.intent, order.amount)


async def _locked(unit: UnitOfWork, order: Order) -> tuple[Payment, Refund]:
    payment = await locked_payment(unit, order.payment_id)
    return payment, (await unit.session.scalars(fresh_refund(order.refund_id))).one()
