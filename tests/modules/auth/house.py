"""A house for auth to guard: memberships, an audit log, a mailbox, and routes, in the simplest way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from pydantic import BaseModel
from sqlalchemy import MetaData, insert, select
from sqlalchemy.orm import Mapped

from holdtrue.assembly.testing import Kit
from holdtrue.contract import Contract, MailTemplate, Permission, global_table, signed_in
from holdtrue.modules.auth import LiveUnit
from holdtrue.runtime import AuditFact, Credentials, Model, Module, Principal, Router, Row, Unit, UnitOfWork
from holdtrue.runtime.ports import Statement

READ = Permission(name="house.read", doc="look inside")
WRITE = Permission(name="house.write", doc="change what is inside")
SITE = "https://house.test"
SECRET = "kZ3v9QmT7xW1bN5rJ8cY2dL6fH4gP0sA-uEiO_qRtV"
ENVIRON = {
    "AUTH_SECRET_KEY": SECRET,
    "AUTH_PUBLIC_URL": SITE,
    "AUTH_HASHING_THREADS": "1",
    "AUTH_SIGN_INS_PER_NETWORK": "1000",
    "AUTH_MAILS_PER_NETWORK": "1000",
}
PASSWORD = "a long enough password"
router = Router(prefix="/house")


class Base(Model):
    __abstract__ = True
    metadata = MetaData()


class Member(Row, Base):
    __tablename__ = "house_members"
    tenant: Mapped[UUID]
    person: Mapped[str]
    permissions: Mapped[str]


class Audit(Row, Base):
    __tablename__ = "house_audit"
    tenant: Mapped[UUID | None]
    action: Mapped[str]
    outcome: Mapped[str]
    subject: Mapped[str]
    principal: Mapped[str]
    details: Mapped[dict[str, Any]]


class Mail(Row, Base):
    __tablename__ = "house_mails"
    template: Mapped[str]
    recipient: Mapped[str]
    payload: Mapped[dict[str, Any]]


@router.get("", access=READ)
async def look(unit: Unit) -> dict[str, str]:
    return {"kind": unit.context.principal.kind, "tenant": str(unit.tenant)}


@router.post("", access=WRITE)
async def change(unit: Unit) -> dict[str, str]:
    return {"tenant": str(unit.tenant)}


@router.get("/me", access=signed_in())
async def me(unit: Unit) -> dict[str, str]:
    return {"id": unit.context.principal.id}


@router.get("/vault", access=READ)
async def vault(unit: LiveUnit) -> dict[str, str]:
    return {"id": unit.context.principal.id}


async def tenants(unit: UnitOfWork, principal: Principal, credentials: Credentials) -> frozenset[str] | None:
    person = principal.user if principal.kind == "key" else principal.id
    rows = (await unit.session.execute(select(Member).where(Member.person == person))).scalars().all()
    found = [row for row in rows if principal.tenant in (None, row.tenant)]
    if len(found) != 1:
        return None
    await unit.enter(found[0].tenant)
    return frozenset(found[0].permissions.split())


async def mail(unit: UnitOfWork, template: MailTemplate, to: str, payload: BaseModel) -> None:
    unit.session.add(Mail(template=template.name, recipient=to, payload=payload.model_dump(mode="json")))


def record(facts: Sequence[AuditFact]) -> Sequence[Statement]:
    rows = [
        {
            "id": fact.id,
            "tenant": fact.tenant,
            "action": fact.action,
            "outcome": fact.outcome,
            "subject": fact.subject,
            "principal": fact.principal.id,
            "details": dict(fact.details),
        }
        for fact in facts
    ]
    return [(insert(Audit), rows)]


def House() -> Module:  # noqa: N802
    tables = ("house_members", "house_audit", "house_mails")
    return Module(
        contract=Contract(
            name="house",
            version="1.0.0",
            requires=("auth>=1.0",),
            permissions=(READ, WRITE),
            tables=tuple(global_table(name, "of the test") for name in tables),
        ),
        routers=(router,),
        metadata=Base.metadata,
        migrations=Path(__file__).parent / "house_migrations",
        tenants=tenants,
        mailer=mail,
        recorder=record,
    )


class FakeClock:
    """Moves when told to."""

    def __init__(self, start: datetime) -> None:
        self.now = start

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@dataclass(frozen=True, kw_only=True)
class Town:
    """The house, running, and what tests do in it."""

    kit: Kit
    clock: FakeClock

    async def post(self, path: str, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        return await self.kit.client.post(path, json=body, headers=headers)

    async def get(self, path: str, token: str) -> httpx.Response:
        return await self.kit.client.get(path, headers=bearer(token))

    async def mails(self, to: str) -> list[dict[str, Any]]:
        """What the address was mailed, oldest first."""
        await self.kit.work()
        return await self.kit.sql("SELECT template, payload FROM house_mails WHERE recipient = %s ORDER BY id", to)

    async def link_token(self, to: str) -> str:
        """The token in the newest mail."""
        link: str = (await self.mails(to))[-1]["payload"]["link"]
        return link.partition("#token=")[2]

    async def sign_up(self, email: str, **more: Any) -> dict[str, Any]:
        await self.post("/auth/sign-up", email=email)
        token = await self.link_token(email.strip().lower())
        answer = await self.post("/auth/sign-up/complete", token=token, password=PASSWORD, **more)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def join(self, person: str, tenant: UUID, permissions: str = "house.read house.write auth.keys") -> None:
        await self.kit.sql(
            "INSERT INTO house_members (id, tenant, person, permissions) VALUES (gen_random_uuid(), %s, %s, %s)",
            tenant,
            person,
            permissions,
        )

    async def sign_in(self, email: str, password: str = PASSWORD, **more: Any) -> httpx.Response:
        return await self.post("/auth/sign-in", email=email, password=password, **more)

    async def member(self, email: str, tenant: UUID, **more: Any) -> dict[str, Any]:
        """Somebody signed up, a member of the tenant, signed in for it."""
        person = await self.sign_up(email)
        await self.join(person["user_id"], tenant)
        answer = await self.sign_in(email, tenant=str(tenant), **more)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def audited(self, action: str) -> list[dict[str, Any]]:
        return await self.kit.sql("SELECT * FROM house_audit WHERE action = %s ORDER BY id", action)

    async def waits_for_a_lock(self, task: asyncio.Task[Any], sessions: int = 1) -> None:
        """Until so many sessions wait for a lock that another transaction holds, or the task is done."""
        waiting = (
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND NOT %s"
        )
        while not task.done() and len(await self.kit.sql(waiting, False)) < sessions:
            pass
