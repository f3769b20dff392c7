"""The history, for those who may read it. Nothing writes here: the unit of work does."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from holdtrue.modules.audit.contract import READ
from holdtrue.modules.audit.reading import Filter, newest_first
from holdtrue.runtime import Router, Unit

router = Router(prefix="/audit", tags=("audit",))


class EventOut(BaseModel):
    """Who did what to which thing, when, in which request, and whether it was allowed."""

    model_config = ConfigDict(from_attributes=True)
    id: UUID
    at: datetime
    action: str
    outcome: Literal["done", "denied"]
    subject: str
    actor_kind: str
    actor_id: str
    behalf_kind: str | None
    behalf_id: str | None
    """Of a job: who caused it."""
    request_id: str
    details: dict[str, Any]


class Page(BaseModel):
    """Newest first."""

    items: list[EventOut]
    next: UUID | None
    """Ask again with ``before`` set to it; None at the end."""


@router.get("", access=READ)
async def list_events(unit: Unit, wanted: Annotated[Filter, Query()]) -> Page:
    """The tenant's history."""
    rows, following = await newest_first(unit, wanted)
    return Page(items=[EventOut.model_validate(row) for row in rows], next=following)
