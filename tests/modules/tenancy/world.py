"""An app of one table, tenancy, and doors that believe who says who they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import MetaData, select
from sqlalchemy.orm import Mapped

from holdtrue.assembly.testing import Kit
from holdtrue.contract import Contract, Permission, Table
from holdtrue.modules.tenancy import contract
from holdtrue.runtime import Credentials, Model, Module, Principal, Router, TenantRow, Unit, UnitOfWork

READ = Permission(name="paper.read", doc="read papers")
WRITE = Permission(name="paper.write", doc="write papers")
ROLES: dict[str, Any] = {
    "owner": "*",
    "manager": (contract.MEMBERS_READ, contract.MEMBERS_MANAGE, READ, "paper.write"),
    "clerk": (READ, WRITE),
    "viewer": (READ,),
}
ENVIRON = {"TENANCY_ACCEPT_URL": "https://front.test/join", "TENANCY_BASE_DOMAIN": "shops.test"}
HOME = "shops.test"
router = Router(prefix="/papers")


class Base(Model):
    __abstract__ = True
    metadata = MetaData()


class Paper(TenantRow, Base):
    __tablename__ = "papers"
    title: Mapped[str]


@router.get("", access=READ)
async def papers(unit: Unit) -> list[str]:
    return list(await unit.session.scalars(select(Paper.title).order_by(Paper.id)))


@router.post("", access=WRITE, status=201)
async def write(title: str, unit: Unit) -> None:
    unit.session.add(Paper(title=title))


async def believe(unit: UnitOfWork, credentials: Credentials) -> Principal | None:
    told = credentials.headers
    if "x-principal" not in told:
        return None
    kind: Any = told.get("x-kind", "user")
    scopes = frozenset(told["x-scopes"].split()) if "x-scopes" in told else None
    tenant = UUID(told["x-claim"]) if "x-claim" in told else None
    return Principal(
        kind=kind,
        id=told["x-principal"],
        tenant=tenant,
        permissions=scopes,
        email=told.get("x-email"),
        user=told.get("x-user"),
    )


def paper_module(folder: Any) -> Module:
    return Module(
        contract=Contract(name="paper", version="1.0.0", permissions=(READ, WRITE), tables=(Table(name="papers"),)),
        routers=(router,),
        metadata=Base.metadata,
        migrations=folder,
    )


PAPER_REVISION = """
import sqlalchemy as sa
from holdtrue.runtime.revisions import drop_table, tenant_table
revision, down_revision, branch_labels, depends_on = "paper_0001", None, ("paper",), ("runtime_0001",)
def upgrade():
    tenant_table("papers", sa.Column("title", sa.Text, nullable=False))
def downgrade():
    drop_table("papers")
"""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody with an id and an address, in one tenant or none."""

    kit: Kit
    name: str
    claim: str | None = None
    headers: dict[str, str]

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = self.headers | ({"X-Claim": self.claim} if self.claim else {}) | headers
        return await self.kit.client.request(method, path, json=body, headers=sent)

    def within(self, tenant: str) -> Person:
        return replace(self, claim=tenant)


@dataclass(frozen=True, kw_only=True)
class World:
    """The running app, and ways to fill it."""

    kit: Kit

    def person(self, name: str, email: str | None = None) -> Person:
        told = {"X-Principal": name, "X-Email": email or f"{name}@people.test"}
        return Person(kit=self.kit, name=name, headers=told)

    async def founded(self, slug: str, owner: str = "ann") -> Person:
        person = self.person(owner)
        answer = await person.call("POST", "/tenants", {"name": slug.title(), "slug": slug})
        assert answer.status_code == 201, answer.text
        return person.within(answer.json()["id"])

    async def invited(self, by: Person, email: str, role: str) -> str:
        """The token that was mailed."""
        answer = await by.call("POST", "/members/invitations", {"email": email, "role": role})
        assert answer.status_code == 201, answer.text
        return await self.mailed(email)

    async def mailed(self, email: str) -> str:
        [mail, *_] = await self.kit.sql(
            "SELECT payload FROM doors_mails WHERE recipient = %s ORDER BY id DESC", email.lower()
        )
        return str(mail["payload"]["link"]).partition("#invitation=")[2]

    async def joined(self, by: Person, name: str, role: str) -> tuple[Person, str]:
        """A new member, and the membership's id."""
        person = self.person(name)
        token = await self.invited(by, f"{name}@people.test", role)
        answer = await person.call("POST", "/members/accept", {"token": token})
        assert answer.status_code == 201, answer.text
        assert answer.json()["tenant_id"] == by.claim
        return person.within(str(by.claim)), answer.json()["member_id"]

    async def member_id(self, person: Person) -> str:
        [row] = await self.kit.sql(
            "SELECT id FROM memberships WHERE user_id = %s AND tenant_id = %s", person.name, UUID(person.claim)
        )
        return str(row["id"])
