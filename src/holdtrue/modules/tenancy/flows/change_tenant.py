"""What happens to a tenant later: another name, suspension, and the end of it."""

from __future__ import annotations

from holdtrue.modules.tenancy.contract import (
    TENANT_RENAMED,
    TENANT_RESUMED,
    TENANT_SUSPENDED,
    TenantRenamed,
    TenantResumed,
    TenantSuspended,
)
from holdtrue.modules.tenancy.flows.members import locked
from holdtrue.modules.tenancy.models import Tenant
from holdtrue.runtime import Conflict, UnitOfWork, flow


@flow(emits=(TENANT_RENAMED,))
async def rename_tenant(unit: UnitOfWork, name: str) -> Tenant:
    """Give the tenant of this unit another name; its slug stays, for addresses and bookmarks."""
    tenant = await locked(unit)
    tenant.name = name
    await unit.emit(TENANT_RENAMED, TenantRenamed(tenant_id=tenant.id, name=name))
    return tenant


@flow(emits=(TENANT_SUSPENDED,))
async def suspend_tenant(unit: UnitOfWork, reason: str) -> None:
    """Let nobody in, from the next request on. For the operator: no route calls it.

    Raises:
        Conflict: it is suspended.
    """
    tenant = await locked(unit)
    if tenant.suspended_at is not None:
        raise Conflict("The tenant is suspended already.")
    tenant.suspended_at = unit.now()
    await unit.emit(TENANT_SUSPENDED, TenantSuspended(tenant_id=tenant.id, reason=reason))


@flow(emits=(TENANT_RESUMED,))
async def resume_tenant(unit: UnitOfWork) -> None:
    """Let its members in again.

    Raises:
        Conflict: it is not suspended.
    """
    tenant = await locked(unit)
    if tenant.suspended_at is None:
        raise Conflict("The tenant is not suspended.")
    tenant.suspended_at = None
    await unit.emit(TENANT_RESUMED, TenantResumed(tenant_id=tenant.id))
