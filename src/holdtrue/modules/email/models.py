"""Mails, and addresses that get none. What belongs to no tenant stands under ``NO_TENANT``."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import FetchedValue, MetaData
from sqlalchemy.orm import Mapped, mapped_column

from holdtrue.runtime import Model, TenantRow


class Base(Model):
    """Email's own tables."""

    __abstract__ = True
    metadata = MetaData()


class Mail(TenantRow, Base):
    """One mail to one recipient. Until it has an outcome, its row of the outbox says how far it is."""

    __tablename__ = "email_mails"
    template: Mapped[str]
    stream: Mapped[str]
    recipient: Mapped[str]
    message_id: Mapped[str]
    sealed: Mapped[bytes | None]
    """The whole message, encrypted; erased as soon as it is not needed any more."""
    outcome: Mapped[str | None]  # accepted → delivered | bounced | complained; or suppressed
    reply: Mapped[str | None]
    """The last answer of the mail server: phase and codes."""


class Suppression(TenantRow, Base):
    """An address that gets no mails of this tenant, or only security mails."""

    __tablename__ = "email_suppressions"
    address: Mapped[str]
    reason: Mapped[str]
    since: Mapped[datetime] = mapped_column(server_default=FetchedValue())
