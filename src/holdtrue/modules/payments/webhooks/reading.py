"""From an object's id to what it says now, to whose it is, to our rows. Whose it is only our own rows tell."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from holdtrue.modules.payments.flows.balance import locked_payment
from holdtrue.modules.payments.flows.dispute import apply_disputes
from holdtrue.modules.payments.flows.move_refund import apply_refunds
from holdtrue.modules.payments.flows.settle import keep_payment, settle_checkout, tell_received
from holdtrue.modules.payments.flows.subscription import apply_subscription, reading_began
from holdtrue.modules.payments.models import Payment
from holdtrue.modules.payments.ports import Invoice, Session, Subscription
from holdtrue.modules.payments.terms import PaymentsPorts
from holdtrue.runtime import UnitOfWork, Work

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """An invoice with its subscription."""

    invoice: Invoice
    subscription: Subscription
    read_at: datetime


async def sync_checkout(work: Work, session_id: str) -> None:
    """A Checkout session and what it brought."""
    stripe = work.port(PaymentsPorts).stripe
    read_at = await reading_began(work)
    session = await stripe.session(session_id)
    subscription = await stripe.subscription(session.subscription) if session.subscription else None
    tenant = await _tenant_of(work, session.id, session.client_reference_id)
    if tenant is None:
        return
    async with work.finish(tenant=tenant) as unit:
        if subscription is not None:
            await apply_subscription(unit, subscription, read_at=read_at)
        await settle_checkout(unit, session)


async def sync_subscription(work: Work, subscription_id: str) -> None:
    """A subscription."""
    read_at = await reading_began(work)
    subscription = await work.port(PaymentsPorts).stripe.subscription(subscription_id)
    tenant = await _tenant_of(work, subscription.customer)
    if tenant is None:
        return
    async with work.finish(tenant=tenant) as unit:
        await apply_subscription(unit, subscription, read_at=read_at)


async def sync_invoice(work: Work, invoice_id: str) -> None:
    """An invoice of a subscription, and what was paid for it."""
    renewal = await _renewal(work, invoice_id)
    tenant = await _tenant_of(work, renewal.subscription.customer) if renewal else None
    if renewal is None or tenant is None:
        return
    async with work.finish(tenant=tenant) as unit:
        await _apply_renewal(unit, renewal)


async def sync_payment(work: Work, intent: str | None) -> None:
    """A payment with all its refunds and disputes. News of those may come before news of the payment itself."""
    if intent is None:
        return
    stripe = work.port(PaymentsPorts).stripe
    session: Session | None = None
    renewal: Renewal | None = None
    tenant = await _tenant_of(work, intent)
    if tenant is None:
        session = await stripe.session_of(intent)
        invoice_id = None if session else await stripe.invoice_of(intent)
        renewal = await _renewal(work, invoice_id) if invoice_id else None
        if session is not None:
            tenant = await _tenant_of(work, session.id, session.client_reference_id)
        elif renewal is not None:
            tenant = await _tenant_of(work, renewal.subscription.customer)
    if tenant is None:
        return
    refunds, disputes = await stripe.refunds_of(intent), await stripe.disputes_of(intent)
    async with work.finish(tenant=tenant) as unit:
        if session is not None:
            await settle_checkout(unit, session)
        if renewal is not None:
            await _apply_renewal(unit, renewal)
        payment_id = await unit.session.scalar(select(Payment.id).where(Payment.intent == intent))
        if payment_id is not None:
            payment = await locked_payment(unit, payment_id)
            await apply_refunds(unit, payment, refunds)
            await apply_disputes(unit, payment, disputes)


async def _renewal(work: Work, invoice_id: str) -> Renewal | None:
    stripe = work.port(PaymentsPorts).stripe
    invoice = await stripe.invoice(invoice_id)
    if invoice.subscription is None:
        return None
    read_at = await reading_began(work)
    subscription = await stripe.subscription(invoice.subscription)
    return Renewal(invoice=invoice, subscription=subscription, read_at=read_at)


async def _apply_renewal(unit: UnitOfWork, renewal: Renewal) -> None:
    subscription = await apply_subscription(unit, renewal.subscription, read_at=renewal.read_at)
    if subscription is None:
        return
    for intent, amount in renewal.invoice.paid_by:
        payment = await keep_payment(
            unit,
            intent=intent,
            amount=amount,
            currency=renewal.invoice.currency,
            reference=subscription.plan,
            subscription_id=subscription.id,
            accepted=True,
        )
        if payment is not None:
            await tell_received(unit, payment)


async def _tenant_of(work: Work, *names: str | None) -> UUID | None:
    """The tenant by the first name that is in a row of ours: an id at Stripe, or a checkout's own."""
    async with work.unit() as unit:
        for name in filter(None, names):
            found: UUID | None = await unit.session.scalar(select(func.payments_tenant(name)))
            if found is not None:
                return found
    # Somebody else's at the same Stripe account, or made by hand there.
    log.info("an object of Stripe is not ours", extra={"object": names[0]})
    return None
