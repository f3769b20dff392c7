"""The tables of payments. Amounts are in minor units."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped

from holdtrue.runtime import Model, Row, TenantRow

ACTIVE = ("creating", "open", "processing")
"""Of a checkout: it may still be paid."""
RESERVED = ("waiting", "queued", "sending", "unknown", "pending", "succeeded")
"""Of a refund: its money is spoken for."""
ALIVE = ("incomplete", "trialing", "active", "past_due", "unpaid", "paused")
"""Of a subscription: it may still ask for money."""
ENTITLED = ("trialing", "active", "past_due")
"""Of a subscription: while Stripe still tries to collect (past_due), the tenant keeps what it has."""


class Base(Model):
    __abstract__ = True
    metadata = MetaData()


class Customer(TenantRow, Base):
    """The tenant as Stripe's customer; the row is written before the customer is made."""

    __tablename__ = "payment_customers"
    stripe_id: Mapped[str | None]


class Checkout(TenantRow, Base):
    """One attempt to pay something; at most one per reference is active, and at most one for a subscription."""

    __tablename__ = "payment_checkouts"
    kind: Mapped[str]
    reference: Mapped[str]
    status: Mapped[str]  # creating → open → processing → complete | failed | expired; abandoned: we gave it up
    purchase: Mapped[dict[str, Any]]
    return_url: Mapped[str]
    amount: Mapped[int]
    currency: Mapped[str]
    session_id: Mapped[str | None]
    url: Mapped[str | None]
    expires_at: Mapped[datetime]


class Payment(TenantRow, Base):
    """Money received: one row per payment intent, however many events tell of it."""

    __tablename__ = "payments"
    checkout_id: Mapped[UUID | None]
    subscription_id: Mapped[UUID | None]
    reference: Mapped[str]
    intent: Mapped[str]
    amount: Mapped[int]
    currency: Mapped[str]
    accepted: Mapped[bool]


class Refund(TenantRow, Base):
    """An intent to give money back, written before Stripe is asked; or one that was made in Stripe's dashboard."""

    __tablename__ = "payment_refunds"
    payment_id: Mapped[UUID]
    amount: Mapped[int]
    status: Mapped[str]  # waiting → queued → sending | unknown → pending → succeeded | failed; declined
    reason: Mapped[str]
    request_key: Mapped[str | None]
    requested_by: Mapped[str]
    decided_by: Mapped[str | None]
    stripe_id: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    error: Mapped[str | None]


class Dispute(TenantRow, Base):
    """What the bank decides about a payment; the row never goes back to an earlier standing."""

    __tablename__ = "payment_disputes"
    payment_id: Mapped[UUID]
    stripe_id: Mapped[str]
    amount: Mapped[int]
    status: Mapped[str]  # inquiry → open → closed | won | lost


class Subscription(TenantRow, Base):
    """What the tenant subscribed to, as Stripe had it when it was last read."""

    __tablename__ = "payment_subscriptions"
    plan: Mapped[str]
    stripe_id: Mapped[str]
    status: Mapped[str]
    cancels: Mapped[bool]
    paid_until: Mapped[datetime]
    read_at: Mapped[datetime]
    """When the reading began that this row shows: an earlier one is never written over it."""


class Reconciliation(Row, Base):
    """One row for each provider."""

    __tablename__ = "payment_reconciliations"
    provider: Mapped[str]
    read_until: Mapped[datetime]
