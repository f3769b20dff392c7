"""The ``tenants`` port: token ∩ host ∩ live membership, asked at every request and never remembered."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text

from holdtrue.modules.tenancy.errors import SeveralTenants
from holdtrue.modules.tenancy.hosts import Named
from holdtrue.modules.tenancy.models import Tenant, TenantHost
from holdtrue.modules.tenancy.ports import TenancyPorts
from holdtrue.runtime import Credentials, NotFound, Principal, UnitOfWork

_ENTER = """
    SELECT role, CASE WHEN count(*) OVER () = 1 THEN enter_tenant(tenant_id) END AS entered
    FROM tenancy_standing(%(who)s, %(named)s, %(subdomain)s, %(custom)s)"""
_MINE = text("SELECT * FROM tenancy_mine(:who)")
_AT = text("SELECT tenancy_at(:subdomain, :custom)")


@dataclass(frozen=True, kw_only=True)
class Mine:
    """A tenant to which somebody belongs."""

    id: UUID
    name: str
    slug: str
    role: str
    suspended: bool


async def tenants(unit: UnitOfWork, principal: Principal, credentials: Credentials) -> frozenset[str] | None:
    """Enter the one tenant that the token, the host and the membership agree on, and return what is held in it.

    A token and a host that name nobody leave it to the membership, if there is just one.

    Raises:
        SeveralTenants: there is more than one.
    """
    ports = unit.port(TenancyPorts)
    named = ports.named_by(credentials.host)
    key = principal.kind == "key"
    if key and (principal.tenant is None or principal.permissions is None):
        return None
    who = principal.user if key else principal.id if principal.kind == "user" else None
    if who is None:
        return await _of_key(unit, principal, named) if key else None
    asked = {"who": who, "named": principal.tenant, "subdomain": named.slug, "custom": named.custom}
    found = await unit.enter_by(_ENTER, asked)
    if len(found) > 1:
        raise SeveralTenants
    if not found:
        return None
    return ports.roles.permissions(found[0].role, unit.permissions)


async def _of_key(unit: UnitOfWork, principal: Principal, named: Named) -> frozenset[str] | None:
    """A key of the tenant itself, with no person behind it, holds its scopes and nothing else."""
    if principal.tenant is None:
        return None
    await unit.enter(principal.tenant)
    live = select(Tenant.id).where(Tenant.suspended_at.is_(None))
    if named.slug is not None:
        live = live.where(Tenant.slug == named.slug)
    if named.custom is not None:
        live = live.join(TenantHost, TenantHost.tenant_id == Tenant.id).where(TenantHost.host == named.custom)
    return None if await unit.session.scalar(live) is None else principal.permissions


async def mine(unit: UnitOfWork, user_id: str) -> list[Mine]:
    """The tenants to which a person belongs, before any is entered."""
    return [Mine(**row) for row in (await unit.session.execute(_MINE, {"who": user_id})).mappings()]


async def tenant_at(unit: UnitOfWork) -> UUID | None:
    """The tenant that the request's host names; None where it names nobody.

    Raises:
        NotFound: it names one that is not there, or is suspended.
    """
    named = unit.port(TenancyPorts).named_by(unit.context.host)
    if not named.somebody:
        return None
    found: UUID | None = await unit.session.scalar(_AT, {"subdomain": named.slug, "custom": named.custom})
    if found is None:
        raise NotFound
    return found


async def enter_by_host(unit: UnitOfWork) -> UUID:
    """Enter the tenant that the request's host names: for a public page of a tenant.

    Raises:
        NotFound: it names none that is there.
    """
    found = await tenant_at(unit)
    if found is None:
        raise NotFound
    await unit.enter(found)
    return found
