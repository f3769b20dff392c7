"""Paying something: at most one live Checkout session for it, whatever is clicked how often.

What Stripe is asked is fixed by a row that is committed first. After a lost answer or a crash the next click asks the
same, under the same key, and gets the same session.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from holdtrue.modules.payments.adapters.sessions import session_params
from holdtrue.modules.payments.contract import CHECKOUT_LINES, CHECKOUT_STARTED, CLOSE_CHECKOUT, NOTICE
from holdtrue.modules.payments.errors import (
    AlreadySubscribed,
    BeingPaid,
    CheckoutOver,
    NothingToBuy,
    ProviderRefusal,
)
from holdtrue.modules.payments.flows.asking import asked
from holdtrue.modules.payments.flows.closing import closed_session, end_checkout, locked_checkout, told
from holdtrue.modules.payments.models import ACTIVE, ALIVE, Checkout, Customer, Subscription
from holdtrue.modules.payments.payloads import CheckoutDue, Kind, Notice, Purchase
from holdtrue.modules.payments.ports import Session
from holdtrue.modules.payments.settings import PaymentsSettings
from holdtrue.modules.payments.terms import PaymentsPorts
from holdtrue.runtime import UnitOfWork, Unprocessable, flow, uuid7

OPEN_FOR = timedelta(hours=23)
"""Stripe keeps a session open for 24 hours at most, and an idempotency key for 24 hours at least."""
MOST = 99_999_999


@dataclass(frozen=True, kw_only=True)
class Page:
    """Where the customer pays."""

    checkout_id: UUID
    url: str


async def start_checkout(unit: UnitOfWork, reference: str) -> Page:
    """A page on which one thing is paid once; a second call answers the same page as long as it is open.

    What is bought for how much is said by the app's binding of ``CHECKOUT_LINES`` and by nothing else. Commits.

    Raises:
        NothingToBuy: no binding knows the reference.
        BeingPaid: a payment is under way, and its outcome is not known yet.
        ProviderAway, ProviderRefusal: no page; call again.
    """
    checkout = await _active(unit, await _priced(unit, "payment", reference))
    return await _page(unit, checkout, None)


async def start_subscription(unit: UnitOfWork, plan: str) -> Page:
    """A page on which the tenant subscribes to a plan; like ``start_checkout``.

    Raises:
        AlreadySubscribed: a subscription lives.
    """
    purchase = await _priced(unit, "subscription", plan)
    customer = await _customer(unit)
    checkout = await _active(unit, purchase)
    # Under the lock on the checkout: what a payment of an earlier one has brought is seen here.
    if await unit.session.scalar(select(Subscription.id).where(Subscription.status.in_(ALIVE)).limit(1)):
        raise AlreadySubscribed("There is a subscription already; end that one first.")
    return await _page(unit, checkout, customer)


async def _priced(unit: UnitOfWork, kind: Kind, reference: str) -> Purchase:
    said = await unit.transform(CHECKOUT_LINES, Purchase(kind=kind, reference=reference))
    # Pydantic does not validate a copy with other fields; and no binding may change what was asked for.
    purchase = Purchase.model_validate({**said.model_dump(), "kind": kind, "reference": reference})
    if not purchase.lines:
        raise NothingToBuy
    if purchase.total > MOST:
        raise Unprocessable("The amount is too large.")
    return purchase


async def _active(unit: UnitOfWork, purchase: Purchase) -> Checkout:
    """The checkout that may be paid, locked: the one that there is, or a new one."""
    where = [Checkout.kind == purchase.kind, Checkout.status.in_(ACTIVE)]
    if purchase.kind == "payment":
        where.append(Checkout.reference == purchase.reference)
    found = await unit.session.scalar(locked_checkout(*where))
    if found is not None and found.status == "processing":
        raise BeingPaid("A payment for this is being processed.")
    if found is not None and _outdated(unit, found, purchase):
        await _replace(unit, found)
        found = None
    if found is None:
        await _begin(unit, purchase)
        found = await unit.session.scalar(locked_checkout(*where))
    if found is None or _outdated(unit, found, purchase):
        raise BeingPaid("Another checkout was begun at the same time; try again.")
    return found


def _outdated(unit: UnitOfWork, checkout: Checkout, purchase: Purchase) -> bool:
    return bool(checkout.expires_at <= unit.now() or checkout.purchase != purchase.model_dump(mode="json"))


async def _replace(unit: UnitOfWork, checkout: Checkout) -> None:
    """End a checkout whose time is over or whose price has changed; first make sure that nobody can pay it any more.

    Raises:
        BeingPaid: somebody has, and the news has not arrived yet.
    """
    checkout_id, session_id = checkout.id, checkout.session_id
    if session_id is not None:
        ports = unit.port(PaymentsPorts)
        closed = await asked(unit, lambda: closed_session(ports, session_id))
        if closed.standing != "expired":
            await unit.enqueue(NOTICE, Notice(type="checkout.session.overdue", object_id=session_id))
            raise BeingPaid("A payment for this has just been made, and is being recorded.", keep=True)
    again = await unit.session.scalar(locked_checkout(Checkout.id == checkout_id))
    if again is not None and again.status in ACTIVE and again.session_id == session_id:
        await end_checkout(unit, again, "expired" if again.expires_at <= unit.now() else "abandoned")
        await unit.session.flush()


async def _begin(unit: UnitOfWork, purchase: Purchase) -> None:
    values = {
        "id": uuid7(),
        "kind": purchase.kind,
        "reference": purchase.reference,
        "status": "creating",
        "purchase": purchase.model_dump(mode="json"),
        "return_url": unit.port(PaymentsSettings).return_url,
        "amount": purchase.total,
        "currency": purchase.currency,
        "expires_at": unit.now() + OPEN_FOR,
    }
    # Two clicks at once: the second waits here for the first, and finds what it made.
    made = await unit.session.scalar(insert(Checkout).values(values).on_conflict_do_nothing().returning(Checkout))
    if made is not None:
        await _tell_started(unit, made)


@flow(emits=(CHECKOUT_STARTED,))
async def _tell_started(unit: UnitOfWork, checkout: Checkout) -> None:
    await unit.emit(CHECKOUT_STARTED, told(checkout))


async def _customer(unit: UnitOfWork) -> str:
    """The tenant as a customer of Stripe: one, as its row is there before it is made."""
    await unit.session.execute(insert(Customer).values(id=uuid7()).on_conflict_do_nothing())
    customer = (await unit.session.scalars(select(Customer))).one()
    if customer.stripe_id is not None:
        return customer.stripe_id
    stripe, tenant = unit.port(PaymentsPorts).stripe, unit.tenant
    made = await asked(unit, lambda: stripe.create_customer(customer.id, tenant))
    locked = select(Customer).with_for_update().execution_options(populate_existing=True)
    customer = (await unit.session.scalars(locked)).one()
    customer.stripe_id = customer.stripe_id or made
    await unit.session.flush()
    return customer.stripe_id


async def _page(unit: UnitOfWork, checkout: Checkout, customer: str | None) -> Page:
    if checkout.session_id and checkout.url:
        return Page(checkout_id=checkout.id, url=checkout.url)
    stripe, checkout_id, params = unit.port(PaymentsPorts).stripe, checkout.id, session_params(checkout, customer)
    try:
        session = await asked(unit, lambda: stripe.create_session(checkout_id, params))
    except ProviderRefusal:
        await _failed(unit, checkout_id)
        raise
    kept = await unit.session.scalar(locked_checkout(Checkout.id == checkout_id))
    if kept is None or kept.session_id not in (None, session.id):
        raise CheckoutOver("The checkout was replaced in the meantime.")
    return await _kept(unit, kept, session)


async def _kept(unit: UnitOfWork, checkout: Checkout, session: Session) -> Page:
    """Show the page, unless it comes too late. Stripe's webhook may have been here first."""
    checkout.session_id, checkout.url = session.id, session.url
    if checkout.status == "creating":
        checkout.status = "open"
    if checkout.status in ("abandoned", "expired", "failed"):
        await unit.enqueue(CLOSE_CHECKOUT, CheckoutDue(checkout_id=checkout.id))
        raise CheckoutOver("It was cancelled in the meantime.", keep=True)
    return Page(checkout_id=checkout.id, url=session.url or "")


async def _failed(unit: UnitOfWork, checkout_id: UUID) -> None:
    """Stripe would repeat its refusal for this key. Nobody was ever shown a page, so a new checkout is safe."""
    checkout = await unit.session.scalar(locked_checkout(Checkout.id == checkout_id))
    if checkout is not None and checkout.status == "creating":
        await end_checkout(unit, checkout, "failed")
