"""A module that fills all ports in the simplest way, so that another module can be tested without the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import MetaData, insert
from sqlalchemy.orm import Mapped

from holdtrue.contract import Contract, MailTemplate, Table
from holdtrue.runtime import AuditFact, Credentials, Model, Module, Principal, TenantRow, UnitOfWork
from holdtrue.runtime.ports import Statement


class Base(Model):
    """Doors' own tables."""

    __abstract__ = True
    metadata = MetaData()


class DoorsAudit(TenantRow, Base):
    """What would be in the audit log."""

    __tablename__ = "doors_audit"
    action: Mapped[str]
    outcome: Mapped[str]
    subject: Mapped[str]
    principal: Mapped[str]
    details: Mapped[dict[str, Any]]


class DoorsMail(TenantRow, Base):
    """What would be mailed."""

    __tablename__ = "doors_mails"
    template: Mapped[str]
    recipient: Mapped[str]
    payload: Mapped[dict[str, Any]]


async def authenticate(unit: UnitOfWork, credentials: Credentials) -> Principal | None:
    """``X-Principal`` is believed."""
    name = credentials.headers.get("x-principal")
    return Principal(kind="user", id=name) if name else None


async def admit(unit: UnitOfWork, principal: Principal, credentials: Credentials) -> frozenset[str] | None:
    """``X-Tenant`` is entered; ``X-Permissions`` are held, separated by spaces."""
    tenant = credentials.headers.get("x-tenant")
    if tenant is None:
        return None
    await unit.enter(UUID(tenant))
    return frozenset(credentials.headers.get("x-permissions", "").split())


async def mail(unit: UnitOfWork, template: MailTemplate, to: str, payload: BaseModel) -> None:
    """Keep it."""
    unit.session.add(DoorsMail(template=template.name, recipient=to, payload=payload.model_dump(mode="json")))


def record(facts: Sequence[AuditFact]) -> Sequence[Statement]:
    """Keep them."""
    rows = [
        {
            "tenant_id": fact.tenant,
            "id": fact.id,
            "action": fact.action,
            "outcome": fact.outcome,
            "subject": fact.subject,
            "principal": fact.principal.id,
            "details": dict(fact.details),
        }
        for fact in facts
        if fact.tenant is not None
    ]
    return [(insert(DoorsAudit), rows)] if rows else []


def Doors(*, authenticator: bool = True) -> Module:  # noqa: N802  (reads like the modules it stands for)
    """Signs in by header, records into ``doors_audit``, mails into ``doors_mails``. Never for production."""
    return Module(
        contract=Contract(
            name="doors",
            version="1.0.0",
            tables=(
                Table(name="doors_audit", unaudited="is the audit log"),
                Table(name="doors_mails", unaudited="what is owed"),
            ),
        ),
        metadata=Base.metadata,
        migrations=Path(__file__).parent / "migrations",
        authenticator=authenticate if authenticator else None,
        tenants=admit,
        mailer=mail,
        recorder=record,
    )
