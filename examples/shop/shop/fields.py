"""What request bodies and lists are made of."""

from typing import Annotated, Literal, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import select

from holdtrue.runtime import NotFound, TenantRow, UnitOfWork

_ATOM, _LABEL = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+", r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = rf"^{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*$"

MOST_CENTS = 99_999_999
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
]
Prose = Annotated[str, StringConstraints(max_length=5000, pattern=r"^[^\x00]*$")]
Email = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, max_length=254, pattern=_EMAIL)]
Cents = Annotated[int, Field(strict=True, ge=1, le=MOST_CENTS)]
Currency = Literal["aud", "cad", "chf", "dkk", "eur", "gbp", "jpy", "nok", "nzd", "pln", "sek", "usd"]
Before = Annotated[UUID | None, Query(description="the last id of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]
R = TypeVar("R", bound=TenantRow)


class Body(BaseModel):
    """Unknown fields are refused: a price or a tenant in a body is not overlooked, it is an error."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


async def own(unit: UnitOfWork, kind: type[R], row_id: UUID, *, lock: bool = False) -> R:
    """A row of the tenant.

    Raises:
        NotFound: the tenant has no such row.
    """
    found = await unit.session.get(kind, (unit.tenant, row_id), with_for_update=lock or None, populate_existing=lock)
    if found is None:
        raise NotFound
    return found


async def newest_first(unit: UnitOfWork, kind: type[R], before: UUID | None, limit: int) -> list[R]:
    """Up to ``limit`` rows of the tenant older than the row ``before``: ids sort by time."""
    query = select(kind).order_by(kind.id.desc()).limit(limit)
    return list(await unit.session.scalars(query if before is None else query.where(kind.id < before)))
