"""A tenant comes to be, with its first owner."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.dialects.postgresql import insert

from holdtrue.modules.tenancy.contract import CREATING, TENANT_CREATED, Creation, TenantCreated
from holdtrue.modules.tenancy.errors import SlugTaken
from holdtrue.modules.tenancy.models import Membership, Tenant
from holdtrue.modules.tenancy.ports import TenancyPorts
from holdtrue.runtime import UnitOfWork, flow, uuid7


@dataclass(frozen=True, kw_only=True)
class Founder:
    """The first owner: the id that its principal will have, and an address that was verified."""

    user_id: str
    email: str


@flow(emits=(TENANT_CREATED,))
async def create_tenant(unit: UnitOfWork, *, name: str, slug: str, founder: Founder) -> Tenant:
    """Make the tenant and enter it, in a unit of work that has entered none.

    Call it from a route, or bind it to whatever tells that somebody signed up.

    Raises:
        SlugTaken: another tenant has it, or it is reserved.
        Fault: TENANT_ALREADY_ENTERED.
    """
    ports = unit.port(TenancyPorts)
    if slug in ports.reserved:
        raise SlugTaken
    await unit.guard(CREATING, Creation(name=name, slug=slug, founder_id=founder.user_id))
    tenant = Tenant(id=uuid7(), name=name, slug=slug)
    await unit.enter(tenant.id)
    made = insert(Tenant).values(id=tenant.id, name=name, slug=slug).on_conflict_do_nothing(index_elements=["slug"])
    if await unit.session.scalar(made.returning(Tenant.id)) is None:
        raise SlugTaken
    owner = Membership(user_id=founder.user_id, email=founder.email.lower(), role=ports.roles.owner)
    unit.session.add(owner)
    await unit.emit(
        TENANT_CREATED, TenantCreated(tenant_id=tenant.id, name=name, slug=slug, founder_id=founder.user_id)
    )
    return tenant
