"""What tenancy promises: who belongs to which tenant, and what that allows."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from holdtrue.contract import Contract, Event, Guard, MailTemplate, Payload, Permission, Table, Variable

TENANT_MANAGE = Permission(name="tenancy.tenant_manage", doc="rename the tenant")
MEMBERS_READ = Permission(name="tenancy.members_read", doc="see members and open invitations")
MEMBERS_MANAGE = Permission(name="tenancy.members_manage", doc="invite, change and remove members")


class Creation(Payload):
    """A tenant somebody is about to create."""

    name: str
    slug: str
    founder_id: str


class Invite(Payload):
    """An invitation somebody is about to send."""

    email: str
    role: str
    invited_by: str
    """The principal's id."""


class Joining(Payload):
    """Somebody who is about to become a member."""

    user_id: str
    email: str
    role: str
    members: int
    """How many there are already; it stands still until the transaction ends."""


class TenantCreated(Payload):
    tenant_id: UUID
    name: str
    slug: str
    founder_id: str


class TenantRenamed(Payload):
    tenant_id: UUID
    name: str


class TenantSuspended(Payload):
    tenant_id: UUID
    reason: str


class TenantResumed(Payload):
    tenant_id: UUID


class MemberInvited(Payload):
    invitation_id: UUID
    role: str
    replaced: tuple[UUID, ...] = ()
    """Earlier invitations of the same address, void from now on."""


class InvitationRevoked(Payload):
    invitation_id: UUID


class MemberJoined(Payload):
    member_id: UUID
    user_id: str
    role: str
    invitation_id: UUID


class MemberRoleChanged(Payload):
    member_id: UUID
    user_id: str
    old: str
    new: str


class MemberRemoved(Payload):
    member_id: UUID
    user_id: str
    role: str


class HostChanged(Payload):
    host: str


class InvitationMail(Payload):
    """What the mail may say. The link is a credential of whoever has the invited address."""

    tenant: str
    role: str
    link: str
    expires_at: datetime


CREATING = Guard(name="tenancy.creating", payload=Creation, doc="before a tenant is created: may refuse")
INVITING = Guard(name="tenancy.inviting", payload=Invite, doc="before an invitation is sent: may refuse")
JOINING = Guard(
    name="tenancy.joining",
    payload=Joining,
    doc="before an invited person becomes a member: may refuse, such as beyond the seats paid for",
)

TENANT_CREATED = Event(
    name="tenancy.tenant_created", payload=TenantCreated, audited=True, subject="tenant_id", doc="with its first owner"
)
TENANT_RENAMED = Event(name="tenancy.tenant_renamed", payload=TenantRenamed, audited=True, subject="tenant_id")
TENANT_SUSPENDED = Event(
    name="tenancy.tenant_suspended",
    payload=TenantSuspended,
    audited=True,
    subject="tenant_id",
    doc="nobody is let in from the next request on",
)
TENANT_RESUMED = Event(name="tenancy.tenant_resumed", payload=TenantResumed, audited=True, subject="tenant_id")
MEMBER_INVITED = Event(name="tenancy.member_invited", payload=MemberInvited, audited=True, subject="invitation_id")
INVITATION_REVOKED = Event(
    name="tenancy.invitation_revoked", payload=InvitationRevoked, audited=True, subject="invitation_id"
)
MEMBER_JOINED = Event(name="tenancy.member_joined", payload=MemberJoined, audited=True, subject="member_id")
MEMBER_ROLE_CHANGED = Event(
    name="tenancy.member_role_changed", payload=MemberRoleChanged, audited=True, subject="member_id"
)
MEMBER_REMOVED = Event(name="tenancy.member_removed", payload=MemberRemoved, audited=True, subject="member_id")
HOST_ASSIGNED = Event(name="tenancy.host_assigned", payload=HostChanged, audited=True, subject="host")
HOST_RELEASED = Event(name="tenancy.host_released", payload=HostChanged, audited=True, subject="host")

INVITATION = MailTemplate(
    name="tenancy.invitation",
    payload=InvitationMail,
    subject="You are invited to {{ tenant }}",
    text=(
        "You are invited to join {{ tenant }} as {{ role }}.\n\n"
        "Sign in, or sign up, with this address, and open:\n{{ link }}\n\n"
        'The invitation is valid until {{ expires_at.strftime("%d %B %Y, %H:%M") }} UTC. '
        "If you do not know what this is about, ignore it.\n"
    ),
    stream="security",
)

CONTRACT = Contract(
    name="tenancy",
    version="1.0.0",
    doc="Tenants, their members, and what each member may do.",
    permissions=(TENANT_MANAGE, MEMBERS_READ, MEMBERS_MANAGE),
    events=(
        TENANT_CREATED,
        TENANT_RENAMED,
        TENANT_SUSPENDED,
        TENANT_RESUMED,
        MEMBER_INVITED,
        INVITATION_REVOKED,
        MEMBER_JOINED,
        MEMBER_ROLE_CHANGED,
        MEMBER_REMOVED,
        HOST_ASSIGNED,
        HOST_RELEASED,
    ),
    hooks=(CREATING, INVITING, JOINING),
    mails=(INVITATION,),
    tables=(
        Table(name="tenants", tenant="id"),
        Table(name="memberships"),
        Table(name="invitations"),
        Table(name="tenant_hosts"),
    ),
    variables=(Variable(name="TENANCY_ACCEPT_URL", rehearse="https://app.example.test/join"),),
    guarantees=("TEN042", "TEN045"),
)
