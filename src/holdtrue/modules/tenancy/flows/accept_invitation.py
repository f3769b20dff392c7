"""The invited person, signed in with the invited and verified address, becomes a member."""

from __future__ import annotations

from sqlalchemy import Uuid, func, select

from holdtrue.modules.tenancy.contract import JOINING, MEMBER_JOINED, Joining, MemberJoined
from holdtrue.modules.tenancy.errors import AddressNotVerified, AlreadyMember, InvitationInvalid
from holdtrue.modules.tenancy.flows.invite import digest_of
from holdtrue.modules.tenancy.flows.members import locked
from holdtrue.modules.tenancy.models import Invitation, Membership, Tenant
from holdtrue.modules.tenancy.ports import TenancyPorts
from holdtrue.modules.tenancy.standing import tenant_at
from holdtrue.runtime import UnitOfWork, flow


@flow(emits=(MEMBER_JOINED,))
async def accept_invitation(unit: UnitOfWork, token: str) -> Membership:
    """Join the tenant that the token's invitation is of, in a unit of work that has entered none.

    Raises:
        AddressNotVerified, InvitationInvalid, AlreadyMember, and what a guard of ``JOINING`` raises.
    """
    person = unit.context.principal
    if person.kind != "user" or person.email is None:
        raise AddressNotVerified
    digest = digest_of(token)
    tenant_id = await unit.session.scalar(select(func.invitations_tenant(digest, type_=Uuid)))
    if tenant_id is None or await tenant_at(unit) not in (None, tenant_id):
        raise InvitationInvalid
    await unit.enter(tenant_id)
    tenant = await locked(unit)
    there = select(Membership.id).where(Membership.tenant_id == tenant_id, Membership.user_id == person.id)
    if await unit.session.scalar(there) is not None:
        raise AlreadyMember
    invitation = await _usable(unit, tenant, digest)
    if person.email.lower() != invitation.email:
        unit.record("tenancy.invitation_of_another", subject=str(invitation.id), denied=True)
        raise InvitationInvalid(keep=True)
    members = select(func.count()).select_from(Membership).where(Membership.tenant_id == tenant_id)
    joining = Joining(
        user_id=person.id, email=invitation.email, role=invitation.role, members=await unit.session.scalar(members) or 0
    )
    await unit.guard(JOINING, joining)
    invitation.used_at = unit.now()
    member = Membership(user_id=person.id, email=invitation.email, role=invitation.role)
    unit.session.add(member)
    await unit.session.flush()
    await unit.emit(
        MEMBER_JOINED,
        MemberJoined(member_id=member.id, user_id=person.id, role=member.role, invitation_id=invitation.id),
    )
    return member


async def _usable(unit: UnitOfWork, tenant: Tenant, digest: str) -> Invitation:
    """The invitation, if nothing has happened to it, to its tenant, its inviter or its role since it was sent."""
    query = (
        select(Invitation, Membership.role)
        .join(Membership, (Membership.tenant_id == Invitation.tenant_id) & (Membership.id == Invitation.invited_by))
        .where(Invitation.tenant_id == tenant.id, Invitation.token_hash == digest, *Invitation.still_open(unit.now()))
        .execution_options(populate_existing=True)
    )
    found = (await unit.session.execute(query)).one_or_none()
    roles = unit.port(TenancyPorts).roles
    if tenant.suspended_at is not None or found is None or found[0].role not in roles:
        raise InvitationInvalid
    if not roles.covers(found[1], roles.permissions(found[1], unit.permissions), found[0].role, unit.permissions):
        raise InvitationInvalid
    invitation: Invitation = found[0]
    return invitation
