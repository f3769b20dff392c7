"""The routes: parse, flow, response."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict

from holdtrue.contract import Call, signed_in
from holdtrue.contract.document import Inbox, Request
from holdtrue.modules.tenancy import flows
from holdtrue.modules.tenancy.contract import MEMBERS_MANAGE, MEMBERS_READ, TENANT_MANAGE
from holdtrue.modules.tenancy.errors import AddressNotVerified
from holdtrue.modules.tenancy.fields import Body, Email, Line, RoleName, Slug, Token
from holdtrue.modules.tenancy.models import Invitation, Membership
from holdtrue.modules.tenancy.standing import mine
from holdtrue.runtime import Before, Limit, Router, Unit, newest_first


class NewTenant(Body):
    name: Line
    slug: Slug


class NewName(Body):
    name: Line


class NewInvitation(Body):
    email: Email
    role: RoleName


class Acceptance(Body):
    token: Token


class NewRole(Body):
    role: RoleName


class TenantOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    name: str
    slug: str


class MyTenant(TenantOut):
    role: str
    suspended: bool


class MyTenants(BaseModel):
    items: list[MyTenant]


class MemberOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    user_id: str
    email: str
    role: str
    created_at: datetime


class Members(BaseModel):
    items: list[MemberOut]


class JoinedOut(BaseModel):
    tenant_id: UUID
    member_id: UUID
    role: str

    @classmethod
    def of(cls, member: Membership) -> Self:
        return cls(tenant_id=member.tenant_id, member_id=member.id, role=member.role)


class InvitationOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    email: str
    role: str
    expires_at: datetime


class Invitations(BaseModel):
    items: list[InvitationOut]


def routes(*, role: str, founding: bool) -> Router:
    """Tenancy's routes. ``role``: the one a rehearsal invites to; ``founding``: anybody signed in may make a tenant."""
    router = Router(tags=("tenancy",))
    invitation = {"email": "{unique}@invited.test", "role": role}
    invited = Request(
        request="POST /members/invitations", as_="owner", json_=invitation, capture={"invitation_id": "id"}
    )

    @router.get("/tenants", access=signed_in())
    async def list_tenants(unit: Unit) -> MyTenants:
        """The tenants of whoever is signed in."""
        found = await mine(unit, unit.context.principal.id)
        return MyTenants(items=[MyTenant.model_validate(each, from_attributes=True) for each in found])

    if founding:

        @router.post(
            "/tenants",
            access=signed_in(),
            status=201,
            rehearse=Call(as_="outsider", json_={"name": "New {unique}", "slug": "new-{unique}"}),
        )
        async def create(body: NewTenant, unit: Unit) -> TenantOut:
            """A tenant, whose owner is whoever is signed in."""
            person = unit.context.principal
            if person.kind != "user" or person.email is None:
                raise AddressNotVerified
            founder = flows.Founder(user_id=person.id, email=person.email)
            made = await flows.create_tenant(unit, name=body.name, slug=body.slug, founder=founder)
            return TenantOut.model_validate(made)

    @router.patch("/tenant", access=TENANT_MANAGE, rehearse=Call(json_={"name": "Renamed {unique}"}))
    async def rename(body: NewName, unit: Unit) -> TenantOut:
        """Another name for the tenant of this request."""
        return TenantOut.model_validate(await flows.rename_tenant(unit, body.name))

    @router.get("/members", access=MEMBERS_READ)
    async def list_members(unit: Unit, before: Before = None, limit: Limit = 50) -> Members:
        """Newest first."""
        rows = await newest_first(unit, Membership, before, limit)
        return Members(items=[MemberOut.model_validate(row) for row in rows])

    @router.patch("/members/{member_id}", access=MEMBERS_MANAGE, rehearse=Call(json_={"role": role}))
    async def change_role(member_id: UUID, body: NewRole, unit: Unit) -> MemberOut:
        """Effective at the member's next request."""
        return MemberOut.model_validate(await flows.change_role(unit, member_id, body.role))

    @router.delete("/members/{member_id}", access=MEMBERS_MANAGE)
    async def remove(member_id: UUID, unit: Unit) -> Response:
        """Effective at the member's next request."""
        await flows.remove_member(unit, member_id)
        return Response(status_code=204)

    @router.get("/members/invitations", access=MEMBERS_READ)
    async def list_invitations(unit: Unit, before: Before = None, limit: Limit = 50) -> Invitations:
        """Those that can be accepted, newest first."""
        rows = await newest_first(unit, Invitation, before, limit, *Invitation.still_open(unit.now()))
        return Invitations(items=[InvitationOut.model_validate(row) for row in rows])

    @router.post(
        "/members/invitations",
        access=MEMBERS_MANAGE,
        status=201,
        rehearse=Call(json_=invitation),
    )
    async def invite(body: NewInvitation, unit: Unit) -> InvitationOut:
        """Sent by mail; replaces an earlier one of the same address."""
        return InvitationOut.model_validate(await flows.invite(unit, email=body.email, role=body.role))

    @router.delete("/members/invitations/{invitation_id}", access=MEMBERS_MANAGE, rehearse=Call(before=[invited]))
    async def revoke(invitation_id: UUID, unit: Unit) -> Response:
        """The link in the mail is void."""
        await flows.revoke_invitation(unit, invitation_id)
        return Response(status_code=204)

    @router.post(
        "/members/accept",
        access=signed_in(),
        status=201,
        rehearse=Call(
            as_="outsider",
            before=[
                Request(
                    request="POST /members/invitations",
                    as_="owner",
                    json_={"email": "outsider@{tenant}.test", "role": role},
                ),
                Inbox(mail="outsider@{tenant}.test", capture={"invitation": "#invitation=([A-Za-z0-9_-]+)"}),
            ],
            json_={"token": "{invitation}"},
        ),
    )
    async def accept(body: Acceptance, unit: Unit) -> JoinedOut:
        """By the person whose verified address was invited."""
        return JoinedOut.of(await flows.accept_invitation(unit, body.token))

    return router
