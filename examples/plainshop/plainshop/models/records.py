from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from plainshop.models.base import Base


class AuditEvent(Base):
    """Append-only; no foreign keys, so that nothing can take the history along. The database sets the time."""

    __tablename__ = "audit_events"
    shop_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    actor_type: Mapped[str]
    actor_id: Mapped[str | None]
    action: Mapped[str]
    outcome: Mapped[str]
    target_type: Mapped[str]
    target_id: Mapped[str]
    request_id: Mapped[str]
    details: Mapped[dict[str, Any]]


class StripeEvent(Base):
    """The inbox: one row per event that was applied or ignored. Holds nothing of any shop."""

    __tablename__ = "stripe_events"
    event_id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    outcome: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RateCounter(Base):
    __tablename__ = "rate_counters"
    key: Mapped[bytes] = mapped_column(primary_key=True)
    window_start: Mapped[datetime]
    count: Mapped[int]
