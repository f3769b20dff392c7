"""One business step per file."""

from holdtrue.modules.tenancy.flows.accept_invitation import accept_invitation
from holdtrue.modules.tenancy.flows.change_members import change_role, remove_member
from holdtrue.modules.tenancy.flows.change_tenant import rename_tenant, resume_tenant, suspend_tenant
from holdtrue.modules.tenancy.flows.create_tenant import Founder, create_tenant
from holdtrue.modules.tenancy.flows.hosts import assign_host, release_host
from holdtrue.modules.tenancy.flows.invite import invite, revoke_invitation

__all__ = [
    "Founder",
    "accept_invitation",
    "assign_host",
    "change_role",
    "create_tenant",
    "invite",
    "release_host",
    "remove_member",
    "rename_tenant",
    "resume_tenant",
    "revoke_invitation",
    "suspend_tenant",
]
