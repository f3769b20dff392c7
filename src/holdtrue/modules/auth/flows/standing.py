"""Whether somebody belongs to a tenant now, asked of whoever fills the ``tenants`` port."""

from __future__ import annotations

from uuid import UUID

from holdtrue.modules.auth.errors import NotAMember
from holdtrue.runtime import Principal, Refused, UnitOfWork


async def enter_confirmed(unit: UnitOfWork, principal: Principal) -> None:
    """Enter the tenant that the principal names, or the one that the host or its only membership decides.

    A principal that names none may end up in none.

    Raises:
        NotAMember: it names one, and does not belong to it.
    """
    unit.identify(principal)
    if unit.context.tenant is not None:
        return
    try:
        granted = await unit.standing(principal)
    except Refused:
        # It is in several, or the host names none: that only matters to who asked for one.
        if principal.tenant is not None:
            raise
        return
    if granted is None and principal.tenant is not None:
        raise NotAMember("There is no such tenant, or you are no member of it.")


async def enter_former(unit: UnitOfWork, tenant: UUID | None) -> None:
    """Enter the tenant that a session was confirmed for, so that what ends it stands in that tenant's audit log."""
    if tenant is not None and unit.context.tenant is None:
        await unit.enter(tenant)
