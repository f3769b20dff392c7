"""The wiring."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from holdtrue.modules.tenancy.contract import CONTRACT
from holdtrue.modules.tenancy.http import routes
from holdtrue.modules.tenancy.models import Base
from holdtrue.modules.tenancy.ports import TenancyPorts
from holdtrue.modules.tenancy.rehearsal import invited_role, rehearsal
from holdtrue.modules.tenancy.roles import Granted, Roles
from holdtrue.modules.tenancy.settings import TenancySettings
from holdtrue.modules.tenancy.standing import tenants
from holdtrue.runtime import Module

RESERVED = ("www", "api", "app", "admin", "auth", "login", "mail", "smtp", "ns", "static", "status", "support")


def Tenancy(  # noqa: N802  (reads like what it makes)
    *, roles: Mapping[str, Granted], founding: bool = True, reserved: Collection[str] = RESERVED
) -> Module:
    """Tenants and their members.

    ``roles``: role → permissions, and ``"*"`` for the one role that holds all. ``founding``: whether anybody signed in
    may create a tenant by ``POST /tenants``; else the app calls ``create_tenant``. ``reserved``: slugs nobody may have.

    Raises:
        Fault: OWNER_ROLE, ROLE_TYPE.
    """
    declared = Roles.declared(roles)

    @asynccontextmanager
    async def open_ports(settings: TenancySettings) -> AsyncIterator[TenancyPorts]:
        yield TenancyPorts(roles=declared, reserved=frozenset(reserved), settings=settings)

    return Module(
        contract=replace(CONTRACT, grants=declared.grants, rehearsal=rehearsal(declared, founding=founding)),
        routers=(routes(role=invited_role(declared), founding=founding),),
        metadata=Base.metadata,
        migrations=Path(__file__).parent / "migrations",
        settings=TenancySettings,
        open=open_ports,
        tenants=tenants,
    )
