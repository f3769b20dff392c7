"""Rows of the tenant, as most routes read them: one by its id, or a page of the newest."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Query
from sqlalchemy import ColumnElement, Select, bindparam, select

from holdtrue.runtime.models import TenantRow
from holdtrue.runtime.refusals import NotFound
from holdtrue.runtime.unit import UnitOfWork

R = TypeVar("R", bound=TenantRow)

Before = Annotated[UUID | None, Query(description="The last id of the page before.")]
Limit = Annotated[int, Query(ge=1, le=200)]


async def own(unit: UnitOfWork, kind: type[R], row_id: UUID, *, lock: bool = False) -> R:
    """A row of the tenant; with ``lock`` as it is now, and nobody else's until the transaction ends.

    Raises:
        NotFound: the tenant has no such row.
    """
    query = _one(kind, lock)  # type: ignore[arg-type]  # a class that is a variable is hashable, too
    found = await unit.session.scalars(query, {"tenant": unit.tenant, "row": row_id})
    row: R | None = found.unique().one_or_none()
    if row is None:
        raise NotFound
    return row


@cache
def _one(kind: Any, lock: bool) -> Select[Any]:
    """Made once for each kind: to make it and to find how it was compiled costs as much as all the rest of a read."""
    query = select(kind).where(kind.tenant_id == bindparam("tenant"), kind.id == bindparam("row"))
    return query.with_for_update().execution_options(populate_existing=True) if lock else query


async def newest_first(
    unit: UnitOfWork, kind: type[R], before: UUID | None, limit: int, *conditions: ColumnElement[bool]
) -> list[R]:
    """Up to ``limit`` rows of the tenant older than the row ``before``: ids sort by time, so new rows move nothing."""
    query = select(kind).where(kind.tenant_id == unit.tenant, *conditions).order_by(kind.id.desc()).limit(limit)
    return list(await unit.session.scalars(query if before is None else query.where(kind.id < before)))
