"""The transactional outbox and inbox: what is owed, in the database, with the change that owes it.

A trigger wakes the worker for each row that becomes due, in the same transaction; so a row without a wake cannot exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, Interval, Result, Table, and_, bindparam, func, literal_column, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from holdtrue.runtime.context import NO_TENANT
from holdtrue.runtime.models import inbox, outbox

Box = Literal["outbox", "inbox"]
TABLES: Mapping[Box, Table] = {"outbox": outbox, "inbox": inbox}


@dataclass(frozen=True, kw_only=True)
class Ref:
    """Where a piece of work is written."""

    box: Box
    tenant: UUID | None
    id: UUID


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """A piece of work that is ours until ``lease_until``, as long as ``attempts`` stays the same."""

    ref: Ref
    job: str
    payload: Any
    origin: Mapping[str, str]
    attempts: int
    interrupted: bool
    """An attempt before this one ended without a word: its worker died."""


# One statement for any number of rows: what differs is in its parameters, so that it is compiled once.
_DUE = func.now() + bindparam("delay", type_=Interval())
_PUT = insert(outbox).values(due_at=_DUE).on_conflict_do_nothing()
_TAKE = insert(inbox).values(due_at=_DUE)
_RECEIVE = _TAKE.on_conflict_do_update(
    index_elements=["job", "key"],
    set_={"state": "queued", "attempts": 0, "due_at": func.now(), "error": None},
    where=inbox.c.state == "dead",
).returning(inbox.c.id)


def put(connection: Connection, tenant: UUID | None, rows: Sequence[dict[str, Any]]) -> None:
    """Write what is owed; of rows with one key only the first."""
    connection.execute(_PUT, [row | {"tenant_id": tenant or NO_TENANT} for row in rows])


async def receive(session: AsyncSession, row: dict[str, Any]) -> bool:
    """Write what came in; drives a dead one again. False when it was seen before."""
    return (await session.execute(_RECEIVE, row)).first() is not None


def _claimable(table: Table) -> Any:
    waiting = and_(table.c.state.in_(["queued", "unknown"]), table.c.due_at <= func.now())
    return or_(waiting, and_(table.c.state == "running", table.c.lease_until < func.now()))


async def claim(session: AsyncSession, ref: Ref, lease: timedelta) -> Claimed | None:
    """Take a piece of work, if it is due and nobody has it. A lapsed lease means that its worker died."""
    table = TABLES[ref.box]
    before = (
        select(table.c.id, table.c.state)
        .where(table.c.id == ref.id, _claimable(table))
        .with_for_update(skip_locked=True)
    )
    old = before.cte("old")
    taken = (
        update(table)
        .where(table.c.id == old.c.id)
        .values(state="running", attempts=table.c.attempts + 1, lease_until=func.now() + lease)
        .returning(table.c.job, table.c.payload, table.c.origin, table.c.attempts, old.c.state)
    )
    row = (await session.execute(taken)).one_or_none()
    if row is None:
        return None
    return Claimed(
        ref=ref,
        job=row.job,
        payload=row.payload,
        origin=row.origin,
        attempts=row.attempts,
        interrupted=row.state == "running",
    )


def _ours(claimed: Claimed) -> Any:
    table = TABLES[claimed.ref.box]
    return and_(table.c.id == claimed.ref.id, table.c.state == "running", table.c.attempts == claimed.attempts)


async def settle(session: AsyncSession, claimed: Claimed, **values: Any) -> bool:
    """Note what became of it, as long as it is ours; False when another worker has it by now."""
    table = TABLES[claimed.ref.box]
    noted = update(table).where(_ours(claimed)).values(lease_until=None, **values).returning(table.c.id)
    return (await session.execute(noted)).first() is not None


async def renew(session: AsyncSession, claimed: Claimed, lease: timedelta) -> bool:
    """Keep it for longer; False when another worker has it by now."""
    table = TABLES[claimed.ref.box]
    kept = update(table).where(_ours(claimed)).values(lease_until=func.now() + lease).returning(table.c.id)
    return (await session.execute(kept)).first() is not None


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A piece of work that waits for somebody: dead, or of unknown outcome."""

    ref: Ref
    job: str
    state: str
    attempts: int
    error: str
    created_at: datetime


async def letters(session: AsyncSession) -> list[Letter]:
    """Everything that is dead or unknown, of all tenants, oldest first, without its payload."""
    rows: Result[Any] = await session.execute(select(literal_column("*")).select_from(func.holdtrue_letters()))
    return [
        Letter(
            ref=Ref(box=row.box, tenant=None if row.tenant_id == NO_TENANT else row.tenant_id, id=row.id),
            job=row.job,
            state=row.state,
            attempts=row.attempts,
            error=row.error or "",
            created_at=row.created_at,
        )
        for row in rows
    ]


async def requeue(session: AsyncSession, ref: Ref) -> bool:
    """Give dead or unknown work a new start, under the same key; the session must be in its tenant."""
    table = TABLES[ref.box]
    revived = update(table).where(table.c.id == ref.id, table.c.state.in_(["dead", "unknown"]))
    values = {"state": "queued", "attempts": 0, "due_at": func.now(), "error": None}
    return (await session.execute(revived.values(values).returning(table.c.id))).first() is not None
