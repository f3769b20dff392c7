"""Flags: the table, the routes, the wiring."""

from pathlib import Path as Folder
from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import MetaData, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped

from holdtrue.contract import Call
from holdtrue.runtime import Model, Module, Router, TenantRow, Unit, UnitOfWork, flow, uuid7
from holdtrue_flags.contract import CONTRACT, READ, SWITCHED, SWITCHING, WRITE, Switch

Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Base(Model):
    __abstract__ = True
    metadata = MetaData()


class Flag(TenantRow, Base):
    __tablename__ = "feature_flags"
    name: Mapped[str]
    is_on: Mapped[bool]


class FlagIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    on: Annotated[bool, Field(strict=True)]


async def is_on(unit: UnitOfWork, name: str) -> bool:
    """Whether a feature is on in the tenant of this unit; one that nobody switched is off."""
    return bool(await unit.session.scalar(select(Flag.is_on).where(Flag.name == name)))


@flow(emits=(SWITCHED,))
async def switch(unit: UnitOfWork, wanted: Switch) -> None:
    """Switch a feature on or off."""
    await unit.guard(SWITCHING, wanted)
    row = insert(Flag).values(id=uuid7(), name=wanted.name, is_on=wanted.on)
    await unit.session.execute(
        row.on_conflict_do_update(index_elements=["tenant_id", "name"], set_={"is_on": row.excluded.is_on})
    )
    await unit.emit(SWITCHED, wanted)


router = Router(prefix="/flags", tags=("flags",))


@router.get("", access=READ)
async def flags(unit: Unit) -> dict[str, bool]:
    """Every feature that was ever switched."""
    rows = await unit.session.execute(select(Flag.name, Flag.is_on).order_by(Flag.name))
    return {row.name: row.is_on for row in rows}


@router.put("/{name}", access=WRITE, rehearse=Call(params={"name": "rehearsed"}, json_={"on": True}))
async def put(name: Name, body: FlagIn, unit: Unit) -> Switch:
    """On or off."""
    wanted = Switch(name=name, on=body.on)
    await switch(unit, wanted)
    return wanted


def Flags() -> Module:  # noqa: N802  (reads like the thing it makes)
    """Feature flags, each of one tenant."""
    return Module(
        contract=CONTRACT,
        routers=(router,),
        metadata=Base.metadata,
        migrations=Folder(__file__).with_name("migrations"),
    )
