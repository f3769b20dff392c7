"""The lock under which it changes who belongs to a tenant, and what the caller may do under it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from holdtrue.modules.tenancy.contract import MEMBERS_MANAGE
from holdtrue.modules.tenancy.errors import AboveOwnPermissions, LastOwner, UnknownRole
from holdtrue.modules.tenancy.models import Membership, Tenant
from holdtrue.modules.tenancy.ports import TenancyPorts
from holdtrue.modules.tenancy.roles import Roles
from holdtrue.runtime import Forbidden, NotFound, UnitOfWork


@dataclass(frozen=True, kw_only=True)
class Manager:
    """A member who may change members, as of now and until the transaction ends."""

    unit: UnitOfWork
    member_id: UUID
    user_id: str
    role: str
    held: frozenset[str]
    """What the member may do, within what the credential allows."""

    @property
    def roles(self) -> Roles:
        """The app's."""
        return self.unit.port(TenancyPorts).roles

    def must_cover(self, role: str) -> None:
        """Nobody gives or takes away more than they hold themselves.

        Raises:
            UnknownRole, AboveOwnPermissions.
        """
        if role not in self.roles:
            raise UnknownRole
        self.must_be_above(role)

    def must_be_above(self, role: str) -> None:
        """As ``must_cover``, for the role a member has: one that this release no longer knows is above nobody."""
        if not self.roles.covers(self.role, self.held, role, self.unit.permissions):
            self.unit.record("tenancy.above_own_permissions", subject=role, denied=True)
            raise AboveOwnPermissions


async def locked(unit: UnitOfWork) -> Tenant:
    """Take the tenant's turn: who invites, joins, changes or removes members waits for whoever came before.

    It does not hinder those who only refer to the tenant.
    """
    tenant = await unit.session.scalar(
        select(Tenant)
        .where(Tenant.id == unit.tenant)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if tenant is None:
        raise NotFound
    return tenant


async def manager(unit: UnitOfWork) -> Manager:
    """Take the tenant's turn, and look again: the caller may have been demoted while waiting.

    Raises:
        Forbidden: the caller is no member who may change members.
    """
    await locked(unit)
    principal, roles = unit.context.principal, unit.port(TenancyPorts).roles
    caller = await _fresh(unit, Membership.user_id == principal.id) if principal.kind == "user" else None
    held = frozenset() if caller is None else roles.permissions(caller.role, unit.permissions)
    if principal.permissions is not None:
        held &= principal.permissions
    if caller is None or MEMBERS_MANAGE.name not in held:
        unit.record("access.denied", subject=MEMBERS_MANAGE.name, denied=True)
        raise Forbidden(f"This needs the permission {MEMBERS_MANAGE.name}, held by a member.", keep=True)
    return Manager(unit=unit, member_id=caller.id, user_id=caller.user_id, role=caller.role, held=held)


async def member(unit: UnitOfWork, member_id: UUID) -> Membership:
    """A member of this tenant.

    Raises:
        NotFound.
    """
    found = await _fresh(unit, Membership.id == member_id)
    if found is None:
        raise NotFound
    return found


async def must_leave_an_owner(unit: UnitOfWork, leaving: Membership) -> None:
    """Call it under the tenant's lock, before an owner goes or becomes something else.

    Raises:
        LastOwner.
    """
    owner = unit.port(TenancyPorts).roles.owner
    if leaving.role != owner:
        return
    others = (
        select(func.count())
        .select_from(Membership)
        .where(Membership.tenant_id == unit.tenant, Membership.role == owner, Membership.id != leaving.id)
    )
    if not await unit.session.scalar(others):
        raise LastOwner


async def _fresh(unit: UnitOfWork, condition: object) -> Membership | None:
    query = select(Membership).where(Membership.tenant_id == unit.tenant, condition)  # type: ignore[arg-type]
    found: Membership | None = await unit.session.scalar(query.execution_options(populate_existing=True))
    return found
