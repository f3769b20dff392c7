"""A unit of work: one transaction for one shop, and who acts in it. What it records commits with what it changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy.orm import Session

from plainshop.db import Database
from plainshop.models import AuditEvent


@dataclass(frozen=True, kw_only=True)
class Actor:
    type: Literal["member", "public", "stripe", "worker"]
    id: str | None = None


PUBLIC = Actor(type="public")
WORKER = Actor(type="worker")


@dataclass(frozen=True, kw_only=True)
class Unit:
    session: Session
    shop_id: UUID
    actor: Actor
    request_id: str

    def record(
        self,
        action: str,
        target_type: str,
        target_id: object,
        *,
        outcome: Literal["done", "denied"] = "done",
        **details: str | int | bool | None,
    ) -> None:
        """Append to the audit log. Details are ids, amounts and states: no secrets, no personal data."""
        event = AuditEvent(
            shop_id=self.shop_id,
            actor_type=self.actor.type,
            actor_id=self.actor.id,
            action=action,
            outcome=outcome,
            target_type=target_type,
            target_id=str(target_id),
            request_id=self.request_id,
            details=details,
        )
        self.session.add(event)


@contextmanager
def work(database: Database, shop_id: UUID, actor: Actor, request_id: str) -> Iterator[Unit]:
    with database.tenant(shop_id) as session:
        yield Unit(session=session, shop_id=shop_id, actor=actor, request_id=request_id)
