"""People, their sessions and credentials. Of every credential only a hash is kept.

A person may be in several tenants, so people and sessions belong to none; an API key belongs to one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, MetaData, Text
from sqlalchemy.orm import Mapped, mapped_column

from holdtrue.runtime import Model, Row, TenantRow


class Base(Model):
    """Auth's own tables."""

    __abstract__ = True
    metadata = MetaData()


class User(Row, Base):
    """Somebody who proved to own the address; there is no user with an unproved one."""

    __tablename__ = "auth_users"
    email: Mapped[str]
    password_hash: Mapped[str]


class Network(Base):
    """A network that somebody was signed in from: attempts at the account from elsewhere do not shut it out."""

    __tablename__ = "auth_networks"
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    network: Mapped[bytes] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime]


class Session(Row, Base):
    """One sign-in, and the family of all refresh tokens descended from it."""

    __tablename__ = "auth_sessions"
    user_id: Mapped[UUID]
    client_id: Mapped[str]
    tenant: Mapped[UUID | None]
    """What it was opened for, confirmed then; each request confirms it again."""
    scope: Mapped[str | None]
    agent: Mapped[str]
    generation: Mapped[int]
    """Of the newest refresh token."""
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_for: Mapped[str | None]


class RefreshToken(Row, Base):
    """Used once. ``response`` is what it was exchanged for, readable only with the token itself."""

    __tablename__ = "auth_refresh_tokens"
    session_id: Mapped[UUID]
    generation: Mapped[int]
    token_hash: Mapped[bytes]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    used_as: Mapped[bytes | None]
    """Who used it: client, tenant, scopes."""
    response: Mapped[str | None]


class Link(Row, Base):
    """A link that was asked for. It has a token once the worker found that one is owed."""

    __tablename__ = "auth_links"
    purpose: Mapped[str]
    email: Mapped[str]
    token_hash: Mapped[bytes | None]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SigningKey(Row, Base):
    """Published from the start, signs from ``signs_from`` until the next one does, verifies until ``verify_until``."""

    __tablename__ = "auth_signing_keys"
    public: Mapped[dict[str, Any]]
    sealed: Mapped[str | None]
    signs_from: Mapped[datetime]
    verify_until: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Counter(Base):
    """How often something was tried in a window. The key is a keyed hash: no addresses stand here."""

    __tablename__ = "auth_counters"
    key: Mapped[bytes] = mapped_column(primary_key=True)
    window_start: Mapped[datetime]
    tries: Mapped[int]


class ApiKey(TenantRow, Base):
    """A key of a tenant. The prefix finds it, the hash of the rest decides."""

    __tablename__ = "auth_api_keys"
    name: Mapped[str]
    prefix: Mapped[str]
    secret_hash: Mapped[bytes]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_by: Mapped[UUID]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
