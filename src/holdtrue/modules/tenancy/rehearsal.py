"""Who acts when a composed app is rehearsed: an owner, one member for each other role, and somebody in no tenant.

How somebody comes to be signed in, with ``<principal>@<tenant>.test`` as verified address, is auth's to say.
"""

from __future__ import annotations

from holdtrue.contract.document import Inbox, Mail, Principal, Rehearsal, Removal, Request, Step
from holdtrue.modules.tenancy.roles import Roles


def rehearsal(roles: Roles, *, founding: bool) -> Rehearsal:
    """The share of the contract document that says how tenants and members come to be.

    Without the route that founds a tenant, the app describes its ``owner`` itself: who captures ``tenant_id``.
    """
    found = Request(
        request="POST /tenants",
        as_="owner",
        json_={"name": "Team {tenant}", "slug": "team-{tenant}"},
        capture={"tenant_id": "id"},
    )
    owner = Principal(permissions=["*"], steps=[found] if founding else [])
    leaving = tuple(roles.others)[-1] if roles.others else None
    members = {
        role: Principal(permissions=sorted(granted), steps=_joins(role, known=role == leaving))
        for role, granted in roles.others.items()
    }
    out = Request(request="DELETE /members/{member_id}", as_="owner")
    removals = {} if leaving is None else {"removed_member": Removal(principal=leaving, steps=[out])}
    mailed = Request(
        request="POST /members/invitations",
        as_="owner",
        json_={"email": "{unique}@invited.test", "role": invited_role(roles)},
    )
    return Rehearsal(
        principals={"owner": owner, **members, "outsider": Principal()},
        tenant="tenant_id",
        removals=removals,
        mail={"invitation": Mail(to="{unique}@invited.test", cause=mailed)},
    )


def invited_role(roles: Roles) -> str:
    """The role with the fewest permissions: whoever may invite at all may invite to it."""
    return min(roles.others, key=lambda role: len(roles.others[role]), default=roles.owner)


def _joins(role: str, *, known: bool) -> list[Step]:
    """Somebody signed in joins. Of one of them all know the ``member_id``: that is who gets changed and removed."""
    address = f"{role}@{{tenant}}.test"
    return [
        Request(request="POST /members/invitations", as_="owner", json_={"email": address, "role": role}),
        Inbox(mail=address, capture={"invitation": "#invitation=([A-Za-z0-9_-]+)"}),
        Request(
            request="POST /members/accept",
            as_=role,
            json_={"token": "{invitation}"},
            capture={"member_id": "member_id"} if known else {},
        ),
    ]
