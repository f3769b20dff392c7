"""The end of a checkout: paid, failed, expired, or given up by us."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import ColumnElement, Select, select

from holdtrue.modules.payments.contract import CHECKOUT_ENDED, CLOSE_CHECKOUT
from holdtrue.modules.payments.errors import ProviderRefused
from holdtrue.modules.payments.models import Checkout
from holdtrue.modules.payments.payloads import CheckoutDue, CheckoutTold
from holdtrue.modules.payments.ports import Session
from holdtrue.modules.payments.terms import PaymentsPorts
from holdtrue.runtime import UnitOfWork, Work, flow


async def abandon_checkout(unit: UnitOfWork, reference: str) -> None:
    """Nobody is to pay for it any more. Should somebody be faster, PAYMENT_SETTLED decides about the money."""
    open_ = (Checkout.kind == "payment", Checkout.reference == reference, Checkout.status.in_(("creating", "open")))
    checkout = await unit.session.scalar(locked_checkout(*open_))
    if checkout is not None:
        await end_checkout(unit, checkout, "abandoned")
        await unit.enqueue(CLOSE_CHECKOUT, CheckoutDue(checkout_id=checkout.id))


async def close_checkout(work: Work, due: CheckoutDue) -> None:
    """The job: one that is over already is closed enough. Without a session nobody was shown a page."""
    async with work.unit() as unit:
        checkout = await unit.session.scalar(select(Checkout).where(Checkout.id == due.checkout_id))
    if checkout is not None and checkout.session_id is not None:
        await closed_session(work.port(PaymentsPorts), checkout.session_id)


async def closed_session(ports: PaymentsPorts, session_id: str) -> Session:
    """Expire a session, and see what it is then: one that was paid stays paid."""
    with suppress(ProviderRefused):  # only an open one can be expired; what it is instead is read
        await ports.stripe.expire_session(session_id)
    return await ports.stripe.session(session_id)


@flow(emits=(CHECKOUT_ENDED,))
async def end_checkout(unit: UnitOfWork, checkout: Checkout, status: str) -> None:
    """It can be paid no more, or has been."""
    checkout.status = status
    await unit.emit(CHECKOUT_ENDED, told(checkout))


def told(checkout: Checkout) -> CheckoutTold:
    """As events tell of it."""
    return CheckoutTold(
        checkout_id=checkout.id,
        kind="payment" if checkout.kind == "payment" else "subscription",
        reference=checkout.reference,
        amount=checkout.amount,
        currency=checkout.currency,
        status=checkout.status,
    )


def locked_checkout(*where: ColumnElement[bool]) -> Select[Checkout]:
    """The checkout for which all of this holds, as it is in the database now."""
    return select(Checkout).where(*where).with_for_update().execution_options(populate_existing=True)
