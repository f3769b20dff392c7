"""A member invites somebody by mail; or takes that back."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from sqlalchemy import BigInteger, func, select, update

from holdtrue.modules.tenancy.contract import (
    INVITATION,
    INVITATION_REVOKED,
    INVITING,
    MEMBER_INVITED,
    InvitationMail,
    InvitationRevoked,
    Invite,
    MemberInvited,
)
from holdtrue.modules.tenancy.errors import AlreadyMember, TooManyInvitations
from holdtrue.modules.tenancy.flows.members import locked, manager
from holdtrue.modules.tenancy.models import Invitation, Membership
from holdtrue.modules.tenancy.ports import TenancyPorts
from holdtrue.modules.tenancy.settings import TenancySettings
from holdtrue.runtime import NotFound, UnitOfWork, flow


def digest_of(token: str) -> str:
    """What is kept of an invitation's token: 256 random bits need no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


@flow(emits=(MEMBER_INVITED,))
async def invite(unit: UnitOfWork, *, email: str, role: str) -> Invitation:
    """Send an invitation; an earlier one of the same address is void.

    Raises:
        Forbidden, UnknownRole, AboveOwnPermissions, AlreadyMember, TooManyInvitations.
    """
    settings, email = unit.port(TenancyPorts).settings, email.lower()
    caller = await manager(unit)
    caller.must_cover(role)
    await unit.guard(INVITING, Invite(email=email, role=role, invited_by=caller.user_id))
    there = select(Membership.id).where(Membership.tenant_id == unit.tenant, Membership.email == email)
    if await unit.session.scalar(there) is not None:
        raise AlreadyMember
    await _within_limits(unit, email, settings)
    token = secrets.token_urlsafe(32)
    replaced = await unit.session.scalars(
        update(Invitation)
        .where(Invitation.tenant_id == unit.tenant, Invitation.email == email, *Invitation.still_open(unit.now()))
        .values(revoked_at=unit.now())
        .returning(Invitation.id)
    )
    invitation = Invitation(
        email=email,
        role=role,
        token_hash=digest_of(token),
        invited_by=caller.member_id,
        expires_at=unit.now() + timedelta(days=settings.invitation_days),
        created_at=unit.now(),
    )
    unit.session.add(invitation)
    await unit.emit(
        MEMBER_INVITED, MemberInvited(invitation_id=invitation.id, role=role, replaced=tuple(replaced.all()))
    )
    tenant = await locked(unit)
    await unit.mail(
        INVITATION,
        to=email,
        payload=InvitationMail(
            tenant=tenant.name,
            role=role,
            link=f"{settings.accept_url}#invitation={token}",
            expires_at=invitation.expires_at,
        ),
    )
    return invitation


@flow(emits=(INVITATION_REVOKED,))
async def revoke_invitation(unit: UnitOfWork, invitation_id: UUID) -> None:
    """Void an open invitation.

    Raises:
        Forbidden, AboveOwnPermissions; NotFound: it is not open, or not this tenant's.
    """
    caller = await manager(unit)
    found = await unit.session.scalar(
        select(Invitation).where(
            Invitation.tenant_id == unit.tenant, Invitation.id == invitation_id, *Invitation.still_open(unit.now())
        )
    )
    if found is None:
        raise NotFound
    caller.must_be_above(found.role)
    found.revoked_at = unit.now()
    await unit.emit(INVITATION_REVOKED, InvitationRevoked(invitation_id=invitation_id))


async def _within_limits(unit: UnitOfWork, email: str, settings: TenancySettings) -> None:
    """Counted under the tenant's lock, and the address's."""
    today = (
        select(func.count())
        .select_from(Invitation)
        .where(Invitation.tenant_id == unit.tenant, Invitation.created_at > unit.now() - timedelta(days=1))
    )
    if (await unit.session.scalar(today) or 0) >= settings.invitations_per_day:
        raise TooManyInvitations
    lately = func.tenancy_invited(email, unit.now() - timedelta(hours=1), type_=BigInteger)
    if (await unit.session.scalar(select(lately)) or 0) >= settings.invitations_per_address_per_hour:
        raise TooManyInvitations
