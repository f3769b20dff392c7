from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

Row = TypeVar("Row")


def newest_first(
    session: Session,
    model: type[Row],
    time: InstrumentedAttribute[datetime],
    shop_id: UUID,
    before: UUID | None,
    limit: int,
) -> list[Row]:
    """Up to `limit` rows of the shop, older than the row `before`; stable while rows are added."""
    key: InstrumentedAttribute[UUID] = model.id  # type: ignore[attr-defined]
    owner: InstrumentedAttribute[UUID] = model.shop_id  # type: ignore[attr-defined]
    query = select(model).where(owner == shop_id).order_by(time.desc(), key.desc()).limit(limit)
    if before is not None:
        anchor = session.scalar(select(time).where(owner == shop_id, key == before))
        if anchor is None:
            return []
        query = query.where(tuple_(time, key) < (anchor, before))
    return list(session.scalars(query))
