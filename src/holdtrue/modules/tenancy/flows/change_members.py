"""A member gets another role, or is removed: effective at the next request, for each asks the membership."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, update

from holdtrue.modules.tenancy.contract import (
    MEMBER_REMOVED,
    MEMBER_ROLE_CHANGED,
    MemberRemoved,
    MemberRoleChanged,
)
from holdtrue.modules.tenancy.flows.members import manager, member, must_leave_an_owner
from holdtrue.modules.tenancy.models import Invitation, Membership
from holdtrue.runtime import UnitOfWork, flow


@flow(emits=(MEMBER_ROLE_CHANGED,))
async def change_role(unit: UnitOfWork, member_id: UUID, role: str) -> Membership:
    """Give a member another role. Their open invitations to roles that they could no longer give are void.

    Raises:
        Forbidden, NotFound, UnknownRole, AboveOwnPermissions, LastOwner.
    """
    caller = await manager(unit)
    changed = await member(unit, member_id)
    caller.must_be_above(changed.role)
    caller.must_cover(role)
    if role != caller.roles.owner:
        await must_leave_an_owner(unit, changed)
    old, changed.role = changed.role, role
    roles, held = caller.roles, caller.roles.permissions(role, unit.permissions)
    beyond = [each for each in (roles.owner, *roles.others) if not roles.covers(role, held, each, unit.permissions)]
    await unit.session.execute(
        update(Invitation)
        .where(
            Invitation.tenant_id == unit.tenant,
            Invitation.invited_by == member_id,
            Invitation.role.in_(beyond),
            *Invitation.still_open(unit.now()),
        )
        .values(revoked_at=unit.now())
    )
    await unit.emit(
        MEMBER_ROLE_CHANGED, MemberRoleChanged(member_id=member_id, user_id=changed.user_id, old=old, new=role)
    )
    return changed


@flow(emits=(MEMBER_REMOVED,))
async def remove_member(unit: UnitOfWork, member_id: UUID) -> None:
    """Put a member out; their invitations go along, by the foreign key.

    Raises:
        Forbidden, NotFound, AboveOwnPermissions, LastOwner.
    """
    caller = await manager(unit)
    leaving = await member(unit, member_id)
    caller.must_be_above(leaving.role)
    await must_leave_an_owner(unit, leaving)
    await unit.session.execute(
        delete(Membership).where(Membership.tenant_id == unit.tenant, Membership.id == member_id)
    )
    await unit.emit(MEMBER_REMOVED, MemberRemoved(member_id=member_id, user_id=leaving.user_id, role=leaving.role))
