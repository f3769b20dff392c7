"""The shop's own plan: at most one open Checkout session and one subscription that has not ended."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import func, select

from plainshop.access import Gate
from plainshop.checkouts import OPEN_FOR, asked_of_stripe
from plainshop.errors import Conflict
from plainshop.models import Shop, Subscription
from plainshop.models.base import now
from plainshop.stripe_api import HostedPage, Plan
from plainshop.unit import Unit

PLAN = Plan(name="standard", monthly_cents=1900, currency="eur")
BEGUN = ("creating", "open")
ENDED = ("failed", "expired", "incomplete_expired", "canceled")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """All that Stripe is told, fixed by the database: a repetition says exactly the same."""

    subscription_id: UUID
    shop_name: str
    customer_id: str | None
    expires_at: datetime


def start_subscription(gate: Gate) -> HostedPage:
    with gate.enter() as unit:
        begun = _begin(unit)
    if isinstance(begun, HostedPage):
        return begun
    stripe, shop_id = gate.context.stripe, gate.claims.shop_id
    customer_id = begun.customer_id
    if customer_id is None:
        with asked_of_stripe(lambda: _abandon(gate, begun)):
            customer_id = stripe.create_customer(shop_id=shop_id, name=begun.shop_name)
        with gate.enter() as unit:
            # Before there is anything to pay: it is by the customer that an event finds its shop.
            row = _locked(unit, begun.subscription_id)
            if row.stripe_customer_id is None:
                row.stripe_customer_id = customer_id
                unit.record("subscription.customer_made", "subscription", row.id)
    with asked_of_stripe(lambda: _abandon(gate, begun)):
        page = stripe.create_subscription_session(
            subscription_id=begun.subscription_id, customer_id=customer_id, plan=PLAN, expires_at=begun.expires_at
        )
    with gate.enter() as unit:
        row = _locked(unit, begun.subscription_id)
        if row.stripe_session_id is None:
            # Stripe's webhook may have been here first.
            row.status = "open" if row.status == "creating" else row.status
            row.stripe_session_id, row.url = page.session_id, page.url
            unit.record("subscription.checkout_opened", "subscription", row.id)
    return page


def current_subscription(unit: Unit) -> Subscription | None:
    """The one that has not ended; else the last."""
    own = select(Subscription).where(Subscription.shop_id == unit.shop_id)
    latest = own.order_by(Subscription.status.in_(ENDED), Subscription.created_at.desc(), Subscription.id)
    return unit.session.scalar(latest.limit(1))


def _begin(unit: Unit) -> Attempt | HostedPage:
    # One begins at a time, and there need not be a row yet that could be locked.
    unit.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"billing:{unit.shop_id}", 0))))
    row = current_subscription(unit)
    if row and row.status in BEGUN:
        row = _locked(unit, row.id)
        if row.status in BEGUN and row.expires_at <= now():
            row.status = "expired"
            unit.record("subscription.expired", "subscription", row.id)
            unit.session.flush()
    if row is None or row.status in ENDED:
        row = Subscription(
            shop_id=unit.shop_id,
            id=uuid4(),
            plan=PLAN.name,
            status="creating",
            stripe_customer_id=row.stripe_customer_id if row else None,
            expires_at=now() + OPEN_FOR,
            ends_with_period=False,
        )
        unit.session.add(row)
        unit.record("subscription.started", "subscription", row.id)
    if row.status not in BEGUN:
        raise Conflict("The shop has a subscription.")
    if row.stripe_session_id and row.url:
        return HostedPage(session_id=row.stripe_session_id, url=row.url)
    name = unit.session.execute(select(Shop.name).where(Shop.id == unit.shop_id)).scalar_one()
    return Attempt(
        subscription_id=row.id, shop_name=name, customer_id=row.stripe_customer_id, expires_at=row.expires_at
    )


def _locked(unit: Unit, subscription_id: UUID) -> Subscription:
    return unit.session.get_one(
        Subscription, (unit.shop_id, subscription_id), with_for_update=True, populate_existing=True
    )


def _abandon(gate: Gate, attempt: Attempt) -> None:
    with gate.enter() as unit:
        row = _locked(unit, attempt.subscription_id)
        if row.status == "creating":
            row.status = "failed"
            unit.record("subscription.failed", "subscription", row.id)
