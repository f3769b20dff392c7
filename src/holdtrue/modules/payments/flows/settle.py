"""What a Checkout session says now, written into our rows: in any order, any number of times."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from holdtrue.modules.payments.contract import PAYMENT_RECEIVED, PAYMENT_SETTLED
from holdtrue.modules.payments.flows.closing import end_checkout, locked_checkout
from holdtrue.modules.payments.flows.refund import return_payment
from holdtrue.modules.payments.models import ACTIVE, Checkout, Payment
from holdtrue.modules.payments.payloads import PaymentTold, Settlement
from holdtrue.modules.payments.ports import Session
from holdtrue.runtime import UnitOfWork, flow, uuid7

_PROGRESS = {"creating": 0, "open": 1, "abandoned": 2, "expired": 2, "processing": 3, "failed": 4, "complete": 5}
"""How far along a checkout is; news may arrive in any order and only ever moves it forward."""
_OVER = ("complete", "failed", "expired")


async def settle_checkout(unit: UnitOfWork, session: Session) -> None:
    """Record the money of a session, let the app fulfil, and move the checkout on; all in this transaction.

    The app's hook comes before the lock on the checkout: an app that cancels takes its own lock first, too.
    """
    checkout = await _ours(unit, session)
    if checkout is None:
        return
    standing = session.standing
    if session.mode == "payment" and standing == "complete" and session.intent is not None and session.amount_total:
        await _money(unit, checkout, session, session.intent.id, session.amount_total)
    checkout = await unit.session.scalar(locked_checkout(Checkout.id == checkout.id))
    if checkout is None or checkout.session_id not in (None, session.id):
        return
    checkout.session_id = session.id
    if _PROGRESS[standing] <= _PROGRESS[checkout.status]:
        return
    if standing in _OVER:
        await end_checkout(unit, checkout, standing)
    elif checkout.status in ACTIVE:  # one that we gave up does not come alive again: another may have taken its place
        checkout.status = standing


async def _ours(unit: UnitOfWork, session: Session) -> Checkout | None:
    """By the session; or by our own reference, as long as the answer that names the session is still under way."""
    found = await unit.session.scalar(select(Checkout).where(Checkout.session_id == session.id))
    if found is None and (own := _as_uuid(session.client_reference_id)):
        # A customer can write this reference into the address of a payment link: the price must be ours as well.
        unanswered = select(Checkout).where(
            Checkout.id == own,
            Checkout.session_id.is_(None),
            Checkout.amount == session.amount_total,
            Checkout.currency == session.currency,
        )
        found = await unit.session.scalar(unanswered)
    return found if found is not None and found.kind == session.mode else None


def _as_uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


async def _money(unit: UnitOfWork, checkout: Checkout, session: Session, intent: str, amount: int) -> None:
    payment = await keep_payment(
        unit,
        intent=intent,
        amount=amount,
        currency=session.currency or checkout.currency,
        reference=checkout.reference,
        checkout=checkout,
    )
    if payment is None:
        return
    if (payment.amount, payment.currency) == (checkout.amount, checkout.currency):
        asked = Settlement(
            payment_id=payment.id, reference=payment.reference, amount=payment.amount, currency=payment.currency
        )
        payment.accepted = (await unit.transform(PAYMENT_SETTLED, asked)).accepted
    await tell_received(unit, payment)
    if not payment.accepted:
        await return_payment(unit, payment)


async def keep_payment(
    unit: UnitOfWork,
    *,
    intent: str,
    amount: int,
    currency: str,
    reference: str,
    checkout: Checkout | None = None,
    **more: object,
) -> Payment | None:
    """The new row of a payment intent; None when it is known. Several events tell of one payment."""
    values = {
        "id": uuid7(),
        "intent": intent,
        "amount": amount,
        "currency": currency,
        "reference": reference,
        "checkout_id": checkout.id if checkout else None,
        "accepted": False,
        **more,
    }
    statement = insert(Payment).values(values).on_conflict_do_nothing(index_elements=["intent"])
    return await unit.session.scalar(statement.returning(Payment))


@flow(emits=(PAYMENT_RECEIVED,))
async def tell_received(unit: UnitOfWork, payment: Payment) -> None:
    """Tell of a new payment."""
    await unit.emit(
        PAYMENT_RECEIVED,
        PaymentTold(
            payment_id=payment.id,
            reference=payment.reference,
            amount=payment.amount,
            currency=payment.currency,
            accepted=payment.accepted,
        ),
    )
