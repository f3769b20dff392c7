from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict

from plainshop.access import Gate, permission
from plainshop.fields import Before, Limit
from plainshop.models import AuditEvent
from plainshop.paging import newest_first

router = APIRouter(tags=["audit"])


class AuditEventOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    at: datetime
    actor_type: str
    actor_id: str | None
    action: str
    outcome: str
    target_type: str
    target_id: str
    request_id: str
    details: dict[str, Any]


class AuditPage(BaseModel):
    items: list[AuditEventOut]


@router.get("/audit")
def list_events(
    gate: Annotated[Gate, Depends(permission("audit.read"))], before: Before = None, limit: Limit = 50
) -> AuditPage:
    with gate.enter() as unit:
        rows = newest_first(unit.session, AuditEvent, AuditEvent.at, unit.shop_id, before, limit)
        return AuditPage(items=[AuditEventOut.model_validate(row) for row in rows])
