from datetime import timedelta
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, select, update

from plainshop.access import Gate, permission
from plainshop.context import Context, request_context
from plainshop.errors import Conflict, Forbidden, NotFound, Refusal, TooMany
from plainshop.fields import Before, Body, Email, Limit, Line, NewPassword, Token
from plainshop.limits import within_limit
from plainshop.mail import enqueue
from plainshop.models import Invitation, Member
from plainshop.models.base import now
from plainshop.paging import newest_first
from plainshop.passwords import hash_password
from plainshop.permissions import Role
from plainshop.routes.slots import hashing_slot
from plainshop.sessions import TokenPair, open_session
from plainshop.unit import Unit

router = APIRouter(prefix="/members", tags=["members"])
Managing = Annotated[Gate, Depends(permission("members.manage"))]


class NewInvitation(Body):
    email: Email
    role: Role


class Acceptance(Body):
    token: Token
    name: Line
    password: NewPassword


class NewRole(Body):
    role: Role


class InvitationOut(BaseModel):
    id: UUID
    email: str
    role: str


class MemberOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    email: str
    name: str
    role: str


class MemberPage(BaseModel):
    items: list[MemberOut]


@router.get("")
def list_members(gate: Managing, before: Before = None, limit: Limit = 50) -> MemberPage:
    with gate.enter() as unit:
        rows = newest_first(unit.session, Member, Member.created_at, unit.shop_id, before, limit)
        return MemberPage(items=[MemberOut.model_validate(row) for row in rows])


@router.post("/invitations", status_code=201)
def invite(body: NewInvitation, gate: Managing) -> InvitationOut:
    daily = gate.context.settings.invitation_limit_per_day
    with gate.enter() as unit:
        _owners_including(unit, gate.member_id)
        if not within_limit(unit.session, f"invitations:{unit.shop_id}", daily, timedelta(days=1)):
            raise TooMany("This shop has sent too many invitations today.", headers={"Retry-After": "3600"})
        theirs = (Member.shop_id == unit.shop_id) & (Member.email == body.email)
        if unit.session.scalar(select(Member.id).where(theirs)):
            raise Conflict("There is already a member with this address.")
        # Any shop can invite a stranger; the stranger gets only so much mail of all of them together.
        hourly = gate.context.settings.mail_limit_per_hour
        if not within_limit(unit.session, f"mail:{body.email}", hourly, timedelta(hours=1)):
            raise TooMany("This address was sent too much mail; try again later.", headers={"Retry-After": "3600"})
        # The newest invitation is the only one: its role is what the owner now wants.
        open_ones = (Invitation.shop_id == unit.shop_id) & (Invitation.email == body.email)
        unit.session.execute(delete(Invitation).where(open_ones, Invitation.used_at.is_(None)))
        invitation = Invitation(
            shop_id=unit.shop_id,
            id=uuid4(),
            email=body.email,
            role=body.role,
            invited_by=gate.member_id,
            expires_at=now() + timedelta(days=gate.context.settings.invitation_days),
        )
        unit.session.add(invitation)
        unit.record("member.invited", "invitation", invitation.id, role=body.role)
        enqueue(unit, "invitation", invitation.id, body.email, invitation_id=str(invitation.id), role=body.role)
        return InvitationOut(id=invitation.id, email=body.email, role=body.role)


@router.post("/accept", status_code=201, dependencies=[hashing_slot])
def accept(body: Acceptance, context: Annotated[Context, Depends(request_context)]) -> TokenPair:
    refused = Refusal("This invitation is not valid, or no longer.")
    where = context.tokens.read_mailed("invitation", body.token)
    if where is None:
        raise refused
    shop_id, invitation_id = where
    password_hash = hash_password(body.password)
    with context.public_work(shop_id) as unit:
        used = update(Invitation).where(
            Invitation.shop_id == shop_id,
            Invitation.id == invitation_id,
            Invitation.used_at.is_(None),
            Invitation.expires_at > now(),
        )
        granted = unit.session.execute(
            used.values(used_at=now()).returning(Invitation.email, Invitation.role)
        ).one_or_none()
        if granted is None:
            raise refused
        member = Member(
            shop_id=shop_id,
            id=uuid4(),
            email=granted.email,
            name=body.name,
            role=granted.role,
            password_hash=password_hash,
        )
        unit.session.add(member)
        unit.session.flush()
        unit.record("member.joined", "member", member.id, role=granted.role)
        return open_session(unit, context, member.id)


@router.patch("/{member_id}")
def change_role(member_id: UUID, body: NewRole, gate: Managing) -> MemberOut:
    with gate.enter() as unit:
        owners = _owners_including(unit, gate.member_id)
        member = _locked_member(unit, member_id)
        if owners == {member_id} and body.role != "owner":
            raise Conflict("The last owner stays an owner.")
        unit.record("member.role_changed", "member", member_id, old=member.role, new=body.role)
        member.role = body.role
        if body.role != "owner":
            _withdraw_invitations(unit, member_id)
        return MemberOut.model_validate(member)


@router.delete("/{member_id}", status_code=204)
def remove(member_id: UUID, gate: Managing) -> Response:
    with gate.enter() as unit:
        owners = _owners_including(unit, gate.member_id)
        member = _locked_member(unit, member_id)
        if owners == {member_id}:
            raise Conflict("The last owner cannot leave.")
        unit.record("member.removed", "member", member_id, role=member.role)
        # Sessions, resets and invitations go along, by the foreign keys.
        unit.session.execute(delete(Member).where(Member.shop_id == unit.shop_id, Member.id == member_id))
    return Response(status_code=204)


def _owners_including(unit: Unit, caller: UUID) -> set[UUID]:
    """The owners, locked: two who remove or demote each other go one after the other, and the second is none."""
    query = select(Member.id).where(Member.shop_id == unit.shop_id, Member.role == "owner")
    owners = set(unit.session.scalars(query.order_by(Member.id).with_for_update()))
    if caller not in owners:
        raise Forbidden("This needs the permission members.manage.")
    return owners


def _locked_member(unit: Unit, member_id: UUID) -> Member:
    member = unit.session.scalar(
        select(Member).where(Member.shop_id == unit.shop_id, Member.id == member_id).with_for_update()
    )
    if member is None:
        raise NotFound
    return member


def _withdraw_invitations(unit: Unit, inviter: UUID) -> None:
    mine = (Invitation.shop_id == unit.shop_id) & (Invitation.invited_by == inviter)
    unit.session.execute(delete(Invitation).where(mine, Invitation.used_at.is_(None)))
