"""Hosts of a tenant's own. For the operator, who has seen that the tenant controls the name: no route calls these."""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from holdtrue.modules.tenancy.contract import HOST_ASSIGNED, HOST_RELEASED, HostChanged
from holdtrue.modules.tenancy.errors import HostRefused, HostTaken
from holdtrue.modules.tenancy.flows.members import locked
from holdtrue.modules.tenancy.hosts import canonical
from holdtrue.modules.tenancy.models import TenantHost
from holdtrue.modules.tenancy.ports import TenancyPorts
from holdtrue.runtime import NotFound, UnitOfWork, flow, uuid7


@flow(emits=(HOST_ASSIGNED,))
async def assign_host(unit: UnitOfWork, host: str) -> None:
    """Have a host name the tenant of this unit.

    Raises:
        HostRefused: it is no public name, or one below the base domain. HostTaken: another tenant, or this, has it.
    """
    await locked(unit)
    base = unit.port(TenancyPorts).settings.base_domain
    try:
        name = canonical(host)
    except ValueError as error:
        raise HostRefused(f"The host {error}.") from error
    if base is None or name == base or name.endswith(f".{base}"):
        raise HostRefused("The host must be a name of the tenant's own, and the app must have a base domain.")
    row = {"tenant_id": unit.tenant, "id": uuid7(), "host": name}
    made = insert(TenantHost).values(row).on_conflict_do_nothing(index_elements=["host"])
    if await unit.session.scalar(made.returning(TenantHost.id)) is None:
        raise HostTaken
    await unit.emit(HOST_ASSIGNED, HostChanged(host=name))


@flow(emits=(HOST_RELEASED,))
async def release_host(unit: UnitOfWork, host: str) -> None:
    """Have a host no longer name the tenant of this unit.

    Raises:
        NotFound: it does not.
    """
    await locked(unit)
    name = host.lower().removesuffix(".")
    gone = delete(TenantHost).where(TenantHost.tenant_id == unit.tenant, TenantHost.host == name)
    if await unit.session.scalar(gone.returning(TenantHost.id)) is None:
        raise NotFound
    await unit.emit(HOST_RELEASED, HostChanged(host=name))
