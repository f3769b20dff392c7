"""The tables of tenancy."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, MetaData
from sqlalchemy.orm import Mapped

from holdtrue.runtime import Model, Row, TenantRow


class Base(Model):
    """Tenancy's own tables."""

    __abstract__ = True
    metadata = MetaData()


class Tenant(Row, Base):
    """Row-level security shows the tenant that was entered, and no other."""

    __tablename__ = "tenants"
    name: Mapped[str]
    slug: Mapped[str]
    suspended_at: Mapped[datetime | None]


class Membership(TenantRow, Base):
    """The person's id is the principal's; who that is, tenancy does not know."""

    __tablename__ = "memberships"
    user_id: Mapped[str]
    email: Mapped[str]
    """The verified address with which the person joined."""
    role: Mapped[str]


class Invitation(TenantRow, Base):
    """Goes with its inviter. Only a digest of its token is kept."""

    __tablename__ = "invitations"
    email: Mapped[str]
    role: Mapped[str]
    token_hash: Mapped[str]
    invited_by: Mapped[UUID]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    @classmethod
    def still_open(cls, now: datetime) -> tuple[ColumnElement[bool], ...]:
        """The conditions under which an invitation can be accepted."""
        return cls.used_at.is_(None), cls.revoked_at.is_(None), cls.expires_at > now


class TenantHost(TenantRow, Base):
    """A host of the tenant's own. Whoever writes the row has made sure that it is."""

    __tablename__ = "tenant_hosts"
    host: Mapped[str]
