"""Asks the history of one tenant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import ColumnElement, select, tuple_

from holdtrue.modules.audit.models import AuditEvent
from holdtrue.runtime import NotFound, UnitOfWork


class Filter(BaseModel):
    """What is asked for; everything that is given must hold."""

    action: str | None = None
    """Exactly, or with a trailing ``*`` everything that begins so: ``orders.*``."""
    subject: str | None = None
    actor: str | None = None
    outcome: Literal["done", "denied"] | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    before: UUID | None = None
    """The last event of the page before; events that are added meanwhile move nothing."""
    limit: int = Field(default=50, ge=1, le=200)

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Those that were given, without the page."""
        if self.action is not None:
            yield _named(self.action)
        if self.subject is not None:
            yield AuditEvent.subject == self.subject
        if self.actor is not None:
            yield AuditEvent.actor_id == self.actor
        if self.outcome is not None:
            yield AuditEvent.outcome == self.outcome
        if self.since is not None:
            yield AuditEvent.at >= self.since
        if self.until is not None:
            yield AuditEvent.at < self.until


def _named(action: str) -> ColumnElement[bool]:
    if action.endswith("*"):
        return AuditEvent.action.startswith(action[:-1], autoescape=True)
    return AuditEvent.action == action


async def newest_first(unit: UnitOfWork, wanted: Filter) -> tuple[list[AuditEvent], UUID | None]:
    """A page of the tenant's history, and where the next one begins.

    Raises:
        NotFound: ``before`` is no event of this tenant.
    """
    own = AuditEvent.tenant_id == unit.tenant
    query = select(AuditEvent).where(own, *wanted.conditions())
    if wanted.before is not None:
        query = query.where(tuple_(AuditEvent.at, AuditEvent.id) < (await _time_of(unit, wanted.before), wanted.before))
    query = query.order_by(AuditEvent.at.desc(), AuditEvent.id.desc()).limit(wanted.limit + 1)
    rows = list(await unit.session.scalars(query))
    page = rows[: wanted.limit]
    return page, page[-1].id if len(rows) > wanted.limit else None


async def _time_of(unit: UnitOfWork, event_id: UUID) -> datetime:
    query = select(AuditEvent.at).where(AuditEvent.tenant_id == unit.tenant, AuditEvent.id == event_id)
    at = await unit.session.scalar(query)
    if at is None:
        raise NotFound("There is no such event to continue from.")
    return at
