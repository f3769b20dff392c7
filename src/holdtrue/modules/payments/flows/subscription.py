"""The tenant's subscription: as Stripe has it now, and its end with the period that is paid."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from holdtrue.modules.payments import ports
from holdtrue.modules.payments.contract import (
    CANCELLATION_REQUESTED,
    END_SUBSCRIPTION,
    SUBSCRIPTION_CHANGED,
    SUBSCRIPTION_ENDED,
)
from holdtrue.modules.payments.errors import ProviderRefused
from holdtrue.modules.payments.models import ALIVE, ENTITLED, Checkout, Customer, Subscription
from holdtrue.modules.payments.payloads import SubscriptionDue, SubscriptionTold
from holdtrue.modules.payments.terms import PaymentsPorts
from holdtrue.runtime import GiveUp, NotFound, UnitOfWork, Work, flow, uuid7


async def current_subscription(unit: UnitOfWork) -> Subscription | None:
    """The tenant's subscription that lives, or the last one that did. ``entitled(it)`` says what it is worth."""
    newest = select(Subscription).order_by(Subscription.status.in_(ALIVE).desc(), Subscription.id.desc()).limit(1)
    return await unit.session.scalar(newest)


def entitled(subscription: Subscription | None) -> bool:
    """Whether the tenant may use what it pays for: also while Stripe still tries to collect, and to the end of the
    paid period after a cancellation, when Stripe itself ends it."""
    return subscription is not None and subscription.status in ENTITLED


@flow(emits=(CANCELLATION_REQUESTED,))
async def cancel_subscription(unit: UnitOfWork) -> Subscription:
    """Let it end with the paid period. Stripe is asked after the commit.

    Raises:
        NotFound: no subscription lives.
    """
    alive = select(Subscription).where(Subscription.status.in_(ALIVE)).order_by(Subscription.id.desc()).limit(1)
    found = await unit.session.scalar(alive.with_for_update().execution_options(populate_existing=True))
    if found is None:
        raise NotFound
    found.cancels = True
    await unit.emit(CANCELLATION_REQUESTED, told(found))
    await unit.enqueue(END_SUBSCRIPTION, SubscriptionDue(subscription_id=found.id))
    return found


async def end_subscription(work: Work, due: SubscriptionDue) -> None:
    """The job. It sets a state, so doing it twice is doing it once; one that has ended already is ended."""
    stripe = work.port(PaymentsPorts).stripe
    async with work.unit() as unit:
        found = (await unit.session.scalars(select(Subscription).where(Subscription.id == due.subscription_id))).one()
    if found.status not in ALIVE:
        return
    try:
        await stripe.end_with_period(found.stripe_id)
    except ProviderRefused as error:
        if (await stripe.subscription(found.stripe_id)).status in ALIVE:
            raise GiveUp(f"Stripe refused to end a subscription: {error}") from error


async def reading_began(work: Work) -> datetime:
    """The database's time before an object is read: a change after it causes another event, and another reading."""
    async with work.unit() as unit:
        began: datetime = (await unit.session.execute(select(func.clock_timestamp()))).scalar_one()
    return began


async def apply_subscription(unit: UnitOfWork, fact: ports.Subscription, *, read_at: datetime) -> Subscription | None:
    """Write what Stripe said, unless what is written was read later. Never compares what Stripe calls ``created``: its
    seconds do not order events."""
    # One lock for all subscriptions of the tenant, held also while its first row is made.
    customer = select(Customer).where(Customer.stripe_id == fact.customer).with_for_update()
    if await unit.session.scalar(customer.execution_options(populate_existing=True)) is None:
        return None
    known = select(Subscription).where(Subscription.stripe_id == fact.id).execution_options(populate_existing=True)
    found = await unit.session.scalar(known)
    if found is None:
        made = insert(Subscription).values(
            id=uuid7(),
            stripe_id=fact.id,
            plan=await _plan(unit, fact),
            status="incomplete",
            cancels=False,
            paid_until=fact.paid_until,
            read_at=datetime.fromtimestamp(0, read_at.tzinfo),
        )
        found = (await unit.session.scalars(made.returning(Subscription))).one()
    if read_at <= found.read_at:
        return found
    before = (found.status, found.cancels, found.paid_until)
    found.status, found.paid_until, found.read_at = fact.status, fact.paid_until, read_at
    found.cancels = fact.cancel_at_period_end or fact.cancel_at is not None
    if (found.status, found.cancels, found.paid_until) != before:
        await (_tell_changed if found.status in ALIVE else _tell_ended)(unit, found)
    return found


async def _plan(unit: UnitOfWork, fact: ports.Subscription) -> str:
    """What our own checkout says; empty for one that was made in Stripe's dashboard."""
    try:
        checkout_id = UUID(fact.metadata.get("checkout_id", ""))
    except ValueError:
        return ""
    return await unit.session.scalar(select(Checkout.reference).where(Checkout.id == checkout_id)) or ""


@flow(emits=(SUBSCRIPTION_CHANGED,))
async def _tell_changed(unit: UnitOfWork, subscription: Subscription) -> None:
    await unit.emit(SUBSCRIPTION_CHANGED, told(subscription))


@flow(emits=(SUBSCRIPTION_ENDED,))
async def _tell_ended(unit: UnitOfWork, subscription: Subscription) -> None:
    await unit.emit(SUBSCRIPTION_ENDED, told(subscription))


def told(subscription: Subscription) -> SubscriptionTold:
    """As events tell of it."""
    return SubscriptionTold(
        subscription_id=subscription.id,
        plan=subscription.plan,
        status=subscription.status,
        entitled=entitled(subscription),
        cancels=subscription.cancels,
    )
