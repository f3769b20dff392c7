from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Mapped

from plainshop.models.base import Base, OfShop, within_shop


class Checkout(OfShop, Base):
    """One attempt to pay an order through a Stripe Checkout session; at most one is active per order."""

    __tablename__ = "checkouts"
    __table_args__ = (within_shop("order_id", "orders"),)
    order_id: Mapped[UUID]
    status: Mapped[str]  # creating → open → processing → complete | failed | expired
    stripe_session_id: Mapped[str | None]
    url: Mapped[str | None]
    expires_at: Mapped[datetime]


class Payment(OfShop, Base):
    """Money received. It is not accepted when the order needed none of it; then it is refunded at once."""

    __tablename__ = "payments"
    __table_args__ = (within_shop("order_id", "orders"),)
    order_id: Mapped[UUID]
    stripe_payment_intent: Mapped[str]
    amount_cents: Mapped[int]
    currency: Mapped[str]
    accepted: Mapped[bool]
    # The highest `amount_refunded` any snapshot of the charge has shown.
    charge_refunded_cents: Mapped[int]


class Refund(OfShop, Base):
    """An intent to refund and the outbox row of the worker, in one; also a refund made in Stripe's dashboard."""

    __tablename__ = "refunds"
    __table_args__ = (within_shop("order_id", "orders"), within_shop("payment_id", "payments"))
    order_id: Mapped[UUID]
    payment_id: Mapped[UUID]
    amount_cents: Mapped[int]
    status: Mapped[str]  # queued → pending → succeeded → failed; `dead`: given up, outcome unknown
    stripe_refund_id: Mapped[str | None]
    attempts: Mapped[int]
    due_at: Mapped[datetime]
    first_sent_at: Mapped[datetime | None]
    last_error: Mapped[str | None]


class Dispute(OfShop, Base):
    __tablename__ = "disputes"
    __table_args__ = (within_shop("payment_id", "payments"),)
    payment_id: Mapped[UUID]
    stripe_dispute_id: Mapped[str]
    amount_cents: Mapped[int]
    status: Mapped[str]  # inquiry → open → closed | won | lost


class Subscription(OfShop, Base):
    """One attempt of the shop to subscribe to our plan, and the subscription that comes of it."""

    __tablename__ = "subscriptions"
    plan: Mapped[str]
    status: Mapped[str]  # creating → open → Stripe's own (active, past_due, canceled …) | failed | expired
    stripe_customer_id: Mapped[str | None]
    stripe_session_id: Mapped[str | None]
    url: Mapped[str | None]
    expires_at: Mapped[datetime]
    stripe_subscription_id: Mapped[str | None]
    period_ends_at: Mapped[datetime | None]
    ends_with_period: Mapped[bool]
    # When Stripe was asked for what stands here.
    synced_at: Mapped[datetime | None]
