"""Subscriptions. An event only says which one to look at: what is written is what Stripe answers when asked."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from plainshop.events.common import UnknownObject, as_uuid, unit_for
from plainshop.models import Subscription
from plainshop.unit import Unit

# Stripe never revives one of these.
OVER = ("canceled", "incomplete_expired")


class Item(BaseModel):
    current_period_end: int


class Items(BaseModel):
    data: list[Item]


class SubscriptionObject(BaseModel):
    """As of API version 2025-03-31, the period is that of the items."""

    id: str
    customer: str
    status: str
    cancel_at_period_end: bool
    metadata: dict[str, str]
    items: Items


def subscription_of(event_type: str, body: dict[str, Any]) -> str | None:
    """The id of the subscription an event is about, if it is about one."""
    told = body.get("id") if event_type.startswith("customer.subscription.") else body.get("subscription")
    return told if isinstance(told, str) else None


def subscription_now(session: Session, request_id: str, body: dict[str, Any], asked_at: datetime) -> None:
    """Write what Stripe answered when asked at `asked_at`; older than what stands here, it changes nothing."""
    told = SubscriptionObject.model_validate(body)
    unit, row = _located(session, told, request_id)
    if row.status in OVER or (row.synced_at and row.synced_at > asked_at):
        return
    ends = max((item.current_period_end for item in told.items.data), default=None)
    period_ends_at = datetime.fromtimestamp(ends, UTC) if ends else None
    seen = (told.id, told.status, period_ends_at, told.cancel_at_period_end)
    if seen == (row.stripe_subscription_id, row.status, row.period_ends_at, row.ends_with_period):
        return
    row.stripe_subscription_id, row.status, row.period_ends_at, row.ends_with_period = seen
    row.synced_at = asked_at
    unit.record(f"subscription.{told.status}", "subscription", row.id, ends_with_period=told.cancel_at_period_end)


def session_expired(session: Session, request_id: str, body: dict[str, Any]) -> None:
    """Nobody paid: the next click begins anew."""
    key = select(Subscription.shop_id, Subscription.id).where(Subscription.stripe_session_id == body["id"])
    found = session.execute(key).one_or_none()
    if found is None:
        raise UnknownObject("checkout session")
    unit = unit_for(session, found.shop_id, request_id)
    row = _locked(unit, found.id)
    if row.status == "open":
        row.status = "expired"
        unit.record("subscription.expired", "subscription", row.id)


def _located(session: Session, told: SubscriptionObject, request_id: str) -> tuple[Unit, Subscription]:
    """By Stripe's id; or the attempt we named when we asked for it, among those of our row with this customer."""
    mine = select(Subscription.shop_id, Subscription.id).where(Subscription.stripe_customer_id == told.customer)
    found = session.execute(mine.where(Subscription.stripe_subscription_id == told.id)).one_or_none()
    if found is None and (attempt := as_uuid(told.metadata.get("attempt"))):
        unanswered = mine.where(Subscription.id == attempt, Subscription.stripe_subscription_id.is_(None))
        found = session.execute(unanswered).one_or_none()
    if found is None:
        raise UnknownObject("subscription")
    unit = unit_for(session, found.shop_id, request_id)
    row = _locked(unit, found.id)
    if row.stripe_subscription_id not in {None, told.id}:
        raise UnknownObject("subscription")
    return unit, row


def _locked(unit: Unit, row_id: UUID) -> Subscription:
    return unit.session.get_one(Subscription, (unit.shop_id, row_id), with_for_update=True, populate_existing=True)
