"""The mails of a tenant, with what became of them and without their texts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Text, and_, case, cast, func, select

from holdtrue.modules.email.contract import DELIVER
from holdtrue.modules.email.models import Mail
from holdtrue.runtime import UnitOfWork
from holdtrue.runtime.models import outbox

Status = Literal[
    "queued", "sending", "deferred", "unknown", "failed", "suppressed", "accepted", "delivered", "bounced", "complained"
]


class Wanted(BaseModel):
    """Which mails; everything that is given must hold."""

    status: Status | None = None
    to: str | None = None
    before: UUID | None = None
    """The last mail of the page before."""
    limit: int = Field(default=50, ge=1, le=200)


class MailOut(BaseModel):
    """A mail without its text. ``reply``: the last phase and codes of the mail server."""

    id: UUID
    template: str
    recipient: str
    status: Status
    reply: str | None
    attempts: int
    created_at: datetime


def _status() -> ColumnElement[str]:
    """As long as a mail has no outcome, its row of the outbox says where it is: one truth, and a requeue shows."""
    state = outbox.c.state
    return case(
        (Mail.outcome.is_not(None), Mail.outcome),
        (state == "running", "sending"),
        (state == "unknown", "unknown"),
        (and_(state == "queued", outbox.c.attempts > 0), "deferred"),
        (state == "queued", "queued"),
        else_="failed",
    )


async def mails(unit: UnitOfWork, wanted: Wanted) -> list[MailOut]:
    """Newest first; ids sort by time."""
    work = and_(outbox.c.tenant_id == Mail.tenant_id, outbox.c.job == DELIVER.name, outbox.c.key == cast(Mail.id, Text))
    columns = (Mail.id, Mail.template, Mail.recipient, Mail.reply, Mail.created_at)
    query = (
        select(*columns, _status().label("status"), func.coalesce(outbox.c.attempts, 0).label("attempts"))
        .outerjoin(outbox, work)
        .where(Mail.tenant_id == unit.tenant)
        .order_by(Mail.id.desc())
        .limit(wanted.limit)
    )
    if wanted.status is not None:
        query = query.where(_status() == wanted.status)
    if wanted.to is not None:
        query = query.where(func.lower(Mail.recipient) == wanted.to.lower())
    if wanted.before is not None:
        query = query.where(Mail.id < wanted.before)
    return [MailOut.model_validate(dict(row)) for row in (await unit.session.execute(query)).mappings()]
