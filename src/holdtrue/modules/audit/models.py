"""The record."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import FetchedValue, MetaData
from sqlalchemy.orm import Mapped, mapped_column

from holdtrue.runtime import Model


class Base(Model):
    """Audit's own tables."""

    __abstract__ = True
    metadata = MetaData()


class AuditEvent(Base):
    """One row. The database sets the time; no foreign keys, so that nothing can take the history along."""

    __tablename__ = "audit_events"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    action: Mapped[str]
    outcome: Mapped[str]
    subject: Mapped[str]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    behalf_kind: Mapped[str | None]
    behalf_id: Mapped[str | None]
    request_id: Mapped[str]
    details: Mapped[dict[str, Any]]
