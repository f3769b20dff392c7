"""What the app's bindings may ask about somebody."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from holdtrue.modules.auth.models import User
from holdtrue.runtime import UnitOfWork


async def email_of(unit: UnitOfWork, user_id: UUID | str) -> str | None:
    """The address that this person proved to own; None for nobody."""
    found: str | None = await unit.session.scalar(select(User.email).where(User.id == UUID(str(user_id))))
    return found
