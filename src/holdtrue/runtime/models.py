"""What the models of every module build on, and the runtime's own two tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, FetchedValue, MetaData, Table, Text, Uuid, event, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from holdtrue.runtime.context import utc_now, uuid7


class Model(DeclarativeBase):
    """The root of all models. A module makes its own abstract ``Base`` below it, with ``metadata = MetaData()``."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: BigInteger,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
    }


class Row:
    """A row with an id that sorts by time."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7, sort_order=-1)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=99)


@event.listens_for(Row, "init", propagate=True)
def _known_from_the_start(_: Row, __: object, values: dict[str, Any]) -> None:
    """What is new can be told of before it is written, and no writing waits for what the database would answer."""
    values.setdefault("id", uuid7())
    values.setdefault("created_at", utc_now())


class TenantRow(Row):
    """A row of a tenant. The unit of work fills ``tenant_id``; the database refuses any other than the entered one."""

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=FetchedValue(), sort_order=-2)


metadata = MetaData()


def _work(name: str, *leading: Column[Any]) -> Table:
    """``state``: queued → running → done | dead | unknown. What is due and not done is what the worker has to do."""
    instant = DateTime(timezone=True)
    return Table(
        name,
        metadata,
        *leading,
        Column("id", Uuid, primary_key=True),
        Column("job", Text),
        Column("key", Text),
        Column("lane", Text),
        Column("payload", JSONB),
        Column("origin", JSONB),
        Column("state", Text),
        Column("attempts", BigInteger),
        Column("due_at", instant),
        Column("lease_until", instant),
        Column("error", Text),
        Column("created_at", instant),
        Column("done_at", instant),
    )


outbox = _work("holdtrue_outbox", Column("tenant_id", Uuid, primary_key=True))
inbox = _work("holdtrue_inbox")
