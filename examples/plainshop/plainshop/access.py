"""Who may do what. A route asks for a permission and gets a gate; only through the gate does it reach its data."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import select

from plainshop.context import Context, request_context
from plainshop.errors import Forbidden, Unauthorized
from plainshop.models import LoginSession, Member
from plainshop.models.base import now
from plainshop.permissions import ROLES, Permission
from plainshop.tokens import Claims
from plainshop.unit import Actor, Unit, work

_bearer = HTTPBearer(auto_error=False)


@dataclass(frozen=True, kw_only=True)
class Gate:
    context: Context
    claims: Claims
    permission: Permission | None

    @property
    def member_id(self) -> UUID:
        return self.claims.member_id

    @contextmanager
    def enter(self) -> Iterator[Unit]:
        """One transaction for the member's shop, after a look whether member, session and role still stand."""
        actor = Actor(type="member", id=str(self.claims.member_id))
        with work(self.context.database, self.claims.shop_id, actor, self.context.request_id) as unit:
            role = self._live_role(unit)
            # A token grants no more than its role did when it was issued, nor than the role does now.
            allowed = self.permission is None or self.permission in self.claims.scope & ROLES[role]
            if allowed:
                yield unit
            else:
                unit.record("access.denied", "permission", self.permission, outcome="denied")
        if not allowed:
            raise Forbidden(f"This needs the permission {self.permission}.")

    def _live_role(self, unit: Unit) -> str:
        role = unit.session.scalar(
            select(Member.role)
            .join(LoginSession, (LoginSession.shop_id == Member.shop_id) & (LoginSession.member_id == Member.id))
            .where(
                Member.shop_id == self.claims.shop_id,
                Member.id == self.claims.member_id,
                LoginSession.id == self.claims.session_id,
                LoginSession.revoked_at.is_(None),
                LoginSession.expires_at > now(),
            )
        )
        if role is None:
            raise Unauthorized
        return role


def permission(name: Permission | None) -> Callable[..., Gate]:
    def gate(
        context: Annotated[Context, Depends(request_context)],
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Gate:
        claims = context.tokens.read_access(credentials.credentials) if credentials else None
        if claims is None:
            raise Unauthorized
        opened = Gate(context=context, claims=claims, permission=name)
        # Refuse here already, so that nobody learns from a 422 what they may not do at all.
        with opened.enter():
            return opened

    return gate


# Whoever is signed in, whatever the role.
signed_in = permission(None)
