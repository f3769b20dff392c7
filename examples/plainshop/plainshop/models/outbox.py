from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped

from plainshop.models.base import Base, OfShop


class MailJob(OfShop, Base):
    """A mail to be sent. `due_at` is also the lease: a claim moves it into the future."""

    __tablename__ = "mail_outbox"
    kind: Mapped[str]
    dedupe_key: Mapped[str]
    recipient: Mapped[str]
    params: Mapped[dict[str, Any]]
    status: Mapped[str]  # pending → sent | dead | dropped (there was nobody to send it to)
    attempts: Mapped[int]
    due_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
