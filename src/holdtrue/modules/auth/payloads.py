"""What crosses auth's hooks, events, jobs and mails."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from holdtrue.contract import Payload


class SignUpAsked(Payload):
    """Somebody wants a mail to sign up with. Nothing is known about the address, and nothing may be told about it."""

    email: str
    host: str


class SigningUp(Payload):
    """Somebody who proved to own the address is about to become a user."""

    user_id: UUID
    email: str
    details: dict[str, str]
    """What the request carried for the app, such as the name of the tenant to make. Checked by nobody so far."""


class ExtraClaims(Payload):
    """What an access token says beyond what auth says; a registered claim among ``extra`` is a fault."""

    user_id: UUID
    session_id: UUID
    tenant: UUID | None
    extra: dict[str, Any]


class Arrival(Payload):
    """A sign-in, with what the audit log does not keep of it."""

    user_id: UUID
    session_id: UUID
    tenant: UUID | None
    agent: str
    address: str


class SignedUp(Payload):
    user_id: UUID


class SignedIn(Payload):
    user_id: UUID
    session_id: UUID
    client_id: str


class SignedOut(Payload):
    user_id: UUID
    sessions: tuple[UUID, ...]


class PasswordChanged(Payload):
    user_id: UUID
    by: str
    """``reset`` or ``change``."""


class RefreshTokenReused(Payload):
    session_id: UUID
    user_id: UUID
    generation: int
    """Of the token that came again."""


class ApiKeyCreated(Payload):
    key_id: UUID
    name: str
    scopes: tuple[str, ...]
    expires_at: datetime


class ApiKeyRevoked(Payload):
    key_id: UUID


class SigningKeyRevoked(Payload):
    key_id: UUID


class LinkAsked(Payload):
    link_id: UUID


class Nothing(Payload):
    """For scheduled work."""


class LinkMail(Payload):
    """A link that is a credential for whoever reads the mail."""

    link: str
    minutes: int
    site: str


class Notice(Payload):
    """A mail without credentials."""

    link: str
    site: str
